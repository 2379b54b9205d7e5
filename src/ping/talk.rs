//! One connection: it sends what it may and reads what comes, and neither ever
//! waits for the other.

mod hearing;

use super::book::Book;
use super::pace::{self, Pace};
use super::payload::Name;
use super::reach::{Link, reason};
use super::reader::Reader;
use super::run::{Run, Stage};
use super::wire::{Room, Wire};
use crate::echo::Protocol;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep_until;

/// For how long a second answer to the last message is awaited: twice the
/// longest round trip, within these.
const AFTERMATH: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(1);

/// One connection.
pub(super) struct Talk {
    number: u32,
    key: u32,
    wire: Wire,
    state: RefCell<State>,
    woken: Notify,
}

#[expect(clippy::struct_excessive_bools, reason = "each becomes true on its own")]
struct State {
    book: Book,
    reader: Reader,
    /// A message on its way into the kernel, and how much of it is there.
    message: Vec<u8>,
    given: usize,
    is_giving: bool,
    /// When the messages were due that have not left.
    due: VecDeque<Duration>,
    is_granted_all: bool,
    heard: Duration,
    /// The round trip before, for the jitter.
    before: Option<Duration>,
    is_shut: bool,
    is_over: bool,
    /// When it is left, after everything came back.
    leaving: Option<Duration>,
}

impl State {
    fn has_said_all(&self, run: &Run) -> bool {
        let is_all = match run.plan.pace {
            Pace::Flood => run.left.get() == 0,
            Pace::Every { .. } => self.is_granted_all && self.due.is_empty(),
        };
        !self.is_giving && (is_all || run.stage.get() != Stage::Sending)
    }
}

impl Talk {
    /// A connection whose messages have this key.
    pub(super) fn new(number: u32, key: u32, link: Link) -> Self {
        let state = State {
            book: Book::default(),
            reader: Reader::new(key, link.segment),
            message: Vec::new(),
            given: 0,
            is_giving: false,
            due: VecDeque::new(),
            is_granted_all: false,
            heard: Duration::ZERO,
            before: None,
            is_shut: false,
            is_over: false,
            leaving: None,
        };
        Self { number, key, wire: link.wire, state: RefCell::new(state), woken: Notify::new() }
    }

    /// Lets it look around.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// One more message may leave.
    pub(super) fn grant(&self, run: &Run, due: Duration) {
        let mut state = self.state.borrow_mut();
        if state.is_over {
            return;
        }
        state.due.push_back(due);
        if !state.is_giving {
            self.send(&mut state, run);
            if state.is_giving || state.is_over {
                self.wake();
            }
        }
    }

    /// No further message may leave.
    pub(super) fn grant_no_more(&self) {
        self.state.borrow_mut().is_granted_all = true;
        self.wake();
    }

    /// Sends what may be sent, as far as the kernel takes it.
    fn send(&self, state: &mut State, run: &Run) {
        if state.is_over {
            return;
        }
        loop {
            while state.is_giving {
                let piece = &state.message[state.given..];
                match self.wire.give(piece) {
                    Ok(count) => {
                        state.given += count;
                        state.is_giving = state.given < state.message.len();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                    Err(error) => return self.end(state, run, &reason(&error)),
                }
            }
            let Some(due) = self.next_due(state, run) else { break };
            self.compose(state, run, due);
        }
        if run.plan.half_close && !state.is_shut && state.has_said_all(run) {
            state.is_shut = true;
            self.wire.shut_down();
        }
    }

    /// When the next message was due, if it may leave now.
    fn next_due(&self, state: &mut State, run: &Run) -> Option<Due> {
        if run.stage.get() != Stage::Sending {
            return None;
        }
        let is_one_by_one = self.wire.is_stream() && run.plan.protocol != Protocol::Rfc862;
        if (is_one_by_one || run.plan.pace == Pace::Flood) && state.book.outstanding() > 0 {
            return None;
        }
        if run.plan.pace != Pace::Flood {
            return state.due.pop_front().map(Due::At);
        }
        run.left.set(run.left.get().checked_sub(1)?);
        Some(Due::Now)
    }

    fn compose(&self, state: &mut State, run: &Run, due: Due) {
        state.message.clear();
        let name = Name { key: self.key, sequence: state.book.next() };
        let check = run.form.write(name, &mut state.message);
        (state.given, state.is_giving) = (0, true);
        let now = run.now();
        let since = match due {
            Due::Now => now,
            Due::At(due) => pace::since(due, now),
        };
        state.book.send(since, now, check);
        let counts = &mut run.tally.borrow_mut().counts;
        counts.sent += 1;
        counts.bytes += state.message.len() as u64;
    }

    /// What it waits for next; none if it is over.
    fn plan_next(&self, run: &Run) -> Option<(Room, Duration)> {
        let mut state = self.state.borrow_mut();
        self.send(&mut state, run);
        let now = run.lately();
        if self.deadline(&state, run).is_some_and(|deadline| deadline <= now) {
            self.lose(&mut state, run);
            // What was given up may have made room for the next.
            self.send(&mut state, run);
        }
        let is_left = state.leaving.is_some_and(|end| end <= now);
        if state.is_over || is_left || run.stage.get() == Stage::Over {
            return None;
        }
        let room = if state.is_giving { Room::Needed } else { Room::Unneeded };
        let is_done = state.book.outstanding() == 0 && state.has_said_all(run);
        if is_done && state.leaving.is_none() {
            let longest = run.tally.borrow().longest();
            let patience = (longest * 2).clamp(*AFTERMATH.start(), *AFTERMATH.end());
            state.leaving = Some(now + patience);
            if self.wire.is_stream() && !state.is_shut {
                // The server's end of file comes behind all it has to say.
                state.is_shut = true;
                self.wire.shut_down();
            }
        }
        let next = state.leaving.or_else(|| self.deadline(&state, run));
        // Whatever is sent meanwhile has its deadline after that.
        Some((room, next.unwrap_or(now + run.plan.timeout)))
    }

    /// What is not back is lost.
    fn close(&self, run: &Run) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.is_over = true;
        if state.reader.is_within() && state.book.outstanding() == 0 {
            state.heard = run.now();
            if let Some(heard) = state.reader.give_up(&state.book, &run.form) {
                self.note(state, run, heard);
            }
        }
        while state.book.outstanding() > 0 {
            self.lose_one(state, run);
        }
    }
}

/// When a message was due.
enum Due {
    /// As soon as it could be.
    Now,
    /// At a time of the run.
    At(Duration),
}

enum Happened {
    Ready,
    Woken,
    Late,
}

/// Drives a connection to its end.
pub(super) async fn drive(talk: Rc<Talk>, run: Rc<Run>) {
    let mut armed = run.now() + run.plan.timeout;
    let mut alarm = pin!(sleep_until(run.instant(armed)));
    while let Some((room, deadline)) = talk.plan_next(&run) {
        if deadline < armed || armed <= run.lately() {
            armed = deadline;
            alarm.as_mut().reset(run.instant(armed));
        }
        let happened = tokio::select! {
            biased;
            () = talk.wire.ready(room) => Happened::Ready,
            () = talk.woken.notified() => Happened::Woken,
            () = &mut alarm => Happened::Late,
        };
        match happened {
            Happened::Ready => talk.hear(&mut talk.state.borrow_mut(), &run),
            Happened::Woken | Happened::Late => {
                run.now();
            }
        }
    }
    talk.close(&run);
}
