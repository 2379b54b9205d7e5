//! Waking conversations whose time may be up. One list for all, and one timer for
//! the first of it: a timer of its own would be 128 bytes for each conversation,
//! which every message would have to look at.

use super::desk::{Desk, with};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use tokio::time::{Instant, timeout_at};

/// Whom to wake when. A conversation is in it at most once, at the instant that
/// its talk has as `alarm`.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    set: BTreeMap<(Instant, u32), Waker>,
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
        self.talk(number).alarm = Some(deadline);
        self.alarms.set.insert((deadline, number), waker.clone());
        let first = self.alarms.set.first_key_value().map(|(&first, _)| first);
        if first == Some((deadline, number)) {
            self.signs.alarm.notify_one();
        }
        false
    }

    /// Wakes nobody for the sake of this conversation.
    pub(super) fn unset_alarm(&mut self, number: u32) {
        if let Some(at) = self.talk(number).alarm.take() {
            self.alarms.set.remove(&(at, number));
        }
    }

    /// Rings what is due by `now`; when the next one is.
    fn ring(&mut self, now: Instant) -> Option<Instant> {
        while let Some(first) = self.alarms.set.first_entry() {
            let (at, number) = *first.key();
            if at > now {
                return Some(at);
            }
            first.remove().wake();
            self.talk(number).alarm = None;
        }
        None
    }
}
