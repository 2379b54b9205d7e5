//! `line`: a transducer. Bytes go back as they come; held back are only those
//! that could still turn out to be the exit word or the CR of a line end. They
//! are the beginning of a known text, so that a length stands for them.

use super::{Outcome, Rule, State};

/// Where in a line the next byte falls, and so what is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the start of a line, but for so many bytes of the exit word.
    Word(u8),
    /// Behind the exit word, alone on its line, and a CR.
    WordCr,
    /// In a line that is not the exit word.
    Middle,
    /// The same, behind a CR.
    MiddleCr,
}

const WORD_CR: u16 = 0x100;
const MIDDLE: u16 = 0x101;
const MIDDLE_CR: u16 = 0x102;

impl Place {
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Word(held) => u16::from(held),
            Self::WordCr => WORD_CR,
            Self::Middle => MIDDLE,
            Self::MiddleCr => MIDDLE_CR,
        }
    }

    pub(super) fn from_code(code: u16) -> Option<Self> {
        match code {
            WORD_CR => Some(Self::WordCr),
            MIDDLE => Some(Self::Middle),
            MIDDLE_CR => Some(Self::MiddleCr),
            held => u8::try_from(held).ok().map(Self::Word),
        }
    }

    /// Whether one can get there with this exit word.
    pub(super) fn fits(self, word: &[u8]) -> bool {
        match self {
            Self::Word(held) => usize::from(held) <= word.len(),
            Self::WordCr => !word.is_empty(),
            Self::Middle | Self::MiddleCr => true,
        }
    }
}

/// Up to three pieces of an answer, in order; the empty ones are not there.
pub(super) type Pieces<'a> = [&'a [u8]; 3];

const NONE: Pieces<'static> = [b""; 3];

/// One read on its way through.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    rule: &'a Rule,
    input: &'a [u8],
    /// Input before this has been given.
    given: usize,
    /// Input before this has been looked at; what lies between goes back as it is.
    seen: usize,
    place: Place,
    lines: u32,
    is_over: bool,
    has_ended: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(rule: &'a Rule, place: Place, input: &'a [u8]) -> Self {
        Self {
            rule,
            input,
            given: 0,
            seen: 0,
            place,
            lines: 0,
            is_over: input.is_empty(),
            has_ended: false,
        }
    }

    /// The next pieces, which may all be empty; `None` once the input is used up.
    pub(super) fn step(&mut self) -> Option<Pieces<'a>> {
        if self.is_over {
            return None;
        }
        let word = self.rule.exit_word();
        Some(match self.place {
            Place::Word(held) => self.at_start(word, usize::from(held)),
            Place::WordCr if self.input[0] == b'\n' => self.end(),
            Place::WordCr => self.give_back(word, b"\r"),
            Place::Middle => self.in_middle(),
            Place::MiddleCr if self.input[0] == b'\n' => {
                self.next_line(1);
                [self.rule.suffix(), b"\r", b""]
            }
            Place::MiddleCr => self.give_back(b"\r", b""),
        })
    }

    /// The state behind this read, and the lines answered in it.
    pub(super) fn outcome(&self) -> Outcome {
        let state = if self.has_ended { State::ENDED } else { self.place.into() };
        Outcome { state, messages: self.lines }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// So many bytes of the exit word were held back: are the next the rest of it?
    fn at_start(&mut self, word: &'a [u8], held: usize) -> Pieces<'a> {
        let ahead = &self.input[self.seen..];
        let same = word[held..].iter().zip(ahead).take_while(|(a, b)| a == b).count();
        let length = held + same;
        let is_word = !word.is_empty() && length == word.len();
        match &ahead[same..] {
            [] => {
                let length = u8::try_from(length).expect("an exit word has at most 255 bytes");
                self.hold(Place::Word(length), same)
            }
            [b'\r'] if is_word => self.hold(Place::WordCr, same + 1),
            [b'\n', ..] | [b'\r', b'\n', ..] if is_word => self.end(),
            _ => {
                // What was held is of an earlier read; the rest is in this one.
                self.seen += same;
                self.give_back(&word[..held], b"")
            }
        }
    }

    /// On to the line's end, or as far as this read goes.
    fn in_middle(&mut self) -> Pieces<'a> {
        let Some(length) = line_feed(&self.input[self.seen..]) else {
            return if self.input.ends_with(b"\r") {
                self.seen = self.input.len() - 1;
                self.hold(Place::MiddleCr, 1)
            } else {
                self.seen = self.input.len();
                self.hold(Place::Middle, 0)
            };
        };
        let line_feed = self.seen + length;
        let line_end = line_feed - usize::from(self.input[..line_feed].ends_with(b"\r"));
        self.next_line(line_feed + 1);
        if self.rule.suffix().is_empty() {
            return NONE;
        }
        let line = &self.input[self.given..line_end];
        // The line end goes out in one piece with the line that follows.
        self.given = line_end;
        [line, self.rule.suffix(), b""]
    }

    fn next_line(&mut self, seen: usize) {
        self.seen = seen;
        self.lines += 1;
        self.place = Place::Word(0);
    }

    /// It was not the exit word, or not a line end: what an earlier read held
    /// back goes out, and the line goes on.
    fn give_back(&mut self, held: &'a [u8], cr: &'a [u8]) -> Pieces<'a> {
        self.place = Place::Middle;
        [held, cr, b""]
    }

    /// The input is used up, and its last bytes are held back.
    fn hold(&mut self, place: Place, held: usize) -> Pieces<'a> {
        debug_assert_eq!(self.seen + held, self.input.len(), "held back is what comes last");
        self.place = place;
        self.is_over = true;
        [&self.input[self.given..self.seen], b"", b""]
    }

    /// It was the exit word: what follows it is dropped.
    fn end(&mut self) -> Pieces<'a> {
        self.has_ended = true;
        self.is_over = true;
        [&self.input[self.given..self.seen], b"", b""]
    }
}

