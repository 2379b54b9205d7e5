//! Leaving: with a store, conversations wait there for the next process; without
//! one, each gets what it is owed and ends.

use super::converse::slot;
use super::desk::{Desk, with};
use super::seeing_off::see_off;
use super::talk::Talk;
use super::turn::Turn;
use crate::conversation::{Ending, Id};
use crate::socket::Watch;
use crate::socket::{self, Reset};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, timeout_at};

/// How long nothing may happen to call it quiet: the time of one look at the
/// kernel, which a sleep enforces.
const QUIET: Duration = Duration::from_millis(1);

/// Which conversations a leaving daemon brings to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Those that nobody keeps.
    Unkept,
    /// All of them: there is no store.
    All,
}

/// Has turns until nothing is readable, for `at_most` as long. It waits for no
/// peer that does not take its answer: such a connection is made to end with a
/// reset, should the manager close it, so that no truncated answer passes for a
/// whole one. A successor takes that off again.
pub async fn settle(at_most: Duration) {
    let deadline = Instant::now() + at_most;
    let mut before = None;
    while Instant::now() < deadline {
        let turns = with(|desk| desk.turns);
        if before.replace(turns) == Some(turns) {
            break;
        }
        sleep(QUIET).await;
    }
    with(|desk| {
        for talk in desk.talks.iter().flatten().filter(|talk| talk.owed.is_some()) {
            socket::reset_on_close(talk.stream.as_fd(), Some(Reset));
        }
        desk.memory.header().leave(super::desk::boot_time());
    });
}

/// Answers what has arrived by now, and ends the conversations as when we end
/// first. Those that take longer than `at_most` are closed as they are, with a
/// reset where an answer is owed.
pub async fn drain(who: Who, at_most: Duration) {
    let deadline = Instant::now() + at_most;
    let mut leaving = Vec::new();
    for (number, id) in with(|desk| desk.chosen(who)) {
        if let Some(task) = with(|desk| desk.interrupt(number, id)) {
            // Once the task is gone nobody watches the connection.
            let _ = task.await;
            leaving.push(tokio::spawn(take_leave(number, id)));
        }
    }
    for task in leaving.into_iter().chain(with(|desk| desk.parting(who))) {
        if timeout_at(deadline, task).await.is_err() {
            break;
        }
    }
    give_up(who);
}

/// Closes conversations as they are, with a reset where an answer is owed: the
/// time for [`drain`] is up.
pub fn give_up(who: Who) {
    with(|desk| desk.give_up(who));
}

/// Answers what has arrived at this moment, and sees the conversation off.
async fn take_leave(number: u32, id: Id) {
    let Some((watch, mut unread)) = with(|desk| desk.watch_again(number, id)) else { return };
    let mut last = false;
    let ending = loop {
        let owing = with(|desk| desk.talk(number).owed.is_some());
        if owing {
            watch.writable().await;
        } else if unread > 0 {
            watch.readable().await;
        } else if last {
            break Ending::Left;
        } else {
            // What has arrived may be an end of file, which is no byte. A fresh watch
            // knows of it when the runtime has looked once.
            last = true;
            yield_now().await;
        }
        let before = with(|desk| desk.talk(number).done.taken);
        match with(|desk| desk.turn(&watch, number)) {
            Turn::Over(ending) => break ending,
            Turn::Crowded => {
                slot().await;
            }
            Turn::Answered | Turn::Owing => {}
        }
        unread = unread.saturating_sub(with(|desk| desk.talk(number).done.taken) - before);
    };
    let ending = see_off(&watch, number, ending).await;
    drop(watch);
    with(|desk| desk.close(number, ending));
}

impl Desk {
    fn chosen(&self, who: Who) -> Vec<(u32, Id)> {
        let numbers = 0..u32::try_from(self.talks.len()).expect("there are 65,536 records");
        numbers
            .zip(&self.talks)
            .filter_map(|(number, talk)| Some((number, talk.as_ref()?)))
            .filter(|(_, talk)| who == Who::All || !self.is_kept(talk))
            .map(|(number, talk)| (number, talk.rare.id))
            .collect()
    }

    fn is_kept(&self, talk: &Talk) -> bool {
        let store = self.store.as_ref();
        store.zip(talk.rare.bag).is_some_and(|(store, bag)| store.is_kept(bag))
    }

    /// Stops the task of a conversation, unless that one is being seen off.
    fn interrupt(&mut self, number: u32, id: Id) -> Option<JoinHandle<()>> {
        let talk = self.talks[number as usize].as_mut().filter(|talk| talk.rare.id == id)?;
        if talk.parting {
            return None;
        }
        let driver = talk.rare.task.take()?;
        driver.abort();
        Some(driver)
    }

    /// The tasks of those that are being seen off: a successor does that, too.
    fn parting(&mut self, who: Who) -> Vec<JoinHandle<()>> {
        let chosen = self.chosen(who).into_iter();
        let task = |(number, _)| {
            let talk = self.talk(number);
            if talk.parting { talk.rare.task.take() } else { None }
        };
        chosen.filter_map(task).collect()
    }

    fn watch_again(&mut self, number: u32, id: Id) -> Option<(Watch, u64)> {
        let talk = self.talks[number as usize].as_ref().filter(|talk| talk.rare.id == id)?;
        let watch = Watch::connection(Arc::clone(&talk.stream)).ok()?;
        Some((watch, socket::unread(talk.stream.as_fd())))
    }

    fn give_up(&mut self, who: Who) {
        for (number, _) in self.chosen(who) {
            let talk = self.talk(number);
            if talk.owed.is_some() || !talk.parting {
                socket::disconnect(talk.stream.as_fd());
            }
        }
    }
}
