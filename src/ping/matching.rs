//! Comparing what comes with what must come, as far as it has come.
//!
//! A long message can reach a server in several reads, and `reply` answers each
//! read with a suffix of its own: there the suffix is right at any cut, and
//! behind the end it is needed.

use super::payload::Expected;

/// One answer on its way in.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    expected: Expected,
    /// How many bytes at the end of it are the suffix, if it may stand at cuts.
    suffix: Option<usize>,
    /// How many bytes were right.
    fed: usize,
    /// Where in the answer they may have led to; one place, as a rule.
    places: Vec<Place>,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// All right, but not all there.
    More,
    /// It ends after so many bytes.
    Whole(usize),
    /// Something is wrong.
    Differs,
}

/// So many bytes of the message, and of the suffix behind them. Behind a whole
/// suffix no other follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    message: usize,
    suffix: usize,
}

impl Matching {
    /// `suffix` is how many bytes of it are a suffix that may stand at any cut.
    pub(super) fn new(expected: Expected, suffix: Option<usize>) -> Self {
        let suffix = suffix.filter(|len| *len > 0);
        let places = suffix.map(|_| Place { message: 0, suffix: 0 }).into_iter().collect();
        Self { expected, suffix, fed: 0, places }
    }

    /// Which answer it is.
    pub(super) fn sequence(&self) -> u32 {
        self.expected.sequence
    }

    /// The answer to a message that was read at once.
    pub(super) fn expected(&self) -> &[u8] {
        &self.expected.bytes
    }

    /// Looks at all that came, from the answer's first byte on.
    pub(super) fn compare(&mut self, came: &[u8]) -> Match {
        if let Some(suffix) = self.suffix {
            return self.compare_with_cuts(came, suffix);
        }
        let wanted = &self.expected.bytes;
        let end = came.len().min(wanted.len());
        if self.fed < end && came[self.fed..end] != wanted[self.fed..end] {
            return Match::Differs;
        }
        self.fed = end;
        if end == wanted.len() { Match::Whole(end) } else { Match::More }
    }

    fn compare_with_cuts(&mut self, came: &[u8], suffix: usize) -> Match {
        let (message, suffix) = self.expected.bytes.split_at(self.expected.bytes.len() - suffix);
        let end = Place { message: message.len(), suffix: suffix.len() };
        while let Some(&byte) = came.get(self.fed) {
            self.fed += 1;
            if let [Place { message: at, suffix: 0 }] = &mut self.places[..] {
                if message.get(*at) == Some(&byte) && byte != suffix[0] {
                    *at += 1;
                    continue;
                }
            }
            let places = std::mem::take(&mut self.places);
            self.places.extend(places.iter().flat_map(|place| place.after(byte, message, suffix)));
            if self.places.is_empty() {
                // What is wrong stays wrong.
                self.fed -= 1;
                return Match::Differs;
            }
            if self.places.contains(&end) {
                return Match::Whole(self.fed);
            }
        }
        Match::More
    }
}

impl Place {
    fn after(self, byte: u8, message: &[u8], suffix: &[u8]) -> impl Iterator<Item = Self> {
        let is_within = (1..suffix.len()).contains(&self.suffix);
        let goes_on = is_within && suffix[self.suffix] == byte;
        let begins = self.suffix == 0 && self.message > 0 && suffix[0] == byte;
        let says = !is_within && message.get(self.message) == Some(&byte);
        let deeper = Self { suffix: self.suffix + 1, ..self };
        let further = Self { message: self.message + 1, suffix: 0 };
        (goes_on || begins).then_some(deeper).into_iter().chain(says.then_some(further))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matching(message: &[u8], suffix: &[u8], cuts: bool) -> Matching {
        let bytes = [message, suffix].concat();
        Matching::new(Expected { sequence: 1, bytes }, cuts.then_some(suffix.len()))
    }

    #[test]
    fn an_answer_may_come_in_pieces() {
        let mut one = matching(b"abc", b"-S", false);
        assert_eq!(one.compare(b""), Match::More);
        assert_eq!(one.compare(b"ab"), Match::More);
        assert_eq!(one.compare(b"abc-Sab"), Match::Whole(5));
    }

    #[test]
    fn a_wrong_byte_differs_at_once() {
        for cuts in [false, true] {
            let mut one = matching(b"abc", b"-S", cuts);
            assert_eq!(one.compare(b"ab"), Match::More);
            assert_eq!(one.compare(b"abX"), Match::Differs);
            assert_eq!(one.compare(b"abXc-S"), Match::Differs);
        }
    }

    #[test]
    fn a_suffix_is_right_at_any_cut_and_needed_at_the_end() {
        for (came, result) in [
            (&b"abc-S"[..], Match::Whole(5)),
            (b"a-Sbc-S", Match::Whole(7)),
            (b"a-Sb-Sc-Sabc", Match::Whole(9)),
            (b"abc", Match::More),
            (b"abc-", Match::More),
            (b"-Sabc-S", Match::Differs),
            (b"a-S-Sbc-S", Match::Differs),
            (b"a-bc-S", Match::Differs),
            (b"abcabc", Match::Differs),
        ] {
            assert_eq!(matching(b"abc", b"-S", true).compare(came), result, "{came:?}");
        }
        assert_eq!(matching(b"abc", b"-S", false).compare(b"a-Sbc-S"), Match::Differs);
    }

    proptest! {
        #[test]
        fn no_message_is_too_like_its_suffix(
            message in proptest::collection::vec(0_u8..3, 1..12),
            suffix in proptest::collection::vec(0_u8..3, 0..5),
            cuts: [bool; 11],
            pieces in proptest::collection::vec(1_usize..4, 40),
        ) {
            let mut answer = Vec::new();
            for (at, byte) in message.iter().enumerate() {
                answer.push(*byte);
                if at + 1 == message.len() || cuts[at] {
                    answer.extend_from_slice(&suffix);
                }
            }
            let mut one = matching(&message, &suffix, true);
            let mut end = 0;
            let mut last = Match::More;
            for piece in pieces {
                end = (end + piece).min(answer.len());
                last = one.compare(&answer[..end]);
                if last != Match::More {
                    break;
                }
            }
            // It may also be whole earlier, where the message repeats itself.
            prop_assert!(matches!(last, Match::Whole(len) if len <= answer.len()), "{last:?}");
        }
    }
}
