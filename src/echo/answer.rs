//! The answer to one read of a stream, piece by piece.

use super::line::{self, Pieces, Place, Walk};
use super::{MESSAGE_MAX, Protocol, Rule, State};

/// An answer on its way out: an iterator over its pieces, none of them empty.
/// Nothing is copied, but the suffix of `reply` behind its message.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The next to be given. As long as anything is left, the first is not empty.
    pieces: Pieces<'a>,
    /// What the later ones come from, in `line`.
    walk: Option<Walk<'a>>,
    outcome: Outcome,
}

/// What an answer leaves behind when it has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the next read begins with.
    pub state: State,
    /// Messages answered: reads in `reply`, lines in `line`; none in `rfc862`.
    pub messages: u32,
}

/// The most that one read may take, in bytes.
pub fn read_max(rule: &Rule, protocol: Protocol) -> usize {
    match protocol {
        Protocol::Reply => rule.message_max(),
        Protocol::Line | Protocol::Rfc862 => MESSAGE_MAX,
    }
}

/// The answer to one read, which took `buffer[..taken]`. `reply` writes the
/// suffix behind it, and may do so again.
///
/// A read of nothing has no answer, nor has what follows an exit word or an
/// end of file.
///
/// # Panics
/// If the suffix has no room behind `taken` ([`super::BUFFER_SIZE`] has it for
/// up to [`read_max`] bytes), or if the state is not [valid](State::is_valid).
pub fn answer<'a>(
    rule: &'a Rule,
    protocol: Protocol,
    state: State,
    buffer: &'a mut [u8],
    taken: usize,
) -> Answer<'a> {
    if protocol != Protocol::Line || taken == 0 || state.ended() || state.last() {
        let (piece, outcome) = whole_answer(rule, protocol, state, buffer, taken);
        return Answer::whole(piece, outcome);
    }
    let place = Place::from_code(state.code()).expect("the state is valid");
    Answer::walk(Walk::new(rule, place, &buffer[..taken]))
}

/// The same where an answer is one piece or none, as in every protocol but `line`;
/// most answers are given by this, and nothing is made that could hold more.
///
/// # Panics
/// As [`answer`], and if there is an answer in `line`.
pub fn whole_answer<'a>(
    rule: &Rule,
    protocol: Protocol,
    state: State,
    buffer: &'a mut [u8],
    taken: usize,
) -> (&'a [u8], Outcome) {
    if taken == 0 || state.ended() || state.last() {
        return (b"", Outcome { state, messages: 0 });
    }
    match protocol {
        Protocol::Reply => reply(rule, state, buffer, taken),
        Protocol::Rfc862 => (&buffer[..taken], Outcome { state, messages: 0 }),
        Protocol::Line => panic!("an answer in `line` has pieces"),
    }
}

/// What is owed at end of file: in `line`, what is held back and the suffix;
/// else nothing. It is the same whether or not `state` says that it has begun.
///
/// Its outcome has [last](State::last) set if anything is owed, and
/// [ended](State::ended) if the exit word was left unterminated.
///
/// # Panics
/// If the state is not [valid](State::is_valid).
pub fn farewell(rule: &Rule, protocol: Protocol, state: State) -> Answer<'_> {
    if protocol != Protocol::Line || state.ended() {
        return Answer::whole(b"", Outcome { state, messages: 0 });
    }
    let place = Place::from_code(state.code()).expect("the state is valid");
    let (pieces, outcome) = line::farewell(rule, place);
    Answer { pieces: packed(pieces), walk: None, outcome }
}

/// The length in bytes of what [`answer`] gives for the same.
pub fn answer_len(
    rule: &Rule,
    protocol: Protocol,
    state: State,
    buffer: &mut [u8],
    taken: usize,
) -> u64 {
    answer(rule, protocol, state, buffer, taken).map(|piece| piece.len() as u64).sum()
}

fn reply<'a>(rule: &Rule, state: State, buffer: &'a mut [u8], taken: usize) -> (&'a [u8], Outcome) {
    let word = rule.exit_word();
    let is_exit = state == State::START && !word.is_empty() && buffer[..taken].starts_with(word);
    if is_exit {
        return (b"", Outcome { state: State::ENDED, messages: 0 });
    }
    let suffix = rule.suffix();
    let end = taken + suffix.len();
    buffer[taken..end].copy_from_slice(suffix);
    let state = if taken == rule.message_max() { State::CONTINUED } else { State::START };
    (&buffer[..end], Outcome { state, messages: 1 })
}

impl<'a> Answer<'a> {
    /// What all this leaves behind; to be asked once every piece was taken.
    pub fn outcome(&self) -> Outcome {
        debug_assert!(self.is_empty(), "an outcome before the answer was given");
        self.outcome
    }

    /// Whether nothing is left to be given.
    pub fn is_empty(&self) -> bool {
        self.pieces[0].is_empty()
    }

    /// The next piece, which stays the next; empty if there is none.
    pub fn peek(&self) -> &'a [u8] {
        self.pieces[0]
    }

    /// Leaves out the next `count` bytes, which have been given already. False
    /// if there are not so many; then nothing is left.
    #[must_use]
    pub fn skip_bytes(&mut self, mut count: u64) -> bool {
        while count > 0 {
            let piece = self.pieces[0];
            match usize::try_from(count) {
                Ok(count) if count < piece.len() => {
                    self.pieces[0] = &piece[count..];
                    return true;
                }
                _ if self.next().is_none() => return false,
                _ => count -= piece.len() as u64,
            }
        }
        true
    }

    fn whole(piece: &'a [u8], outcome: Outcome) -> Self {
        Self { pieces: [piece, b"", b""], walk: None, outcome }
    }

    fn walk(walk: Walk<'a>) -> Self {
        let outcome = walk.outcome();
        let mut answer = Self { pieces: [b""; 3], walk: Some(walk), outcome };
        answer.fill();
        answer
    }

    /// Keeps the promise about the first piece.
    fn fill(&mut self) {
        let Some(walk) = &mut self.walk else { return };
        while self.pieces[0].is_empty() {
            let Some(pieces) = walk.step() else { break };
            self.pieces = packed(pieces);
        }
        if walk.is_over() {
            self.outcome = walk.outcome();
            self.walk = None;
        }
    }
}

impl<'a> Iterator for Answer<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let [piece, second, third] = self.pieces;
        self.pieces = [second, third, b""];
        self.fill();
        (!piece.is_empty()).then_some(piece)
    }
}

impl std::iter::FusedIterator for Answer<'_> {}

/// The same pieces, the empty ones last.
fn packed([mut first, mut second, mut third]: Pieces<'_>) -> Pieces<'_> {
    if second.is_empty() {
        (second, third) = (third, b"");
    }
    if first.is_empty() {
        (first, second, third) = (second, third, b"");
    }
    [first, second, third]
}
