//! Any bytes, read as what a target needs. Where they end, zeros follow.

use echod::echo::{MESSAGE_MAX, Rule};

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }

    /// At most so many.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Bytes behind their count, which is at most 255.
    pub fn field(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.bytes(count.into())
    }

    /// A rule with small numbers in it, so that few bytes reach every limit, or
    /// with the largest.
    pub fn rule(&mut self) -> Rule {
        let suffix = self.field();
        let word: Vec<u8> =
            self.field().iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        let message_max = match self.byte() {
            0 => MESSAGE_MAX,
            few => few.into(),
        };
        Rule::new(suffix, &word, message_max).expect("all of it is in range")
    }
}
