//! What one conversation knows, in one cache line, and the order in which it
//! is noted.

use super::rules::RuleIndex;
use crate::conversation::Id;
use crate::echo::{Protocol, State};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// The low 48 bits of a mark count bytes; 256 TiB pass before they repeat, and
/// only differences of at most a slot are ever asked for.
const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// One conversation.
///
/// All input before `c0` has been answered, and that answer ended at `w0`; what
/// was taken after `c0` lies at the start of `slot`. `c0` and the protocol's
/// state are one word, so that no death falls between them.
///
/// The fields are atomic because another process will read what this one
/// stored last. One thread stores; nothing is ever exchanged.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Record {
    /// Who; 0 is nobody. Written last at the beginning and first at the end.
    id: AtomicU64,
    /// `c0` modulo 2⁴⁸, and the state in the 16 bits above.
    mark: AtomicU64,
    w0: AtomicU64,
    /// `CLOCK_BOOTTIME` when it was accepted, in nanoseconds.
    born: AtomicU64,
    messages: AtomicU64,
    slot: AtomicU32,
    protocol: AtomicU8,
    rule: AtomicU8,
    strikes: AtomicU8,
    /// Whether the beginning is in the journal, so that the end will be.
    recorded: AtomicU8,
    _reserved: [AtomicU8; 16],
}

const _: () = assert!(size_of::<Record>() == super::layout::RECORD_SIZE);

/// What a record said when its process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Bytes of input that have been answered, modulo 2⁴⁸.
    pub c0: u64,
    /// What the next byte of input depends on.
    pub state: State,
    /// Bytes of answers given by then; one turn behind if the process died
    /// between two notes.
    pub w0: u64,
    /// Where input after `c0` lies.
    pub slot: u32,
    /// Messages answered; may be one turn behind.
    pub messages: u64,
}

/// On what terms a conversation began; they hold to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it speaks.
    pub protocol: Protocol,
    /// By which rule.
    pub rule: RuleIndex,
    /// `CLOCK_BOOTTIME` when it was accepted, in nanoseconds.
    pub born: u64,
}

/// A turn that is done: what is noted about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// All input so far.
    pub taken: u64,
    /// All answers so far.
    pub given: u64,
    /// What the next byte of input depends on.
    pub state: State,
    /// All messages so far.
    pub messages: u64,
}

/// One store of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `c0` and the state: from here on the input counts as answered.
    Mark,
    /// `w0`: where that answer ended.
    Given,
    /// The count of messages, which only people read.
    Messages,
}

/// The order of the stores is a law. A successor that finds the mark without
/// `w0` sees nothing unanswered and takes `w0` from the kernel; one that found
/// `w0` without the mark would compute the answer again, see none of it given,
/// and double it.
pub const ORDER: [Step; 3] = [Step::Mark, Step::Given, Step::Messages];

impl Record {
    /// Writes a conversation of which nothing is unanswered; whoever reads it
    /// meanwhile sees nobody.
    pub fn begin(&self, id: Id, terms: Terms, done: &Done) {
        self.id.store(0, Ordering::Release);
        for step in ORDER {
            self.step(step, done);
        }
        self.born.store(terms.born, Ordering::Release);
        self.slot.store(0, Ordering::Release);
        self.protocol.store(terms.protocol as u8, Ordering::Release);
        self.rule.store(terms.rule, Ordering::Release);
        self.strikes.store(0, Ordering::Release);
        self.recorded.store(0, Ordering::Release);
        self.id.store(id.0.get(), Ordering::Release);
    }

    /// Notes that the beginning is in the journal.
    pub fn set_recorded(&self) {
        self.recorded.store(1, Ordering::Release);
    }

    /// Whether the beginning is in the journal.
    pub fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire) == 1
    }

    /// Frees the record.
    pub fn end(&self) {
        self.id.store(0, Ordering::Release);
    }

    /// Says where the input of the next turn will lie, before any is taken.
    pub fn place(&self, slot: u32) {
        if self.slot.load(Ordering::Relaxed) != slot {
            self.slot.store(slot, Ordering::Release);
        }
    }

    /// Notes a turn, in [`ORDER`], and forgives what was suspected before.
    pub fn note(&self, done: &Done) {
        for step in ORDER {
            self.step(step, done);
        }
        if self.strikes.load(Ordering::Relaxed) != 0 {
            self.strikes.store(0, Ordering::Release);
        }
    }

    /// One store of a note.
    pub fn step(&self, step: Step, done: &Done) {
        match step {
            Step::Mark => self.mark.store(mark(done.taken, done.state), Ordering::Release),
            Step::Given => self.w0.store(done.given, Ordering::Release),
            Step::Messages => self.messages.store(done.messages, Ordering::Release),
        }
    }

    /// Notes that the answer at end of file has begun; `w0` is true by then.
    pub fn mark_last(&self) {
        let noted = self.noted();
        self.mark.store(mark(noted.c0, noted.state.with_last()), Ordering::Release);
    }

    /// Takes where the answers ended from the kernel, for an adopted
    /// conversation of which nothing is unanswered.
    pub fn settle(&self, given: u64) {
        self.w0.store(given, Ordering::Release);
    }

    /// Notes that answering is about to be tried again after a death.
    pub fn strike(&self) -> u8 {
        let strikes = self.strikes.load(Ordering::Relaxed).saturating_add(1);
        self.strikes.store(strikes, Ordering::Release);
        strikes
    }

    /// How often the daemon died over the answer that is due.
    pub fn strikes(&self) -> u8 {
        self.strikes.load(Ordering::Acquire)
    }

    /// What it says now.
    pub fn noted(&self) -> Noted {
        let mark = self.mark.load(Ordering::Acquire);
        Noted {
            c0: mark & COUNT_MASK,
            state: State::from_bits((mark >> COUNT_BITS) as u16),
            w0: self.w0.load(Ordering::Acquire),
            slot: self.slot.load(Ordering::Acquire),
            messages: self.messages.load(Ordering::Acquire),
        }
    }

    /// Who it is about, if anybody.
    pub fn id(&self) -> Option<Id> {
        NonZeroU64::new(self.id.load(Ordering::Acquire)).map(Id)
    }

    /// On what terms it began, if what lies here can be terms.
    pub fn terms(&self) -> Option<Terms> {
        Some(Terms {
            protocol: Protocol::from_u8(self.protocol.load(Ordering::Acquire))?,
            rule: self.rule.load(Ordering::Acquire),
            born: self.born.load(Ordering::Acquire),
        })
    }
}

impl Noted {
    /// How many bytes were taken after `c0`, if the process took `taken` in all.
    pub fn unanswered(&self, taken: u64) -> u64 {
        taken.wrapping_sub(self.c0) & COUNT_MASK
    }
}

fn mark(taken: u64, state: State) -> u64 {
    (taken & COUNT_MASK) | u64::from(state.bits()) << COUNT_BITS
}
