//! What drives one conversation: it waits, has turns, and sees it off. It holds
//! no state but where to find it.

use super::desk::{Desk, with};
use super::seeing_off::{see_off, see_off_first};
use super::talk::Talk;
use super::turn::Turn;
use crate::conversation::Ending;
use crate::endpoint::Transport;
use crate::socket::{self, Watch};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What a conversation waits for, and how long at most.
pub(super) struct Want {
    what: What,
    deadline: Option<Instant>,
    /// Whether it will be woken by its deadline.
    is_set: bool,
}

enum What {
    /// Input, or the end of file.
    Input,
    /// That the peer takes more of its answer.
    Room,
    /// That there is a slot to read into.
    Place,
    /// Nothing more: its time is up, however much there is to read.
    Nothing,
}

/// How waiting came out.
pub(super) enum Event {
    /// What was waited for is there.
    Ready,
    /// The time is up.
    Late,
}

/// Drives one conversation to its end.
pub(super) async fn converse(watch: Watch, number: u32) {
    let mut want = with(|desk| desk.want(number));
    let ending = loop {
        let event = wait(&watch, number, want).await;
        match with(|desk| desk.proceed(&watch, number, &event)) {
            ControlFlow::Continue(next) => want = next,
            ControlFlow::Break(ending) => break ending,
        }
    };
    // Apart, like all that is rare: a conversation carries its whole future along
    // from the beginning, and most of the time it only waits.
    let ending = Box::pin(see_off(&watch, number, ending)).await;
    // The bag's copy would keep the registration alive.
    drop(watch);
    with(|desk| desk.close(number, ending));
}

/// Sees off a conversation of which only its end is left. Who ended first is not
/// known any more, so we may have.
pub(super) async fn finish(watch: Watch, number: u32, ending: Ending) {
    let ending = see_off_first(&watch, number, ending).await;
    drop(watch);
    with(|desk| desk.close(number, ending));
}

/// Waits for what is wanted. Not an `async fn`, whose future would hold the same
/// things several times.
fn wait(watch: &Watch, number: u32, mut want: Want) -> impl Future<Output = Event> {
    let mut place = None;
    poll_fn(move |context| {
        let ready = match want.what {
            What::Input => watch.poll_readable(context),
            What::Room => watch.poll_writable(context),
            What::Place => place.get_or_insert_with(|| Box::pin(slot())).as_mut().poll(context),
            What::Nothing => return Poll::Ready(Event::Late),
        };
        if ready.is_ready() {
            return Poll::Ready(Event::Ready);
        }
        match want.deadline {
            // What wakes the task later may be the alarm; now it was not.
            Some(deadline) if !std::mem::take(&mut want.is_set) => {
                let is_late = with(|desk| desk.is_late(number, deadline, context.waker()));
                if is_late { Poll::Ready(Event::Late) } else { Poll::Pending }
            }
            _ => Poll::Pending,
        }
    })
}

/// Waits until there may be a slot again.
pub(super) async fn slot() {
    let signs = with(|desk| Arc::clone(&desk.signs));
    signs.slots.notified().await;
}

/// Waits, but no longer than until `deadline`.
pub(super) async fn within(deadline: Instant, ready: impl Future<Output = ()>) -> Event {
    match timeout_at(deadline, pin!(ready)).await {
        Ok(()) => Event::Ready,
        Err(_) => Event::Late,
    }
}

impl Desk {
    /// A turn, or what lateness means; then what comes next.
    fn proceed(&mut self, watch: &Watch, number: u32, event: &Event) -> ControlFlow<Ending, Want> {
        let turn = match event {
            Event::Ready => self.turn(watch, number),
            Event::Late => self.lateness(number),
        };
        match turn {
            Turn::Over(ending) => ControlFlow::Break(ending),
            _ => ControlFlow::Continue(self.want(number)),
        }
    }

    /// Owe nothing before you read: that is all the back-pressure there is.
    fn want(&mut self, number: u32) -> Want {
        let (stall, idle) = (self.patience.stall.get(), self.patience.idle());
        let crowded = self.hot.is_none();
        let talk = self.talk(number);
        let (what, patience) = if let Some(owed) = &talk.owed {
            (What::Room, Some(owed.since + stall))
        } else {
            let is_full = crowded && talk.ending.is_none();
            let what = if is_full { What::Place } else { What::Input };
            (what, idle.map(|idle| talk.heard + idle))
        };
        // Who always has more to read waits for nothing, and is never late elsewhere.
        let is_over =
            talk.alarm.is_none() && talk.until.is_some_and(|until| until <= Instant::now());
        let deadline = match (patience, talk.until) {
            (Some(patience), Some(until)) => Some(patience.min(until)),
            (patience, until) => patience.or(until),
        };
        let is_set = deadline.is_none_or(|deadline| talk.is_woken_by(deadline));
        Want { what: if is_over { What::Nothing } else { what }, deadline, is_set }
    }

    /// Which deadline has passed; none, if the kernel has heard the peer since.
    pub(super) fn lateness(&mut self, number: u32) -> Turn {
        let idle = self.patience.idle();
        let talk = self.talk(number);
        Turn::Over(match (talk.ending, &talk.owed, talk.until) {
            (Some(ending), ..) => ending,
            (_, _, Some(until)) if until <= Instant::now() => Ending::Lifetime,
            (_, Some(_), _) => Ending::Stalled,
            _ => {
                talk.ask_when_heard();
                // After a stop of the process, a deadline may be seen before what was
                // said in time.
                if socket::unread(talk.stream.as_fd()) > 0 {
                    talk.heard = Instant::now();
                }
                if idle.is_some_and(|idle| talk.heard + idle > Instant::now()) {
                    return Turn::Answered;
                }
                Ending::Idle
            }
        })
    }
}

impl Talk {
    pub(super) fn is_woken_by(&self, deadline: Instant) -> bool {
        self.alarm.is_some_and(|at| at <= deadline)
    }

    /// Whether the kernel knows when the peer was last heard: then no message has
    /// to look at the clock for it.
    pub(super) fn is_timed(&self) -> bool {
        self.transport == Transport::Tcp
    }

    fn ask_when_heard(&mut self) {
        // The kernel counts in its own ticks, at most this long; better late.
        const TICK: Duration = Duration::from_millis(10);
        if !self.is_timed() {
            return;
        }
        let Ok(quiet) = socket::idle_time(self.stream.as_fd()) else { return };
        let heard = Instant::now().checked_sub(quiet.saturating_sub(TICK));
        self.heard = heard.map_or(self.heard, |heard| heard.max(self.heard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_conversation_that_waits_is_small() {
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let watch = Watch::connection(Arc::new(ours.into())).unwrap();
        let size = size_of_val(&converse(watch, 0));
        // Tasks come in steps of 128 bytes, of which the runtime takes up to 127.
        assert!(size <= 128, "{size} bytes");
        println!("{size} bytes, and {} at the desk", size_of::<Option<Talk>>());
    }
}
