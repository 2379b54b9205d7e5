//! What comes on a connection, and what does not.

use super::super::book::Came;
use super::super::datagram::datagram;
use super::super::event::What;
use super::super::heard::{Fault, Heard};
use super::super::reach::reason;
use super::super::run::Run;
use super::{State, Talk};
use std::io::ErrorKind;
use std::time::Duration;

/// How often a connection reads before the others have their turn.
const READS: u32 = 16;

impl Talk {
    /// Reads what has come.
    pub(super) fn hear(&self, state: &mut State, run: &Run) {
        let mut buffer = run.buffer.borrow_mut();
        for _ in 0..READS {
            let count = match self.wire.take(&mut buffer) {
                Ok(0) if self.wire.is_stream() => {
                    if let Some(heard) = state.reader.finish(&state.book, &run.form) {
                        self.note(state, run, heard);
                    }
                    let is_due = state.book.outstanding() == 0 && state.has_said_all(run);
                    if is_due {
                        state.is_over = true;
                    } else {
                        self.end(state, run, "the server ended the connection");
                    }
                    return;
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Nobody is there just now; the message is lost in its time.
                Err(_) if !self.wire.is_stream() => continue,
                Err(error) => {
                    self.end(state, run, &reason(&error));
                    return;
                }
            };
            state.heard = run.now();
            if self.wire.is_stream() {
                state.reader.take(&buffer[..count]);
                while let Some(heard) = state.reader.next(&state.book, &run.form) {
                    self.note(state, run, heard);
                }
            } else {
                let heard = datagram(self.key, &buffer[..count], &state.book, &run.form);
                self.note(state, run, heard);
            }
        }
    }

    pub(super) fn note(&self, state: &mut State, run: &Run, heard: Heard) {
        match heard {
            Heard::Whole { sequence, len } => self.answer(state, run, sequence, len, None),
            Heard::Altered { sequence, fault } => {
                self.answer(state, run, sequence, fault.len, Some(&fault));
            }
            Heard::Surplus { after, fault } => {
                if after.is_none_or(|sequence| state.book.corrupt(sequence)) {
                    run.tally.borrow_mut().counts.corrupted += 1;
                }
                run.say(self.number, What::Surplus { after, fault: &fault });
            }
        }
    }

    fn answer(
        &self,
        state: &mut State,
        run: &Run,
        sequence: u32,
        len: usize,
        fault: Option<&Fault>,
    ) {
        let came = state.book.came(sequence, state.heard);
        let mut tally = run.tally.borrow_mut();
        match came {
            Came::Back { time, reordered } => {
                tally.answered(time, state.before.replace(time));
                tally.counts.reordered += u64::from(reordered);
            }
            Came::Again => tally.counts.duplicated += 1,
            Came::Late => tally.counts.late += 1,
        }
        if fault.is_some() && state.book.corrupt(sequence) {
            tally.counts.corrupted += 1;
        }
        drop(tally);
        run.say(self.number, What::Answer { sequence, len, came, fault });
    }

    /// Gives up what has waited for too long.
    pub(super) fn lose(&self, state: &mut State, run: &Run) {
        let now = run.now();
        while self.deadline(state, run).is_some_and(|deadline| deadline <= now) {
            let heard = if state.reader.is_within() && self.is_coming(state) {
                state.reader.give_up(&state.book, &run.form)
            } else {
                None
            };
            match heard {
                Some(heard) => self.note(state, run, heard),
                None => self.lose_one(state, run),
            }
        }
    }

    pub(super) fn lose_one(&self, state: &mut State, run: &Run) {
        if let Some(sequence) = state.book.lose() {
            run.say(self.number, What::Lost { sequence });
        }
    }

    /// When the oldest message is given up: what is coming, later.
    pub(super) fn deadline(&self, state: &State, run: &Run) -> Option<Duration> {
        let sent = state.book.oldest_sent()?;
        let since = if state.reader.is_within() && self.is_coming(state) {
            sent.max(state.heard)
        } else {
            sent
        };
        Some(since + run.plan.timeout)
    }

    /// Whether the oldest message was not left out by the stream.
    fn is_coming(&self, state: &State) -> bool {
        self.wire.is_stream() && state.book.out().next().is_some_and(|it| it > state.reader.last())
    }

    /// It is over before it should be.
    pub(super) fn end(&self, state: &mut State, run: &Run, why: &str) {
        let outstanding = state.book.outstanding();
        let why = match outstanding {
            0 => why.to_owned(),
            _ => format!("{why}; {outstanding} not answered"),
        };
        run.say(self.number, What::Ended { why: &why });
        state.is_over = true;
    }
}
