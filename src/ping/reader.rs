//! Finding the answers in a stream. As long as it is right, one follows the
//! other; when it is not, the next thing that looks like one of our messages
//! tells where we are.

use super::book::Book;
use super::heard::{Fault, Heard};
use super::matching::{Match, Matching};
use super::payload::{Form, HEADER, Name};

/// What came on one stream and is not yet understood.
#[derive(Debug)]
pub(super) struct Reader {
    key: u32,
    /// Messages longer than this may be read in pieces by the server.
    segment: Option<usize>,
    held: Vec<u8>,
    /// The answer that should be the first in there.
    matching: Option<Matching>,
    /// The message whose answer came last; 0 if none has.
    last: u32,
    /// What is held is not right; only more can tell what it is.
    is_wrong: bool,
}

impl Reader {
    /// A stream whose messages have this key. With a `segment`, longer messages
    /// may have the suffix at any cut.
    pub(super) fn new(key: u32, segment: Option<usize>) -> Self {
        Self { key, segment, held: Vec::new(), matching: None, last: 0, is_wrong: false }
    }

    /// More has come.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether an answer has begun to come.
    pub(super) fn is_within(&self) -> bool {
        !self.held.is_empty()
    }

    /// The message whose answer came last; 0 if none has.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// The next thing that came whole.
    pub(super) fn next(&mut self, book: &Book, form: &Form) -> Option<Heard> {
        if self.held.is_empty() {
            return None;
        }
        let expected = book.expected_after(self.last);
        if let Some(sequence) = expected {
            match self.compare(sequence, book, form) {
                Match::Whole(len) => return Some(self.whole(sequence, len)),
                Match::More => return None,
                Match::Differs => {}
            }
        }
        let prefix = form.prefix(self.key);
        if self.held.len() < HEADER
            && common(&self.held, &prefix) == self.held.len().min(prefix.len())
        {
            self.is_wrong = true;
            return None;
        }
        let heard = match form.sequence(self.key, &self.held).filter(|it| book.is_known(*it)) {
            Some(sequence) => self.out_of_turn(sequence, book, form),
            None => self.nameless(expected, book, form),
        };
        self.is_wrong = heard.is_none();
        heard
    }

    /// Nothing more will come for what is held.
    pub(super) fn give_up(&mut self, book: &Book, form: &Form) -> Option<Heard> {
        let expected = book.expected_after(self.last);
        match expected {
            _ if self.held.is_empty() => None,
            Some(sequence) => Some(self.altered(sequence, self.held.len(), book, form)),
            None => Some(self.surplus(self.held.len())),
        }
    }

    /// The stream is over. What was right as far as it came is lost, not wrong.
    pub(super) fn finish(&mut self, book: &Book, form: &Form) -> Option<Heard> {
        if self.is_wrong { self.give_up(book, form) } else { None }
    }

    /// It begins like one of our messages, but not the one whose turn it is.
    fn out_of_turn(&mut self, sequence: u32, book: &Book, form: &Form) -> Option<Heard> {
        match self.compare(sequence, book, form) {
            Match::Whole(len) => return Some(self.whole(sequence, len)),
            Match::More => return None,
            Match::Differs => {}
        }
        let end = self.next_message(1, form).or_else(|| self.as_long_as(sequence, form))?;
        Some(self.altered(sequence, end, book, form))
    }

    /// It begins like nothing we know.
    fn nameless(&mut self, expected: Option<u32>, book: &Book, form: &Form) -> Option<Heard> {
        let next = self.next_message(1, form);
        if let Some(begin) = next {
            let name = self.held.get(begin..begin + HEADER)?;
            let sequence = form.sequence(self.key, name);
            // In front of the answer that is due, it is something between answers.
            return Some(match expected {
                Some(due) if sequence.is_none_or(|it| it > due) => {
                    self.altered(due, begin, book, form)
                }
                _ => self.surplus(begin),
            });
        }
        if let Some(due) = expected {
            let end = self.as_long_as(due, form)?;
            return Some(self.altered(due, end, book, form));
        }
        let end = self.held.len() - self.tail(form);
        (end > 0).then(|| self.surplus(end))
    }

    /// Where the next message begins, from a place on.
    fn next_message(&self, from: usize, form: &Form) -> Option<usize> {
        let prefix = form.prefix(self.key);
        let found = self.held.get(from..)?.windows(prefix.len()).position(|it| it == prefix)?;
        Some(from + found)
    }

    /// The length that an answer should have, if so much has come. Not yet, if
    /// another may have begun before.
    fn as_long_as(&self, sequence: u32, form: &Form) -> Option<usize> {
        let len = form.answer_len(sequence);
        (self.held.len() >= len && (self.tail(form) == 0 || self.held.len() > len + HEADER))
            .then_some(len)
    }

    /// How many bytes at the end may be the first of a message.
    fn tail(&self, form: &Form) -> usize {
        let prefix = form.prefix(self.key);
        let most = prefix.len().min(self.held.len());
        (1..most).rev().find(|len| self.held.ends_with(&prefix[..*len])).unwrap_or(0)
    }

    fn compare(&mut self, sequence: u32, book: &Book, form: &Form) -> Match {
        let matching = self.matching.take().filter(|it| it.sequence() == sequence);
        let mut matching = matching.unwrap_or_else(|| self.matching(sequence, book, form));
        let result = matching.compare(&self.held);
        self.matching = Some(matching);
        result
    }

    fn matching(&self, sequence: u32, book: &Book, form: &Form) -> Matching {
        let name = Name { key: self.key, sequence };
        let cuts = self.segment.is_some_and(|segment| form.size(sequence) > segment);
        let expected = form.expect(name, book.check(sequence));
        Matching::new(expected, cuts.then_some(form.suffix().len()))
    }

    fn whole(&mut self, sequence: u32, len: usize) -> Heard {
        self.drop_held(len);
        self.last = sequence;
        Heard::Whole { sequence, len }
    }

    fn altered(&mut self, sequence: u32, len: usize, book: &Book, form: &Form) -> Heard {
        let matching = self.matching(sequence, book, form);
        let fault = Fault::between(&self.held[..len], matching.expected());
        self.drop_held(len);
        self.last = sequence;
        Heard::Altered { sequence, fault }
    }

    fn surplus(&mut self, len: usize) -> Heard {
        let fault = Fault::between(&self.held[..len], b"");
        self.drop_held(len);
        Heard::Surplus { after: Some(self.last).filter(|last| *last > 0), fault }
    }

    fn drop_held(&mut self, len: usize) {
        self.held.drain(..len);
        self.matching = None;
        self.is_wrong = false;
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