/// What is owed at end of file.
pub(super) fn farewell(rule: &Rule, place: Place) -> (Pieces<'_>, Outcome) {
    let word = rule.exit_word();
    let held: [&[u8]; 2] = match place {
        Place::Word(0) => return (NONE, Outcome { state: place.into(), messages: 0 }),
        Place::Word(held) if usize::from(held) == word.len() => {
            return (NONE, Outcome { state: State::ENDED, messages: 0 });
        }
        Place::Word(held) => [&word[..usize::from(held)], b""],
        Place::WordCr => [word, b"\r"],
        Place::Middle => [b"", b""],
        Place::MiddleCr => [b"", b"\r"],
    };
    let pieces = [held[0], held[1], rule.suffix()];
    let is_owed = pieces != NONE;
    let state = State::from(place);
    let state = if is_owed { state.with_last() } else { state };
    (pieces, Outcome { state, messages: 1 })
}

/// The place of the first LF. `position` alone looks at one byte after the
/// other; without a way out inside, the compiler compares a block at once.
fn line_feed(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_line_feed = |&byte: &u8| byte == b'\n';
    let clear = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| !block.iter().fold(false, |found, byte| found | is_line_feed(byte)))
        .count()
        * BLOCK;
    bytes[clear..].iter().position(is_line_feed).map(|place| clear + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_is_found_wherever_it_is() {
        for length in 0..100 {
            let mut bytes = vec![b'a'; length];
            assert_eq!(line_feed(&bytes), None);
            for place in (0..length).rev() {
                bytes[place] = b'\n';
                assert_eq!(line_feed(&bytes), Some(place));
            }
        }
    }

    #[test]
    fn every_place_is_known_by_its_code() {
        let known: Vec<u16> =
            (0..=u16::MAX).filter(|&code| Place::from_code(code).is_some()).collect();
        assert_eq!(known, (0..=MIDDLE_CR).collect::<Vec<_>>());
        for code in known {
            assert_eq!(Place::from_code(code).map(Place::code), Some(code));
        }
    }
}
