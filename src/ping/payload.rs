//! What is sent, and what must come back. A message says who sent it and which
//! it is, then a pattern that follows from that, all of it under a checksum:
//!
//! ```text
//! #5f0c2a91 0000002a 8d1e77f0 …
//! |\ key    \ sequence        \ pattern
//! | marker           \ CRC-32 of the rest of the message
//! ```
//!
//! The sender knows every byte that must come back, so nothing that was altered
//! is missed. Messages with less room than that are pattern alone.

use super::crc::crc32;
use crate::echo::{Protocol, Rule};
use std::sync::LazyLock;

/// What comes before the pattern, in bytes.
pub(super) const HEADER: usize = 28;
/// Marker and key: the same in each message of a connection.
pub(super) const PREFIX: usize = 9;
/// Where the checksum stands.
const CHECK: std::ops::Range<usize> = 19..27;
/// A prime, so that no power of two of bytes can be dropped or doubled unseen.
const PATTERN: usize = 65_521;

/// The sizes of messages, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The smallest, which comes first.
    pub(super) min: usize,
    /// The largest; then it begins again.
    pub(super) max: usize,
}

impl Sizes {
    fn of(self, sequence: u32) -> usize {
        self.min + (sequence.wrapping_sub(1) as usize) % (self.max - self.min + 1)
    }
}

/// One message of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Which connection, and of which run.
    pub(super) key: u32,
    /// Which message, from 1.
    pub(super) sequence: u32,
}

/// What the messages of a run look like.
#[derive(Clone, Debug)]
pub(super) struct Form {
    sizes: Sizes,
    protocol: Protocol,
    suffix: Box<[u8]>,
    marker: u8,
    /// What no message begins with: the exit word's first byte.
    avoided: Option<u8>,
    /// Twice, so that it can be read from anywhere.
    pattern: &'static [u8],
}

/// What must come back for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Which.
    pub(super) sequence: u32,
    /// The answer when the message was read at once.
    pub(super) bytes: Vec<u8>,
}

impl Form {
    /// Messages of these sizes for a server that speaks `protocol` by `rule`.
    pub(super) fn new(sizes: Sizes, protocol: Protocol, rule: &Rule) -> Self {
        let avoided = rule.exit_word().first().copied().filter(|_| protocol != Protocol::Rfc862);
        let suffix = if protocol == Protocol::Rfc862 { &[][..] } else { rule.suffix() };
        let marker = if avoided == Some(b'#') { b'@' } else { b'#' };
        let pattern = if protocol == Protocol::Line { &LINE } else { &RAW };
        Self { sizes, protocol, suffix: suffix.into(), marker, avoided, pattern }
    }

    /// What goes behind a message.
    pub(super) fn suffix(&self) -> &[u8] {
        &self.suffix
    }

    /// How long a message is, in bytes.
    pub(super) fn size(&self, sequence: u32) -> usize {
        self.sizes.of(sequence)
    }

    /// Appends a message, and returns its checksum.
    pub(super) fn write(&self, name: Name, out: &mut Vec<u8>) -> u32 {
        let begin = out.len();
        self.write_with(name, 0, out);
        if self.size(name.sequence) < HEADER {
            return 0;
        }
        let message = &mut out[begin..];
        let check = crc32(&[&message[..CHECK.start], &message[CHECK.end..]]);
        message[CHECK].copy_from_slice(&hex(check));
        check
    }

    /// What must come back. The checksum is that of [`Form::write`]; without it
    /// it is computed again.
    pub(super) fn expect(&self, name: Name, check: Option<u32>) -> Expected {
        let mut bytes = Vec::with_capacity(self.size(name.sequence) + self.suffix.len());
        match check {
            Some(check) => self.write_with(name, check, &mut bytes),
            None => {
                self.write(name, &mut bytes);
            }
        }
        if self.protocol == Protocol::Line {
            bytes.truncate(bytes.len().saturating_sub(1));
            bytes.extend_from_slice(&self.suffix);
            bytes.push(b'\n');
        } else {
            bytes.extend_from_slice(&self.suffix);
        }
        Expected { sequence: name.sequence, bytes }
    }

    /// How long an answer is, in bytes.
    pub(super) fn answer_len(&self, sequence: u32) -> usize {
        self.size(sequence) + self.suffix.len()
    }

    /// What each message of a connection begins with.
    pub(super) fn prefix(&self, key: u32) -> [u8; PREFIX] {
        let mut prefix = [self.marker; PREFIX];
        prefix[1..].copy_from_slice(&hex(key));
        prefix
    }

    /// The sequence number in a message that begins with the key.
    pub(super) fn sequence(&self, key: u32, bytes: &[u8]) -> Option<u32> {
        let header = bytes.get(..HEADER)?;
        if header[..PREFIX] != self.prefix(key) || header[PREFIX] != b' ' {
            return None;
        }
        let digits = std::str::from_utf8(&header[PREFIX + 1..PREFIX + 9]).ok()?;
        u32::from_str_radix(digits, 16).ok()
    }

    fn write_with(&self, name: Name, check: u32, out: &mut Vec<u8>) {
        let size = self.size(name.sequence);
        let begin = out.len();
        if size >= HEADER {
            let mut header = [b' '; HEADER];
            header[..PREFIX].copy_from_slice(&self.prefix(name.key));
            header[PREFIX + 1..PREFIX + 9].copy_from_slice(&hex(name.sequence));
            header[CHECK].copy_from_slice(&hex(check));
            out.extend_from_slice(&header);
        }
        let mut at = place(name);
        while out.len() - begin < size {
            let left = size - (out.len() - begin);
            let piece = &self.pattern[at..][..left.min(PATTERN)];
            out.extend_from_slice(piece);
            at = (at + piece.len()) % PATTERN;
        }
        if let Some(last) = out.last_mut().filter(|_| self.protocol == Protocol::Line && size > 0) {
            *last = b'\n';
        }
        if self.avoided.is_some() && out.get(begin).copied() == self.avoided {
            out[begin] = self.marker;
        }
    }
}

/// Where in the pattern a message begins: neighbours are far apart.
fn place(name: Name) -> usize {
    let mixed = name.key.wrapping_add(name.sequence.wrapping_mul(0x9e37_79b9));
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d);
    (mixed ^ mixed >> 13) as usize % PATTERN
}

static RAW: LazyLock<Box<[u8]>> = LazyLock::new(|| pattern(|_| true));
/// Line ends have a meaning there.
static LINE: LazyLock<Box<[u8]>> = LazyLock::new(|| pattern(|byte| !matches!(byte, b'\r' | b'\n')));

/// The same noise in every run.
fn pattern(has: impl Fn(u8) -> bool) -> Box<[u8]> {
    let mut state = 0x2545_f491_u32;
    let noise = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Some((state >> 11).to_le_bytes()[0])
    });
    let once: Vec<u8> = noise.filter(|byte| has(*byte)).take(PATTERN).collect();
    [&once[..], &once[..]].concat().into()
}

/// The two digits of each byte.
static DIGITS: [[u8; 2]; 256] = digits();

const fn digits() -> [[u8; 2]; 256] {
    const DIGIT: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = [DIGIT[byte >> 4], DIGIT[byte & 0xf]];
        byte += 1;
    }
    all
}

fn hex(word: u32) -> [u8; 8] {
    let [a, b, c, d] = word.to_be_bytes().map(|byte| DIGITS[usize::from(byte)]);
    [a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]
}

#[cfg(test)]
mod tests;
