//! A turn: take, answer, give, note. No `await`, so no instant at which dying
//! and stopping differ.

use super::desk::{Desk, Owed, Talk};
use crate::conversation::Ending;
use crate::echo::{self, Answer, Rule};
use crate::keep::{self, Done, Header, Record, Slot};
use crate::socket::Watch;
use std::io::{self, IoSlice};
use tokio::time::Instant;

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There was nothing to take, or all of it was answered.
    Answered,
    /// The peer has not taken its answer whole.
    Owing,
    /// There is no place for another answer: wait until there is.
    Crowded,
    /// The conversation is over.
    Over(Ending),
}

/// How many pieces of an answer are given in one call, and how many calls one
/// turn makes before others have theirs.
const PIECES: usize = 64;
const CALLS: usize = 64;

impl Desk {
    /// One turn of one conversation.
    pub(super) fn turn(&mut self, watch: &Watch, number: u32) -> Turn {
        self.turns += 1;
        let talk = self.talk(number);
        if let Some(ending) = talk.ending {
            return Turn::Over(ending);
        }
        if talk.owed.is_some() {
            return self.go_on(watch, number);
        }
        let Some(mut slot) = self.hot.take() else { return Turn::Crowded };
        let header = self.memory.header();
        let record = self.memory.record(number);
        header.begin_turn(number);
        record.place(slot.number());
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        let rule = self.rules[usize::from(talk.rule)].as_ref().expect("a talk has a rule");
        let buffer = &mut slot.bytes()[..echo::read_max(rule, talk.who.protocol)];
        let step = match watch.take(buffer) {
            Ok(0) => talk.farewell(watch, rule, record),
            Ok(taken) => talk.answer(watch, rule, &mut slot, taken, 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Nothing,
            Err(_) => Step::Over(Ending::Reset),
        };
        self.finish(number, slot, step)
    }

    /// Goes on with an answer that the peer did not take whole.
    pub(super) fn go_on(&mut self, watch: &Watch, number: u32) -> Turn {
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        let rule = self.rules[usize::from(talk.rule)].as_ref().expect("a talk has a rule");
        let Some(mut owed) = talk.owed.take() else { return Turn::Answered };
        let step = if owed.taken == 0 {
            talk.give_farewell(watch, rule, owed.skip)
        } else {
            talk.answer(watch, rule, &mut owed.slot, owed.taken, owed.skip)
        };
        if let Step::Short { taken, skip } = step {
            if skip > owed.skip {
                owed.moved = Instant::now();
            }
            (owed.taken, owed.skip) = (taken, skip);
            talk.owed = Some(owed);
            return Turn::Owing;
        }
        self.holders[owed.slot.number() as usize] = None;
        self.finish(number, owed.slot, step)
    }

    /// Obeys a step: notes what was answered, keeps the slot with what is owed.
    fn finish(&mut self, number: u32, slot: Slot, step: Step) -> Turn {
        self.stir();
        let header = self.memory.header();
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        match step {
            Step::Nothing => {
                self.free_slot(slot);
                Turn::Answered
            }
            Step::Done(done) => {
                talk.note(done, self.memory.record(number), header);
                let ended = done.state.ended();
                if self.patience.idle.is_some() {
                    talk.heard = Instant::now();
                }
                self.free_slot(slot);
                if ended { Turn::Over(Ending::ExitWord) } else { Turn::Answered }
            }
            Step::Short { taken, skip } => {
                let now = Instant::now();
                self.holders[slot.number() as usize] = Some(number);
                talk.owed = Some(Box::new(Owed { slot, taken, skip, since: now, moved: now }));
                header.end_turn();
                self.hot = self.memory.take_slot();
                if self.hot.is_none() {
                    self.signs.crowd.notify_one();
                }
                Turn::Owing
            }
            Step::Over(ending) => {
                self.free_slot(slot);
                Turn::Over(ending)
            }
        }
    }

    /// Makes a slot the next to be read into, or free.
    pub(super) fn free_slot(&mut self, slot: Slot) {
        if self.hot.is_none() {
            self.hot = Some(slot);
            self.signs.slots.notify_waiters();
        } else {
            self.memory.free_slot(slot);
        }
    }
}

/// What taking and giving came to, before anything is noted.
enum Step {
    Nothing,
    Done(Done),
    Short { taken: usize, skip: u64 },
    Over(Ending),
}

impl Talk {
    fn answer(
        &mut self,
        watch: &Watch,
        rule: &Rule,
        slot: &mut Slot,
        taken: usize,
        skip: u64,
    ) -> Step {
        let mut answer =
            echo::answer(rule, self.who.protocol, self.done.state, slot.bytes(), taken);
        match give(watch, &mut answer, skip) {
            Given::Whole(length) => {
                let outcome = answer.outcome();
                Step::Done(Done {
                    taken: self.done.taken + taken as u64,
                    given: self.done.given + length,
                    state: outcome.state,
                    messages: self.done.messages + u64::from(outcome.messages),
                })
            }
            Given::Short(skip) => Step::Short { taken, skip },
            Given::Broken => Step::Over(Ending::Reset),
        }
    }

    /// The end of file: the answer that may be owed now has no input of its
    /// own, so the record has to say that it has begun.
    fn farewell(&mut self, watch: &Watch, rule: &Rule, record: &Record) -> Step {
        if echo::farewell(rule, self.who.protocol, self.done.state).is_empty() {
            return Step::Over(Ending::EndOfFile);
        }
        record.mark_last();
        self.give_farewell(watch, rule, 0)
    }

    fn give_farewell(&mut self, watch: &Watch, rule: &Rule, skip: u64) -> Step {
        let mut answer = echo::farewell(rule, self.who.protocol, self.done.state);
        match give(watch, &mut answer, skip) {
            Given::Whole(length) => {
                self.done.given += length;
                self.done.messages += u64::from(answer.outcome().messages);
                Step::Over(Ending::EndOfFile)
            }
            Given::Short(skip) => Step::Short { taken: 0, skip },
            Given::Broken => Step::Over(Ending::Reset),
        }
    }

    fn note(&mut self, done: Done, record: &Record, header: &Header) {
        record.note(&done);
        keep::add(&header.received, done.taken - self.done.taken);
        keep::add(&header.sent, done.given - self.done.given);
        self.done = done;
    }
}

/// How much of an answer the peer's socket has by now.
enum Given {
    /// All of it, so many bytes.
    Whole(u64),
    /// Its first bytes, so many.
    Short(u64),
    /// The connection is gone.
    Broken,
}

fn give(watch: &Watch, answer: &mut Answer<'_>, skip: u64) -> Given {
    let mut given = skip;
    let skipped = answer.skip_bytes(skip);
    debug_assert!(skipped, "no more was given than the answer has");
    for _ in 0..CALLS {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let (mut count, mut length) = (0, 0);
        while count < PIECES {
            let Some(piece) = answer.next() else { break };
            pieces[count] = IoSlice::new(piece);
            count += 1;
            length += piece.len();
        }
        if count == 0 {
            return Given::Whole(given);
        }
        match watch.give(&pieces[..count]) {
            Ok(n) => {
                given += n as u64;
                if n < length {
                    return Given::Short(given);
                }
                if count < PIECES {
                    return Given::Whole(given);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Given::Short(given);
            }
            Err(_) => return Given::Broken,
        }
    }
    Given::Short(given)
}
