//! What drives one conversation: it waits, has turns, and sees it off. It holds
//! no state but where to find it.

use super::desk::{Desk, with};
use super::seeing_off::{see_off, see_off_first};
use super::turn::Turn;
use crate::conversation::Ending;
use crate::socket::Watch;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

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

/// How waiting came out.
pub(super) enum Event {
    /// What was waited for is there.
    Ready,
    /// The time is up.
    Late,
}

/// Drives one conversation to its end.
pub(super) async fn converse(watch: Watch, number: u32) {
    let ending = loop {
        let want = with(|desk| desk.want(number));
        let turn = match wait(&watch, want).await {
            Event::Ready => with(|desk| desk.turn(&watch, number)),
            Event::Late => Turn::Over(with(|desk| desk.lateness(number))),
        };
        if let Turn::Over(ending) = turn {
            break ending;
        }
    };
    let ending = see_off(&watch, number, ending).await;
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

async fn wait(watch: &Watch, want: Want) -> Event {
    match want {
        Want::Input(None) => {
            watch.readable().await;
            Event::Ready
        }
        // Waiting with a deadline is rare enough to pay for its timer apart:
        // the future of a conversation that merely waits stays small.
        Want::Input(Some(deadline)) => Box::pin(within(deadline, watch.readable())).await,
        Want::Room(deadline) => Box::pin(within(deadline, watch.writable())).await,
        Want::Place(deadline) => Box::pin(place(deadline)).await,
        Want::Nothing => Event::Late,
    }
}

async fn place(deadline: Option<Instant>) -> Event {
    let signs = with(|desk| Arc::clone(&desk.signs));
    if let Some(deadline) = deadline {
        return within(deadline, signs.slots.notified()).await;
    }
    signs.slots.notified().await;
    Event::Ready
}

/// Waits, but no longer than until `deadline`.
pub(super) async fn within(deadline: Instant, ready: impl Future<Output = ()>) -> Event {
    match timeout_at(deadline, pin!(ready)).await {
        Ok(()) => Event::Ready,
        Err(_) => Event::Late,
    }
}

impl Desk {
    /// Owe nothing before you read: that is all the back-pressure there is.
    fn want(&mut self, number: u32) -> Want {
        let (stall, idle) = (self.patience.stall.get(), self.patience.idle());
        let crowded = self.hot.is_none();
        let talk = self.talk(number);
        if talk.until.is_some_and(|until| until <= Instant::now()) {
            return Want::Nothing;
        }
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

    /// Which deadline has passed.
    fn lateness(&mut self, number: u32) -> Ending {
        let talk = self.talk(number);
        match (talk.ending, &talk.owed, talk.until) {
            (Some(ending), ..) => ending,
            (_, _, Some(until)) if until <= Instant::now() => Ending::Lifetime,
            (_, Some(_), _) => Ending::Stalled,
            _ => Ending::Idle,
        }
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
        assert!(size <= 256, "{size} bytes");
        println!("{size} bytes, and {} at the desk", size_of::<Option<super::super::desk::Talk>>());
    }
}
