//! Seeing a conversation off: nothing that was given may be lost, and no peer
//! may take a truncated answer for a whole one.

use super::converse::{Event, within};
use super::desk::{Desk, with};
use crate::conversation::Ending;
use crate::socket::{self, Delivery, Watch};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Who ends first waits for the other's end of file this long, and drops this
/// much: closing with input unread would be a reset, which can overtake and
/// destroy the last answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 65_536;

/// How soon, and how seldom at last, the kernel is asked whether the peer has
/// everything. It tells nobody when.
const ASK_FIRST: Duration = Duration::from_millis(1);
const ASK_LAST: Duration = Duration::from_millis(200);

/// Who ended first, as far as it matters for the end.
enum Way {
    /// Nobody waits for anything any more.
    Gone,
    /// The peer has ended, and gets our end of file.
    Answered,
    /// We end, and the peer may still be talking.
    First,
}

/// Sees a conversation off. When this is done its connection is closed on both
/// sides, whoever else holds the descriptor. Returns how it has ended after all.
pub(super) async fn see_off(watch: &Watch, number: u32, ending: Ending) -> Ending {
    match with(|desk| desk.part(number, ending)) {
        Way::Gone => ending,
        Way::Answered => sent(number, ending).await,
        Way::First => linger(watch, number, ending).await,
    }
}

/// Ends a connection that is not served: with an end of file, which a close with
/// input unread would not be.
pub(super) fn turn_away(stream: BorrowedFd<'_>) {
    socket::shut_down(stream);
    // From the socket itself: a fresh watch knows of no input yet.
    drop_input(|buffer| socket::take(stream, buffer), LINGER_BYTES);
}

/// [`see_off`], whoever ended first, with an end of file.
pub(super) async fn see_off_first(watch: &Watch, number: u32, ending: Ending) -> Ending {
    with(|desk| socket::shut_down(desk.talk(number).stream.as_fd()));
    linger(watch, number, ending).await
}

/// Waits until the peer has everything, is gone, or has had its time for it.
async fn sent(number: u32, ending: Ending) -> Ending {
    let deadline = Instant::now() + with(|desk| desk.patience.stall.get());
    match delivered(number, deadline).await {
        Delivery::Done => ending,
        Delivery::Lost => Ending::Reset,
        Delivery::UnderWay => {
            with(|desk| desk.disconnect(number));
            Ending::Stalled
        }
    }
}

/// Then hears the peer out for a while.
async fn linger(watch: &Watch, number: u32, ending: Ending) -> Ending {
    let ending = sent(number, ending).await;
    let until = Instant::now() + LINGER;
    let mut left = LINGER_BYTES;
    while let Some(more) = drop_input(|buffer| watch.take(buffer), left) {
        left = more;
        if let Event::Late = Box::pin(within(until, watch.readable())).await {
            break;
        }
    }
    with(|desk| desk.disconnect(number));
    ending
}

/// Waits until what was given is no longer under way, but no longer than until
/// `deadline`.
async fn delivered(number: u32, deadline: Instant) -> Delivery {
    let mut pause = ASK_FIRST;
    loop {
        let delivery = with(|desk| socket::delivery(desk.talk(number).stream.as_fd()));
        let now = Instant::now();
        if delivery != Delivery::UnderWay || now >= deadline {
            return delivery;
        }
        Box::pin(sleep_until(deadline.min(now + pause))).await;
        pause = ASK_LAST.min(pause * 2);
    }
}

impl Desk {
    /// Ends our side as the ending asks for: with an end of file only when
    /// everything owed was given, else with a reset.
    fn part(&mut self, number: u32, ending: Ending) -> Way {
        let talk = self.talk(number);
        talk.parting = true;
        match ending {
            Ending::EndOfFile => {
                socket::shut_down(talk.stream.as_fd());
                Way::Answered
            }
            Ending::ExitWord | Ending::Idle | Ending::Lifetime | Ending::Left
                if talk.owed.is_none() =>
            {
                socket::shut_down(talk.stream.as_fd());
                Way::First
            }
            _ => {
                socket::disconnect(talk.stream.as_fd());
                Way::Gone
            }
        }
    }

    fn disconnect(&mut self, number: u32) {
        socket::disconnect(self.talk(number).stream.as_fd());
    }
}

/// Drops what has arrived. How much more may be dropped, or none if the peer
/// has ended or said too much.
fn drop_input(
    mut take: impl FnMut(&mut [u8]) -> io::Result<usize>,
    mut left: usize,
) -> Option<usize> {
    let mut buffer = [0; 4_096];
    while left > 0 {
        let most = buffer.len().min(left);
        match take(&mut buffer[..most]) {
            Ok(0) => return None,
            Ok(n) => left -= n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(left),
            Err(_) => return None,
        }
    }
    None
}
