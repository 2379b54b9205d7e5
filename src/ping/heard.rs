//! What came back, and in what it differs from what was sent.

use std::fmt;

/// How many bytes of a difference are shown.
const SHOWN: usize = 8;

/// Something that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer to a message, byte for byte.
    Whole {
        /// Which.
        sequence: u32,
        /// How long the answer was.
        len: usize,
    },
    /// An answer to a message, but not the right one.
    Altered {
        /// Which.
        sequence: u32,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Bytes that nobody asked for.
    Surplus {
        /// The message whose answer they follow.
        after: Option<u32>,
        /// How many, and which come first.
        fault: Fault,
    },
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// How many bytes came.
    pub(super) len: usize,
    /// How many should have come.
    pub(super) len_wanted: usize,
    /// The first that is wrong, from 0.
    pub(super) at: usize,
    /// How many of those that came differ from what belongs there.
    pub(super) differing: usize,
    /// What came from there on.
    pub(super) found: Vec<u8>,
    /// What should have come from there on.
    pub(super) wanted: Vec<u8>,
}

impl Fault {
    /// Compares what came with what should have come.
    pub(super) fn between(found: &[u8], wanted: &[u8]) -> Self {
        let pairs = || found.iter().zip(wanted);
        let short = found.len().min(wanted.len());
        let at = pairs().position(|(a, b)| a != b).unwrap_or(short);
        let few = |bytes: &[u8]| bytes[at..].iter().take(SHOWN).copied().collect();
        Self {
            len: found.len(),
            len_wanted: wanted.len(),
            at,
            differing: pairs().filter(|(a, b)| a != b).count(),
            found: few(found),
            wanted: few(wanted),
        }
    }
}

impl fmt::Display for Fault {
    /// `byte 17 of 56 is 41 42, should be 61 62 (1 differs)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, len_wanted, at, .. } = self;
        match len.cmp(len_wanted) {
            std::cmp::Ordering::Less => write!(f, "cut: {len} bytes of {len_wanted}")?,
            std::cmp::Ordering::Equal => write!(f, "{} of {len} bytes differ", self.differing)?,
            std::cmp::Ordering::Greater if *len_wanted == 0 => write!(f, "too many: {len}")?,
            std::cmp::Ordering::Greater => write!(f, "longer: {len} bytes for {len_wanted}")?,
        }
        let [found, wanted] = [&self.found, &self.wanted].map(|bytes| Hex(bytes).to_string());
        match (found.is_empty(), wanted.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => write!(f, ", from byte {at}: {found}"),
            (false, false) => write!(f, ", from byte {at}: {found} for {wanted}"),
        }
    }
}

/// Bytes as hexadecimal digits with blanks.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for byte in self.0 {
            write!(f, "{gap}{byte:02x}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alteration_is_shown() {
        for (found, wanted, text) in [
            (
                &b"abXdefghijkl"[..],
                &b"abcdefghijkl"[..],
                "1 of 12 bytes differ, from byte 2: 58 64 65 66 67 68 69 6a for 63 64 65 66 67 68 69 6a",
            ),
            (b"aXcY", b"abcd", "2 of 4 bytes differ, from byte 1: 58 63 59 for 62 63 64"),
            (b"ab", b"abcd", "cut: 2 bytes of 4"),
            (b"bcd", b"abcd", "cut: 3 bytes of 4, from byte 0: 62 63 64 for 61 62 63 64"),
            (b"abcd\n", b"abcd", "longer: 5 bytes for 4, from byte 4: 0a"),
            (b"\r\n", b"", "too many: 2, from byte 0: 0d 0a"),
        ] {
            assert_eq!(Fault::between(found, wanted).to_string(), text);
        }
    }
}
