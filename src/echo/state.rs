//! What a conversation remembers between two reads, in sixteen bits.

use super::line::Place;
use super::{Protocol, Rule, farewell};

/// What the next byte's answer depends on, besides the rule. It fits beside
/// the count of bytes answered, so that one store notes both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State(u16);

// The layout outlives the process: a successor of another version reads it.
const ENDED: u16 = 1 << 15;
const LAST: u16 = 1 << 14;
/// In `reply`: the last read took all it may, so that the next continues it.
const CONTINUED: u16 = 1;

impl State {
    /// Nothing has been heard.
    pub const START: Self = Self(0);
    /// The exit word was said; nothing after it is answered.
    pub(super) const ENDED: Self = Self(ENDED);
    /// In `reply`: the next read continues the message of this one.
    pub(super) const CONTINUED: Self = Self(CONTINUED);

    /// As it is noted.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// From a note. What was not written by [`State::bits`] must pass
    /// [`State::is_valid`] before it is used.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether the exit word was said.
    pub fn ended(self) -> bool {
        self.0 & ENDED != 0
    }

    /// Whether the answer at end of file has begun.
    pub fn last(self) -> bool {
        self.0 & LAST != 0
    }

    /// The same, with the answer at end of file begun. To be noted before the
    /// first byte of a [`farewell`] that is not empty, and only then.
    #[must_use]
    pub fn with_last(self) -> Self {
        Self(self.0 | LAST)
    }

    /// Whether this protocol can have written these bits under this rule. Any
    /// others are damage, from which no answer may be computed.
    pub fn is_valid(self, protocol: Protocol, rule: &Rule) -> bool {
        let word = rule.exit_word();
        if self.ended() {
            return self == Self::ENDED && protocol != Protocol::Rfc862 && !word.is_empty();
        }
        let before = Self(self.code());
        let is_known = match protocol {
            Protocol::Reply => before == Self::START || before == Self::CONTINUED,
            Protocol::Line => Place::from_code(before.0).is_some_and(|place| place.fits(word)),
            Protocol::Rfc862 => before == Self::START,
        };
        is_known && (!self.last() || !farewell(rule, protocol, before).is_empty())
    }

    /// The state without its two bits for the end.
    pub(super) fn code(self) -> u16 {
        self.0 & !(ENDED | LAST)
    }
}

impl From<Place> for State {
    fn from(place: Place) -> Self {
        Self(place.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(protocol: Protocol, word: &[u8], suffix: &[u8]) -> Vec<u16> {
        let rule = Rule::new(suffix, word, 128).unwrap();
        (0..=u16::MAX).filter(|&bits| State::from_bits(bits).is_valid(protocol, &rule)).collect()
    }

    // These lists are the layout: a change here is a change of the memory file.

    #[test]
    fn rfc862_remembers_nothing() {
        assert_eq!(valid(Protocol::Rfc862, b"exit", b"-"), [0]);
    }

    #[test]
    fn reply_remembers_a_continuation_or_the_end() {
        assert_eq!(valid(Protocol::Reply, b"exit", b"-"), [0, 1, 0x8000]);
        assert_eq!(valid(Protocol::Reply, b"", b"-"), [0, 1]);
    }

    #[test]
    fn line_remembers_a_length_or_the_end() {
        assert_eq!(
            valid(Protocol::Line, b"ex", b"-"),
            [0, 1, 2, 0x100, 0x101, 0x102, 0x4001, 0x4100, 0x4101, 0x4102, 0x8000]
        );
        assert_eq!(valid(Protocol::Line, b"", b"-"), [0, 0x101, 0x102, 0x4101, 0x4102]);
        assert_eq!(valid(Protocol::Line, &[b'e'; 255], b"-").len(), 256 + 3 + 254 + 3 + 1);
    }

    #[test]
    fn without_a_suffix_there_is_less_to_give_at_the_end() {
        assert_eq!(valid(Protocol::Line, b"", b""), [0, 0x101, 0x102, 0x4102]);
    }
}
