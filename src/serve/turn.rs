//! A turn: take, answer, give, note. No `await`, so no instant at which dying
//! and stopping differ.

use super::desk::Desk;
use super::give::{Given, give, give_whole};
use super::talk::{Due, Owed, Talk};
use crate::config::Level;
use crate::conversation::Ending;
use crate::echo::{self, Protocol, Rule};
use crate::endpoint::Transport;
use crate::keep::{self, Done, Header, Record, Slot};
use crate::report;
use crate::socket::{Meter, Watch};
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
        if talk.transport == Transport::UnixSeqpacket {
            return self.packet_turn(watch, number);
        }
        let Some(mut slot) = self.hot.take() else { return Turn::Crowded };
        let header = self.memory.header();
        let record = self.memory.record(number);
        header.begin_turn(number);
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        let rule = self.rules[usize::from(talk.terms.rule)].as_ref().expect("a talk has a rule");
        let meter = talk.meter(&self.meters, Some(&slot));
        if let Some(meter) = meter {
            meter.begin(talk.rare.id.0, talk.done.taken, talk.done.given);
        }
        // Only now: the meter may have been about this conversation some slots ago.
        record.place(slot.number());
        let line = Line { watch, meter };
        let buffer = &mut slot.bytes()[..echo::read_max(rule, talk.terms.protocol)];
        let (step, taken) = match line.take(buffer) {
            Ok(0) => (talk.farewell(line, rule, record), 0),
            Ok(taken) => (talk.answer(line, rule, &mut slot, taken, 0), taken),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (Step::Nothing, 0),
            Err(_) => (Step::Over(Ending::Reset), 0),
        };
        match step {
            Step::Short { skip } if taken > 0 => {
                self.owe(number, Due::Answer { slot, taken }, skip)
            }
            Step::Short { skip } if meter.is_some() => {
                self.owe(number, Due::Farewell { slot: Some(slot) }, skip)
            }
            step => {
                self.hot = Some(slot);
                match step {
                    Step::Short { skip } => self.owe(number, Due::Farewell { slot: None }, skip),
                    step => self.obey(number, &step),
                }
            }
        }
    }

    /// Goes on with an answer that the peer did not take whole.
    fn go_on(&mut self, watch: &Watch, number: u32) -> Turn {
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        let rule = self.rules[usize::from(talk.terms.rule)].as_ref().expect("a talk has a rule");
        let Some(mut owed) = talk.owed.take() else { return Turn::Answered };
        let suspected = std::mem::take(&mut owed.suspected);
        if suspected {
            // To give it may be what killed the predecessor.
            self.memory.header().begin_turn(number);
        }
        let line = Line { watch, meter: talk.meter(&self.meters, owed.due.slot()) };
        let step = match &mut owed.due {
            Due::Answer { slot, taken } if talk.transport == Transport::UnixSeqpacket => {
                talk.answer_packet(watch, rule, slot, *taken)
            }
            Due::Answer { slot, taken } => talk.answer(line, rule, slot, *taken, owed.skip),
            Due::Farewell { .. } => talk.give_farewell(line, rule, owed.skip),
        };
        if let Step::Short { skip } = step {
            if skip > owed.skip {
                owed.moved = Instant::now();
            }
            owed.skip = skip;
            talk.owed = Some(owed);
            if suspected {
                self.memory.header().end_turn();
            }
            return Turn::Owing;
        }
        talk.heard = Instant::now();
        let turn = self.obey(number, &step);
        if let Some(slot) = owed.due.into_slot() {
            self.free_slot(slot);
        }
        turn
    }

    /// Obeys a step that leaves nothing owed.
    pub(super) fn obey(&mut self, number: u32, step: &Step) -> Turn {
        self.stir();
        let header = self.memory.header();
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        match *step {
            Step::Done(done) => {
                talk.note(done, self.memory.record(number), header);
                if self.patience.idle.is_some() && !talk.is_timed() {
                    talk.heard = Instant::now();
                }
                if done.state.ended() { Turn::Over(Ending::ExitWord) } else { Turn::Answered }
            }
            Step::Nothing | Step::Short { .. } => Turn::Answered,
            Step::Over(ending) => Turn::Over(ending),
        }
    }

    /// Keeps what is owed. A stuck answer keeps the slot that its input was read
    /// into, and the next input goes to another: nothing is copied.
    pub(super) fn owe(&mut self, number: u32, due: Due, skip: u64) -> Turn {
        self.stir();
        self.memory.header().end_turn();
        let now = Instant::now();
        if let Some(slot) = due.slot() {
            self.holders[slot.number() as usize] = Some(number);
            self.hot = self.memory.take_slot();
            if self.hot.is_none() {
                self.signs.crowd.notify_one();
            }
        }
        self.talk(number).owed =
            Some(Box::new(Owed { due, skip, since: now, moved: now, suspected: false }));
        Turn::Owing
    }

    /// Makes a slot the next to be read into, or free.
    pub(super) fn free_slot(&mut self, slot: Slot) {
        self.holders[slot.number() as usize] = None;
        if self.hot.is_none() {
            self.hot = Some(slot);
            self.signs.slots.notify_waiters();
        } else {
            self.memory.free_slot(slot);
        }
    }
}

