//! What the operator may choose about an answer. A [`Rule`] out of range does
//! not exist.

use super::{EXIT_WORD_MAX, MESSAGE_MAX, SUFFIX_MAX};
use std::fmt;

/// Suffix, exit word and message size; a conversation keeps the rule it began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    suffix: Box<[u8]>,
    exit_word: Box<[u8]>,
    message_max: usize,
}

impl Rule {
    /// A rule from a suffix of at most 256 bytes, an exit word of at most 255
    /// bytes without CR or LF (empty: none), and the most that one read of
    /// `reply` takes, 1 to 65,536 bytes.
    ///
    /// # Errors
    /// The first of these that is out of range; it says what is allowed.
    pub fn new(suffix: &[u8], exit_word: &[u8], message_max: usize) -> Result<Self, RuleError> {
        if suffix.len() > SUFFIX_MAX {
            return Err(RuleError::SuffixTooLong);
        }
        if exit_word.len() > EXIT_WORD_MAX {
            return Err(RuleError::ExitWordTooLong);
        }
        // A line ends there: such a word could never be said in `line`.
        if exit_word.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(RuleError::ExitWordHasLineEnd);
        }
        if !(1..=MESSAGE_MAX).contains(&message_max) {
            return Err(RuleError::MessageMaxOutOfRange);
        }
        Ok(Self { suffix: suffix.into(), exit_word: exit_word.into(), message_max })
    }

    /// What goes behind a message: 0 to 256 bytes.
    pub fn suffix(&self) -> &[u8] {
        &self.suffix
    }

    /// What ends a conversation: 0 to 255 bytes without CR or LF; empty is none.
    pub fn exit_word(&self) -> &[u8] {
        &self.exit_word
    }

    /// The most that one read of `reply` takes: 1 to 65,536 bytes.
    pub fn message_max(&self) -> usize {
        self.message_max
    }
}

/// The tutorial's suffix and exit word, and reads of 64 KiB.
impl Default for Rule {
    fn default() -> Self {
        Self::new("-回传".as_bytes(), b"exit", MESSAGE_MAX).expect("the defaults are in range")
    }
}

/// Why there is no such rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// The suffix has more than 256 bytes.
    SuffixTooLong,
    /// The exit word has more than 255 bytes.
    ExitWordTooLong,
    /// There is a CR or LF in the exit word.
    ExitWordHasLineEnd,
    /// A read cannot take 0 bytes, or more than 65,536.
    MessageMaxOutOfRange,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SuffixTooLong => "a suffix has at most 256 bytes",
            Self::ExitWordTooLong => "an exit word has at most 255 bytes",
            Self::ExitWordHasLineEnd => "an exit word has no line end in it",
            Self::MessageMaxOutOfRange => "a message is from 1 byte to 64 KiB",
        })
    }
}

impl std::error::Error for RuleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_tutorials() {
        let rule = Rule::default();
        assert_eq!(rule.suffix(), b"\x2d\xe5\x9b\x9e\xe4\xbc\xa0");
        assert_eq!(rule.exit_word(), b"exit");
        assert_eq!(rule.message_max(), 65_536);
    }

    #[test]
    fn a_suffix_has_at_most_256_bytes() {
        assert!(Rule::new(&[b's'; 255], b"", 1).is_ok());
        assert!(Rule::new(&[b's'; 256], b"", 1).is_ok());
        assert_eq!(Rule::new(&[b's'; 257], b"", 1), Err(RuleError::SuffixTooLong));
        assert!(Rule::new(b"", b"", 1).is_ok());
    }

    #[test]
    fn an_exit_word_has_at_most_255_bytes() {
        assert!(Rule::new(b"", &[b'e'; 254], 1).is_ok());
        assert!(Rule::new(b"", &[b'e'; 255], 1).is_ok());
        assert_eq!(Rule::new(b"", &[b'e'; 256], 1), Err(RuleError::ExitWordTooLong));
    }

    #[test]
    fn an_exit_word_has_no_line_end() {
        for word in [&b"ex\rit"[..], b"exit\n", b"\n", b"\r"] {
            assert_eq!(Rule::new(b"", word, 1), Err(RuleError::ExitWordHasLineEnd));
        }
        assert!(Rule::new(b"\r\n", b"ex\0it \xff", 1).is_ok());
    }

    #[test]
    fn a_message_is_from_1_byte_to_64_kib() {
        assert_eq!(Rule::new(b"", b"", 0), Err(RuleError::MessageMaxOutOfRange));
        assert!(Rule::new(b"", b"", 1).is_ok());
        assert!(Rule::new(b"", b"", 65_535).is_ok());
        assert!(Rule::new(b"", b"", 65_536).is_ok());
        assert_eq!(Rule::new(b"", b"", 65_537), Err(RuleError::MessageMaxOutOfRange));
    }
}
