//! The head of the memory file: what holds for all conversations.

use super::layout::{LAYOUT, MAGIC, RECORDS};
use crate::conversation::{Id, Refusal};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What holds for all conversations, at the start of the file.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Header {
    magic: AtomicU64,
    layout: AtomicU32,
    /// The record whose answer is being computed, plus one.
    turn: AtomicU32,
    /// The last id that was given.
    ids: AtomicU64,
    /// `CLOCK_BOOTTIME` in nanoseconds when a process left in order; else 0.
    left: AtomicU64,
    /// One more than the highest record that may be used.
    reach: AtomicU32,
    _reserved: [AtomicU32; 7],
    /// Conversations that were accepted, ever.
    pub served: AtomicU64,
    /// Peers and datagrams that were refused, ever.
    refused: AtomicU64,
    /// Bytes that were taken, ever.
    pub received: AtomicU64,
    /// Bytes that were given, ever.
    pub sent: AtomicU64,
    /// Datagrams that were answered, ever.
    pub datagrams: AtomicU64,
    /// How many of `refused` for each reason, in the order of [`Refusal::ALL`].
    refusals: [AtomicU64; 32],
}

impl Header {
    /// Says that the file is ours, and how it is laid out.
    pub(super) fn sign(&self) {
        self.layout.store(LAYOUT, Ordering::Release);
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// The next id, for a conversation that begins.
    pub fn next_id(&self) -> Id {
        let id = self.ids.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.ids.store(id, Ordering::Release);
        Id(NonZeroU64::new(id).expect("at least 1"))
    }

    /// Counts on after `id`, which somebody has.
    pub fn continue_after(&self, id: Id) {
        let ids = self.ids.load(Ordering::Relaxed).max(id.0.get());
        self.ids.store(ids, Ordering::Release);
    }

    /// Notes whose answer is about to be computed: if that kills the process,
    /// the successor suspects it.
    pub fn begin_turn(&self, record: u32) {
        self.turn.store(record + 1, Ordering::Release);
    }

    /// Notes that nobody's answer is being computed. Only needed where a turn
    /// ends with something owed: a finished one is no suspect anyway.
    pub fn end_turn(&self) {
        self.turn.store(0, Ordering::Release);
    }

    /// Whose answer was being computed.
    pub fn turn(&self) -> Option<u32> {
        self.turn.load(Ordering::Acquire).checked_sub(1)
    }

    /// Notes that a record is used.
    pub fn reach(&self, record: u32) {
        if self.reach.load(Ordering::Relaxed) <= record {
            self.reach.store(record + 1, Ordering::Release);
        }
    }

    /// Notes that nobody uses this record, or any after it.
    pub(super) fn withdraw(&self, record: u32) {
        self.reach.store(record.min(self.reached()), Ordering::Release);
    }

    /// One more than the highest record that may be used: there is no need to
    /// look at the others, and each look would cost a page. Behind the last record
    /// lies what is in use by others, whatever a damaged file says.
    pub fn reached(&self) -> u32 {
        self.reach.load(Ordering::Acquire).min(RECORDS)
    }

    /// Counts a refusal.
    pub fn refuse(&self, refusal: Refusal) {
        add(&self.refused, 1);
        add(&self.refusals[refusal as usize], 1);
    }

    /// How many were refused, ever.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many were refused for this reason, ever.
    pub fn refused_for(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize].load(Ordering::Relaxed)
    }

    /// Notes when the process leaves in order.
    pub fn leave(&self, now: u64) {
        self.left.store(now, Ordering::Release);
    }

    /// When the predecessor left, if it left in order; asked once.
    pub fn take_left(&self) -> Option<NonZeroU64> {
        let left = NonZeroU64::new(self.left.load(Ordering::Acquire));
        self.left.store(0, Ordering::Release);
        left
    }
}

/// Adds to a total. One thread writes; the successor reads.
pub fn add(total: &AtomicU64, n: u64) {
    total.store(total.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}
