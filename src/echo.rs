//! The protocols, pure: bytes in, bytes out. No clock, socket, task or log.
//!
//! An [`Answer`] follows from the rule, the [`State`] and the bytes of one
//! read, and from nothing else: a successor that finds the same bytes computes
//! the same answer, and leaves out what has been given already.

mod answer;
mod datagram;
mod line;
mod rule;
mod state;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Outcome, answer, answer_len, farewell, read_max, whole_answer};
pub use datagram::{Insertion, TooLong, answer_datagram, says_exit};
pub use rule::{Rule, RuleError};
pub use state::State;

use std::fmt;
use std::str::FromStr;

/// The most one read takes, in bytes: 64 KiB.
pub const MESSAGE_MAX: usize = 65_536;
/// The longest suffix, in bytes.
pub const SUFFIX_MAX: usize = 256;
/// The longest exit word, in bytes.
pub const EXIT_WORD_MAX: usize = 255;
/// The longest datagram that is answered, in bytes.
pub const DATAGRAM_MAX: usize = 65_507;
/// What a buffer must hold, in bytes: the most one read takes, and the longest
/// suffix behind it.
pub const BUFFER_SIZE: usize = MESSAGE_MAX + SUFFIX_MAX;

/// What a listening socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// The tutorial's server: each read comes back with the suffix behind it.
    Reply = 1,
    /// The same for people who type: each line comes back with the suffix.
    Line = 2,
    /// RFC 862: every byte comes back unchanged.
    Rfc862 = 3,
}

impl Protocol {
    /// Every protocol, in the order of the manual.
    pub const ALL: [Self; 3] = [Self::Reply, Self::Line, Self::Rfc862];

    /// The protocol with this number in a record; `None` if there is none.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&protocol| protocol as u8 == number)
    }

    /// The word for it in options, socket names and `ECHO_PROTOCOL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Line => "line",
            Self::Rfc862 => "rfc862",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no protocol's [name](Protocol::name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownProtocol;

impl fmt::Display for UnknownProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a protocol is reply, line or rfc862")
    }
}

impl std::error::Error for UnknownProtocol {}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(word: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == word).ok_or(UnknownProtocol)
    }
}
