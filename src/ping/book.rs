//! Which messages are on their way, which came back, and which are lost: the
//! books of one connection. No clock: it is told the time since the run began.

use std::collections::VecDeque;
use std::time::Duration;

/// How many settled messages are remembered, so that a second answer is known
/// for what it is. An answer to an older one is a duplicate as well.
const REMEMBERED: usize = 64;

/// Every message of one connection.
#[derive(Debug)]
pub(super) struct Book {
    /// The sequence number of the first record.
    first: u32,
    records: VecDeque<Record>,
    /// Nothing before it is on its way.
    oldest: u32,
    outstanding: usize,
    /// The highest that came back.
    highest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// From when its time counts.
    since: Duration,
    /// When it left.
    sent: Duration,
    check: u32,
    fate: Fate,
    is_corrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Out,
    Back,
    Lost,
}

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The first to its message.
    Back {
        /// How long it took.
        time: Duration,
        /// A later message was answered before.
        reordered: bool,
    },
    /// The message had its answer already.
    Again,
    /// The message was already given up.
    Late,
}

impl Default for Book {
    fn default() -> Self {
        Self { first: 1, records: VecDeque::new(), oldest: 1, outstanding: 0, highest: 0 }
    }
}

impl Book {
    /// The sequence number of the next message.
    pub(super) fn next(&self) -> u32 {
        self.first + u32::try_from(self.records.len()).expect("few are remembered")
    }

    /// How many are on their way.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// A message with this checksum leaves; its time counts from `since`.
    pub(super) fn send(&mut self, since: Duration, sent: Duration, check: u32) {
        while self.records.len() > REMEMBERED && self.records[0].fate != Fate::Out {
            self.records.pop_front();
            self.first += 1;
        }
        self.records.push_back(Record { since, sent, check, fate: Fate::Out, is_corrupted: false });
        self.outstanding += 1;
    }

    /// Whether such a message was ever sent.
    pub(super) fn is_known(&self, sequence: u32) -> bool {
        (1..self.next()).contains(&sequence)
    }

    /// The checksum of a message, as long as it is remembered.
    pub(super) fn check(&self, sequence: u32) -> Option<u32> {
        self.get(sequence).map(|record| record.check)
    }

    /// What is on its way, the oldest first.
    pub(super) fn out(&self) -> impl Iterator<Item = u32> {
        self.out_from(self.oldest)
    }

    /// The answer that a stream owes next when `last` was the one before.
    pub(super) fn expected_after(&self, last: u32) -> Option<u32> {
        self.out_from(last.saturating_add(1)).next().or_else(|| self.out().next())
    }

    /// What was answered and is still remembered, the newest first.
    pub(super) fn back(&self) -> impl Iterator<Item = u32> {
        let numbers = self.first..self.next();
        numbers.zip(&self.records).filter(|(_, it)| it.fate == Fate::Back).map(|(n, _)| n).rev()
    }

    /// An answer came to a message that [is known](Book::is_known).
    pub(super) fn came(&mut self, sequence: u32, now: Duration) -> Came {
        let highest = self.highest;
        let Some(record) = self.get_mut(sequence) else { return Came::Again };
        match record.fate {
            Fate::Back => return Came::Again,
            Fate::Lost => return Came::Late,
            Fate::Out => record.fate = Fate::Back,
        }
        let time = now.saturating_sub(record.since);
        self.highest = highest.max(sequence);
        self.settled();
        Came::Back { time, reordered: sequence < highest }
    }

    /// An answer was not what it should be. False if that was known of its
    /// message already.
    pub(super) fn corrupt(&mut self, sequence: u32) -> bool {
        match self.get_mut(sequence) {
            Some(record) => !std::mem::replace(&mut record.is_corrupted, true),
            None => true,
        }
    }

    /// When the oldest message on its way left.
    pub(super) fn oldest_sent(&self) -> Option<Duration> {
        self.get(self.oldest).filter(|_| self.outstanding > 0).map(|record| record.sent)
    }