/// A connection, and the meter that its bytes pass where the kernel does not
/// count them.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) watch: &'a Watch,
    pub(super) meter: Option<Meter>,
}

impl Line<'_> {
    fn take(self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.meter {
            None => self.watch.take(buffer),
            Some(meter) => self.watch.take_metered(meter, buffer),
        }
    }

    pub(super) fn give(self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.meter {
            None => self.watch.give(pieces),
            Some(meter) => self.watch.give_metered(meter, pieces),
        }
    }
}

/// What taking and giving came to, before anything is noted.
pub(super) enum Step {
    Nothing,
    Done(Done),
    Short { skip: u64 },
    Over(Ending),
}

impl Given {
    /// How many bytes an answer had that was given in full; else what comes of it.
    fn in_full(self) -> Result<u64, Step> {
        match self {
            Self::Whole(length) => Ok(length),
            Self::Short(skip) => Err(Step::Short { skip }),
            Self::Broken => Err(Step::Over(Ending::Reset)),
        }
    }
}

impl Talk {
    fn answer(
        &mut self,
        line: Line<'_>,
        rule: &Rule,
        slot: &mut Slot,
        taken: usize,
        skip: u64,
    ) -> Step {
        let (protocol, state) = (self.terms.protocol, self.done.state);
        let given = if protocol == Protocol::Line || skip > 0 {
            let mut answer = echo::answer(rule, protocol, state, slot.bytes(), taken);
            give(line, &mut answer, skip).in_full().map(|length| (length, answer.outcome()))
        } else {
            let (piece, outcome) = echo::whole_answer(rule, protocol, state, slot.bytes(), taken);
            give_whole(line, piece).in_full().map(|length| (length, outcome))
        };
        let (length, outcome) = match given {
            Ok(given) => given,
            Err(step) => return step,
        };
        if report::wants(Level::Debug) {
            self.record(rule, slot.bytes(), taken);
        }
        Step::Done(Done {
            taken: self.done.taken + taken as u64,
            given: self.done.given + length,
            state: outcome.state,
            messages: self.done.messages.wrapping_add(outcome.messages.into()),
        })
    }

    /// Records a message and its answer, as the tutorial prints them.
    fn record(&self, rule: &Rule, buffer: &mut [u8], taken: usize) {
        report::received(self.rare.id, &buffer[..taken]);
        let state = self.done.state;
        let pieces: Vec<&[u8]> =
            echo::answer(rule, self.terms.protocol, state, buffer, taken).collect();
        if !pieces.is_empty() {
            report::sent(self.rare.id, &pieces);
        }
    }

    /// The end of file: the answer that may be owed now has no input of its
    /// own, so the record has to say that it has begun.
    fn farewell(&mut self, line: Line<'_>, rule: &Rule, record: &Record) -> Step {
        let farewell = echo::farewell(rule, self.terms.protocol, self.done.state);
        if farewell.is_empty() {
            let outcome = farewell.outcome();
            self.done.messages = self.done.messages.wrapping_add(outcome.messages.into());
            let ended = outcome.state.ended();
            return Step::Over(if ended { Ending::ExitWord } else { Ending::EndOfFile });
        }
        record.mark_last();
        self.give_farewell(line, rule, 0)
    }

    fn give_farewell(&mut self, line: Line<'_>, rule: &Rule, skip: u64) -> Step {
        let mut answer = echo::farewell(rule, self.terms.protocol, self.done.state);
        match give(line, &mut answer, skip).in_full() {
            Ok(length) => {
                self.done.given += length;
                let messages = answer.outcome().messages;
                self.done.messages = self.done.messages.wrapping_add(messages.into());
                Step::Over(Ending::EndOfFile)
            }
            Err(step) => step,
        }
    }

    fn note(&mut self, done: Done, record: &Record, header: &Header) {
        record.note(&done);
        keep::add(&header.received, done.taken - self.done.taken);
        keep::add(&header.sent, done.given - self.done.given);
        self.done = done;
    }
}
