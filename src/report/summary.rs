//! What is counted now and told later. Pure; the time is told.

use super::budget::Minute;
use super::record::{Event, Record, Summed};
use crate::conversation::Totals;
use std::time::Instant;

/// All counts that wait for their minute.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    /// One for each kind of event that happened yet, with the latest of it.
    events: Vec<(Event, Minute)>,
    summed: Summed,
    minute: Minute,
}

impl Summaries {
    /// Counts an event; [`Summaries::next`] has it at once, or once the minute is over.
    pub(super) fn count(&mut self, event: Event, now: Instant) {
        if let Some((latest, minute)) = self.events.iter_mut().find(|(e, _)| e.is_like(&event)) {
            *latest = event;
            minute.count(now);
        } else {
            let mut minute = Minute::default();
            minute.count(now);
            self.events.push((event, minute));
        }
    }

    /// Counts a conversation's begin.
    pub(super) fn began(&mut self, now: Instant) {
        self.minute.gather(now);
        self.summed.began += 1;
    }

    /// Counts a conversation's end.
    pub(super) fn ended(&mut self, totals: &Totals, now: Instant) {
        self.minute.gather(now);
        self.summed.ended += 1;
        self.summed.received = self.summed.received.saturating_add(totals.received);
        self.summed.sent = self.summed.sent.saturating_add(totals.sent);
    }

    /// A record whose time has come; until there is none.
    pub(super) fn next(&mut self, now: Instant) -> Option<Record> {
        self.tell(|minute| minute.take(now))
    }

    /// A record that would have waited; until there is none.
    pub(super) fn rest(&mut self) -> Option<Record> {
        self.tell(Minute::rest)
    }

    /// When the next record will be due.
    pub(super) fn due(&self) -> Option<Instant> {
        let minutes = self.events.iter().map(|(_, minute)| minute);
        minutes.chain([&self.minute]).filter_map(Minute::due).min()
    }

    fn tell(&mut self, count: impl Fn(&mut Minute) -> Option<u64>) -> Option<Record> {
        for (event, minute) in &mut self.events {
            if let Some(times) = count(minute) {
                return Some(Record::Repeated { event: event.clone(), times });
            }
        }
        count(&mut self.minute).map(|_| Record::Summed(std::mem::take(&mut self.summed)))
    }
}