    /// Gives the oldest message on its way up, and says which it was.
    pub(super) fn lose(&mut self) -> Option<u32> {
        let sequence = self.out().next()?;
        self.get_mut(sequence)?.fate = Fate::Lost;
        self.settled();
        Some(sequence)
    }

    fn settled(&mut self) {
        self.outstanding -= 1;
        let oldest = self.out_from(self.oldest).next();
        self.oldest = oldest.unwrap_or(self.next());
    }

    fn out_from(&self, from: u32) -> impl Iterator<Item = u32> {
        let from = from.max(self.oldest).max(self.first);
        let skipped = (from - self.first) as usize;
        let records = self.records.iter().skip(skipped);
        (from..).zip(records).filter(|(_, record)| record.fate == Fate::Out).map(|(n, _)| n)
    }

    fn get(&self, sequence: u32) -> Option<&Record> {
        self.records.get(sequence.checked_sub(self.first)? as usize)
    }

    fn get_mut(&mut self, sequence: u32) -> Option<&mut Record> {
        self.records.get_mut(sequence.checked_sub(self.first)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sent(count: u32) -> Book {
        let mut book = Book::default();
        for second in 0..count {
            book.send(SECOND * second, SECOND * second, second);
        }
        book
    }

    fn back(seconds: u64, reordered: bool) -> Came {
        Came::Back { time: Duration::from_secs(seconds), reordered }
    }

    #[test]
    fn an_answer_has_its_time() {
        let mut book = sent(3);
        assert_eq!(book.came(1, SECOND * 5), back(5, false));
        assert_eq!(book.came(3, SECOND * 5), back(3, false));
        assert_eq!(book.outstanding(), 1);
        assert_eq!(book.out().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_comes_after_a_later_one_is_reordered() {
        let mut book = sent(4);
        let came = [2, 1, 4, 3].map(|sequence| book.came(sequence, SECOND * 9));
        let reordered = came.map(|came| matches!(came, Came::Back { reordered: true, .. }));
        assert_eq!(reordered, [false, true, false, true]);
    }

    #[test]
    fn a_second_answer_is_a_duplicate_and_an_answer_to_what_is_lost_is_late() {
        let mut book = sent(2);
        assert_eq!(book.lose(), Some(1));
        assert_eq!(book.came(1, SECOND), Came::Late);
        assert_eq!(book.came(2, SECOND), back(0, false));
        assert_eq!(book.came(2, SECOND), Came::Again);
        assert_eq!(book.lose(), None);
        assert_eq!(book.outstanding(), 0);
    }

    #[test]
    fn a_message_is_corrupted_once() {
        let mut book = sent(1);
        assert!(book.corrupt(1));
        assert!(!book.corrupt(1));
    }

    #[test]
    fn a_stream_owes_what_follows_then_what_was_left_out() {
        let mut book = sent(4);
        assert_eq!(book.expected_after(0), Some(1));
        book.came(3, SECOND);
        assert_eq!(book.expected_after(3), Some(4));
        book.came(4, SECOND);
        assert_eq!(book.expected_after(4), Some(1));
        assert_eq!(book.back().collect::<Vec<_>>(), [4, 3]);
    }

    #[test]
    fn old_messages_are_forgotten_but_never_those_on_their_way() {
        let mut book = sent(1);
        for _ in 0..5000 {
            book.send(SECOND, SECOND, 0);
            assert!(matches!(book.came(book.next() - 1, SECOND), Came::Back { .. }));
        }
        assert_eq!(book.records.len(), 5001);
        assert_eq!(book.came(1, SECOND), back(1, true));
        book.send(SECOND, SECOND, 0);
        assert_eq!(book.records.len(), REMEMBERED + 1);
        assert_eq!(book.came(1, SECOND), Came::Again);
        assert!(book.is_known(1) && book.is_known(5002));
        assert!(!book.is_known(5003) && !book.is_known(0));
    }
}
