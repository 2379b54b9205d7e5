//! Keeping order when every slot holds an answer that some peer does not take:
//! one slow reader never stops the others.

use super::desk::{Desk, with};
use crate::conversation::Ending;
use crate::socket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A peer that took nothing of its answer for this long may lose its place to
/// one that waits for it.
const PROGRESS: Duration = Duration::from_secs(1);

/// Makes room whenever the last slot was taken, for as long as it is polled.
pub async fn keep_order() {
    let signs = with(|desk| Arc::clone(&desk.signs));
    loop {
        signs.crowd.notified().await;
        while let Some((number, at)) = with(|desk| desk.slowest()) {
            sleep_until(at).await;
            with(|desk| desk.make_room(number, at));
        }
    }
}

impl Desk {
    /// While there is no slot to read into: whose peer has taken nothing for
    /// longest, and from when on its place may be taken.
    fn slowest(&self) -> Option<(u32, Instant)> {
        if self.hot.is_some() {
            return None;
        }
        let moved = |&number: &u32| Some((number, self.owed(number)?.moved + PROGRESS));
        self.holders.iter().flatten().filter_map(moved).min_by_key(|&(_, at)| at)
    }

    /// Takes a place from a conversation, unless its peer has moved meanwhile or
    /// there is room again.
    fn make_room(&mut self, number: u32, at: Instant) {
        let unmoved = self.owed(number).is_some_and(|owed| owed.moved + PROGRESS <= at);
        if self.hot.is_some() || !unmoved {
            return;
        }
        let talk = self.talk(number);
        talk.ending = Some(Ending::Crowded);
        // The reset wakes the conversation's task, which finds the ending.
        socket::disconnect(talk.stream.as_fd());
        if let Some(slot) = talk.owed.take().and_then(|owed| owed.due.into_slot()) {
            self.free_slot(slot);
        }
    }

    fn owed(&self, number: u32) -> Option<&super::talk::Owed> {
        self.talks[number as usize].as_ref()?.owed.as_deref()
    }
}
