//! What drives one conversation: it waits, has turns, and sees it off. It holds
//! no state but where to find it.

use super::desk::{Desk, Talk, with};
use super::seeing_off::{see_off, see_off_first};
use super::turn::Turn;
use crate::conversation::Ending;
use crate::endpoint::Transport;
use crate::socket::{self, Watch};
use std::future::poll_fn;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// What a conversation waits for, and how long at most.
pub(super) enum Want {
    /// Input, or the end of file.
    Input(Option<Instant>),
    /// That the peer takes more of its answer.
    Room(Instant),
    /// That there is a slot to read into.
    Place(Option<Instant>),
    /// Nothing more: its time is up, however much there is to read.
    Nothing,
}

impl Want {
    fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Input(deadline) | Self::Place(deadline) => deadline,
            Self::Room(deadline) => Some(deadline),
            Self::Nothing => None,
        }
    }
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
    let mut alarm = Alarm::default();
    let ending = loop {
        let want = if alarm.may_have_rung() {
            with(|desk| desk.want_if_in_time(number))
        } else {
            with(|desk| desk.want(number))
        };
        let turn = match wait(&watch, &mut alarm, want).await {
            Event::Ready => with(|desk| desk.turn(&watch, number)),
            Event::Late => with(|desk| desk.lateness(number)),
        };
        if let Turn::Over(ending) = turn {
            break ending;
        }
    };
    drop(alarm);
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
fn wait(watch: &Watch, alarm: &mut Alarm, want: Want) -> impl Future<Output = Event> {
    let mut place = None;
    // What wakes the task later may be the timer; now it was not.
    let mut may_have_rung = want.deadline().is_some_and(|deadline| alarm.must_be_set(deadline));
    poll_fn(move |context| {
        let ready = match want {
            Want::Input(_) => watch.poll_readable(context),
            Want::Room(_) => watch.poll_writable(context),
            Want::Place(_) => place.get_or_insert_with(|| Box::pin(slot())).as_mut().poll(context),
            Want::Nothing => return Poll::Ready(Event::Late),
        };
        match want.deadline() {
            _ if ready.is_ready() => Poll::Ready(Event::Ready),
            Some(deadline) if std::mem::replace(&mut may_have_rung, true) => {
                alarm.rings(deadline, context).map(|()| Event::Late)
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

/// A timer that stays set from one wait to the next. A peer that talks puts its
/// deadline off with each message; to set a timer each time would cost more than
/// answering. So it goes off at the first deadline, and is then set to the one
/// that holds by now.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether the time it was set for is over, or it never was set.
    fn may_have_rung(&self) -> bool {
        self.0.as_ref().is_none_or(|sleep| sleep.is_elapsed())
    }

    fn must_be_set(&self, deadline: Instant) -> bool {
        self.may_have_rung() || self.0.as_ref().is_some_and(|sleep| sleep.deadline() > deadline)
    }

    fn rings(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(context));
        if sleep.deadline() >= deadline {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(deadline);
        sleep.as_mut().poll(context)
    }
}

impl Desk {
    /// As [`Desk::want`], but nothing once its life is over: who always has more
    /// to read is never late elsewhere.
    fn want_if_in_time(&mut self, number: u32) -> Want {
        match self.talk(number).until {
            Some(until) if until <= Instant::now() => Want::Nothing,
            _ => self.want(number),
        }
    }

    /// Owe nothing before you read: that is all the back-pressure there is.
    fn want(&mut self, number: u32) -> Want {
        let (stall, idle) = (self.patience.stall.get(), self.patience.idle());
        let crowded = self.hot.is_none();
        let talk = self.talk(number);
        let sooner = |deadline: Instant| talk.until.map_or(deadline, |until| until.min(deadline));
        if let Some(owed) = &talk.owed {
            return Want::Room(sooner(owed.since + stall));
        }
        let deadline = match idle {
            Some(idle) => Some(sooner(talk.heard + idle)),
            None => talk.until,
        };
        if crowded && talk.ending.is_none() { Want::Place(deadline) } else { Want::Input(deadline) }
    }

    /// Which deadline has passed; none, if the kernel has heard the peer since.
    fn lateness(&mut self, number: u32) -> Turn {
        let idle = self.patience.idle();
        let talk = self.talk(number);
        Turn::Over(match (talk.ending, &talk.owed, talk.until) {
            (Some(ending), ..) => ending,
            (_, _, Some(until)) if until <= Instant::now() => Ending::Lifetime,
            (_, Some(_), _) => Ending::Stalled,
            _ => {
                talk.ask_when_heard();
                if idle.is_some_and(|idle| talk.heard + idle > Instant::now()) {
                    return Turn::Answered;
                }
                Ending::Idle
            }
        })
    }
}

impl Talk {
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
    use std::io::Write;

    #[tokio::test]
    async fn a_conversation_that_waits_is_small() {
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let watch = Watch::connection(Arc::new(ours.into())).unwrap();
        let size = size_of_val(&converse(watch, 0));
        // Tasks come in steps of 128 bytes, of which the runtime takes up to 127.
        assert!(size <= 128, "{size} bytes");
        println!("{size} bytes, and {} at the desk", size_of::<Option<Talk>>());
    }

    /// A conversation's watch, and its peer.
    fn pair() -> (Watch, std::os::unix::net::UnixStream) {
        let (ours, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Watch::connection(Arc::new(ours.into())).unwrap(), peer)
    }

    async fn hear(watch: &Watch, alarm: &mut Alarm, peer: &mut impl Write, deadline: Instant) {
        peer.write_all(b"x").unwrap();
        assert!(matches!(wait(watch, alarm, Want::Input(Some(deadline))).await, Event::Ready));
        assert_eq!(watch.take(&mut [0; 2]).unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_kept_to_the_instant_however_it_moved() {
        let ((watch, mut peer), mut alarm) = (pair(), Alarm::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        hear(&watch, &mut alarm, &mut peer, at(10)).await;
        // Later than the timer that is set, earlier than it, and later again.
        for deadline in [15, 18, 17, 20] {
            hear(&watch, &mut alarm, &mut peer, at(deadline)).await;
        }
        assert!(matches!(wait(&watch, &mut alarm, Want::Input(Some(at(20)))).await, Event::Late));
        assert_eq!(Instant::now(), at(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_speaks_after_the_timer_went_off_is_heard() {
        let ((watch, mut peer), mut alarm) = (pair(), Alarm::default());
        let deadline = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(matches!(
            wait(&watch, &mut alarm, Want::Input(Some(deadline(5)))).await,
            Event::Late
        ));
        hear(&watch, &mut alarm, &mut peer, deadline(5)).await;
        hear(&watch, &mut alarm, &mut peer, deadline(5)).await;
        assert!(matches!(
            wait(&watch, &mut alarm, Want::Input(Some(deadline(5)))).await,
            Event::Late
        ));
    }
}
