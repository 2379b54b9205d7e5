//! The protocols, pure: bytes in, bytes out. No clock, socket, task or log.

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

/// Suffix, exit word and message size; a conversation keeps the rule it began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    suffix: Box<[u8]>,
    exit_word: Box<[u8]>,
    message_max: usize,
}

/// The most one read takes, in bytes: 64 KiB.
pub const MESSAGE_MAX: usize = 65_536;
/// The longest suffix, in bytes.
pub const SUFFIX_MAX: usize = 256;
/// The longest exit word, in bytes.
pub const EXIT_WORD_MAX: usize = 255;
/// The longest datagram that is answered, in bytes.
pub const DATAGRAM_MAX: usize = 65_507;
