//! Waking conversations whose time may be up. One list for all, and one timer for
//! the first of it: a timer of its own would be 128 bytes for each conversation,
//! which every message would have to look at.

use super::desk::{Desk, with};
use crate::keep::RECORDS;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Whom to wake when. A conversation is in it at most once, at the instant that
/// its talk has as `alarm`.
#[derive(Debug)]
pub(super) struct Alarms {
    began: Instant,
    /// Milliseconds since it began, and below them the conversation's number: one
    /// word, since the nodes of a tree that grows at its end are half empty.
    set: BTreeSet<u64>,
}

const NUMBER_BITS: u32 = 16;
const _: () = assert!(RECORDS <= 1 << NUMBER_BITS);

impl Alarms {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), set: BTreeSet::new() }
    }

    /// Rather late than early, when nothing would be due.
    fn entry(&self, at: Instant, number: u32) -> u64 {
        let since = at.saturating_duration_since(self.began).as_nanos().div_ceil(1_000_000);
        let since = u64::try_from(since).unwrap_or(u64::MAX).min(u64::MAX >> NUMBER_BITS);
        since << NUMBER_BITS | u64::from(number)
    }

    /// The first to ring, and when.
    fn first(&self) -> Option<(Instant, u32)> {
        let entry = *self.set.first()?;
        let number = entry & ((1 << NUMBER_BITS) - 1);
        Some((self.began + Duration::from_millis(entry >> NUMBER_BITS), number as u32))
    }
}

#[cfg(test)]
impl Alarms {
    pub(super) fn count(&self) -> usize {
        self.set.len()
    }
}

/// Rings the alarms, for as long as it is polled.
pub async fn keep_time() {
    let signs = with(|desk| Arc::clone(&desk.signs));
    loop {
        match with(|desk| desk.ring(Instant::now())) {
            // Late or changed: both mean to look again.
            Some(next) => drop(timeout_at(next, signs.alarm.notified()).await),
            None => signs.alarm.notified().await,
        }
    }
}

impl Desk {
    /// Whether `deadline` has passed; else whoever asks is woken by then. A peer
    /// that talks puts its deadline off with each message, and to set an alarm each
    /// time would cost more than answering: one that is set stays, and who is woken
    /// by it sets it to what holds by then.
    pub(super) fn is_late(&mut self, number: u32, deadline: Instant, waker: &Waker) -> bool {
        if self.talk(number).is_woken_by(deadline) {
            return false;
        }
        if deadline <= Instant::now() {
            return true;
        }
        self.unset_alarm(number);
        let talk = self.talk(number);
        talk.alarm = Some(deadline);
        talk.rare.waker = Some(Box::new(waker.clone()));
        let entry = self.alarms.entry(deadline, number);
        self.alarms.set.insert(entry);
        if self.alarms.set.first() == Some(&entry) {
            self.signs.alarm.notify_one();
        }
        false
    }

    /// Wakes nobody for the sake of this conversation.
    pub(super) fn unset_alarm(&mut self, number: u32) {
        let talk = self.talk(number);
        if let Some(at) = talk.alarm.take() {
            talk.rare.waker = None;
            let entry = self.alarms.entry(at, number);
            self.alarms.set.remove(&entry);
        }
    }

    /// Rings what is due by `now`; when the next one is.
    fn ring(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, number)) = self.alarms.first() {
            if at > now {
                return Some(at);
            }
            self.alarms.set.pop_first();
            let talk = self.talk(number);
            talk.alarm = None;
            if let Some(waker) = talk.rare.waker.take() {
                waker.wake();
            }
        }
        None
    }
}
