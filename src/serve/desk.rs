//! The desk: what the thread knows of every conversation. There is one for each
//! thread that serves, and nobody shares it.

use super::admission::Places;
use super::alarms::Alarms;
use super::converse;
use super::datagrams::Mail;
use super::seeing_off;
use super::talk::{Arrival, Rare, Talk};
use crate::config::{Level, Patience};
use crate::conversation::{Ending, Refusal, Totals};
use crate::echo::{Protocol, Rule};
use crate::endpoint::{Party, Source};
use crate::keep::{self, Done, Memory, RECORDS, RULES, RuleIndex, Slot, Terms};
use crate::report::{self, Introduction, Recording};
use crate::socket::{self, Meters, Watch};
use crate::systemd::{Entry, NoPlace, Store};
use rustix::io::Errno;
use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What one thread needs to serve.
pub struct Desk {
    pub(super) memory: Memory,
    /// One for each slot.
    pub(super) meters: Meters,
    /// Where the next input goes; none while every slot holds a stuck answer.
    pub(super) hot: Option<Slot>,
    pub(super) store: Option<Store>,
    pub(super) rules: [Option<Rule>; RULES],
    /// The rule for conversations that begin.
    pub(super) rule: RuleIndex,
    /// By the number of their record.
    pub(super) talks: Vec<Option<Talk>>,
    /// Which conversation's answer a slot holds, by slot.
    pub(super) holders: Vec<Option<u32>>,
    /// The record of a suspect that has not been faced yet: it is in use.
    pub(super) suspect: Option<u32>,
    /// Records that were used and are free again.
    pub(super) records: Vec<u32>,
    pub(super) places: Places,
    pub(super) mail: Mail,
    pub(super) patience: Patience,
    pub(super) alarms: Alarms,
    pub(super) signs: Arc<Signs>,
    /// Whether anything happened since the last [`Desk::status`].
    pub(super) stirred: bool,
    /// Turns so far, to see whether there are any more.
    pub(super) turns: u64,
}

/// What others wait for.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Another conversation may begin.
    pub(super) room: Notify,
    /// There is a slot to read into again.
    pub(super) slots: Notify,
    /// The last slot was taken.
    pub(super) crowd: Notify,
    /// Something happened that the status tells.
    pub(super) stir: Notify,
    /// An alarm was set that is the first to ring.
    pub(super) alarm: Notify,
}

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// Opens this thread's desk.
pub(super) fn place(desk: Desk) {
    DESK.set(Some(desk));
}

/// Closes this thread's desk, and every connection that is still at it.
pub fn close_desk() {
    // Taken out first: closing it must not find itself borrowed.
    let desk = DESK.take();
    drop(desk);
}

/// Does something at this thread's desk. Panics if none is open.
pub fn with<T>(act: impl FnOnce(&mut Desk) -> T) -> T {
    DESK.with_borrow_mut(|desk| act(desk.as_mut().expect("this thread has an open desk")))
}

impl Desk {
    pub(super) fn talk(&mut self, number: u32) -> &mut Talk {
        self.talks[number as usize].as_mut().expect("a number in use has a conversation")
    }

    /// Begins a conversation. Its record comes first and its place in the store
    /// second, both before the first byte is read: a successor finds all of it
    /// or nothing.
    pub(super) fn begin(&mut self, arrival: Arrival) -> io::Result<Result<(), Refusal>> {
        let Arrival { stream, peer, transport, protocol, counted } = arrival;
        let stream = Arc::new(stream);
        // Whatever the kernel says: there is no room for another.
        let watch =
            Watch::connection(Arc::clone(&stream)).map_err(|_| io::Error::from(Errno::NOMEM))?;
        if let Err(refusal) = self.places.enter(source(&peer)) {
            self.memory.header().refuse(refusal);
            report::refused(&peer, refusal);
            seeing_off::turn_away(stream.as_fd());
            self.stir();
            return Ok(Err(refusal));
        }
        let number = self.free_record();
        let id = self.memory.header().next_id();
        let terms = Terms { protocol, rule: self.rule, born: boot_time() };
        let record = self.memory.record(number);
        record.begin(id, terms, &Done::default());
        // Nobody else asks for it.
        let is_told = report::wants(Level::Info);
        let local = if is_told { socket::local(stream.as_fd()) } else { Party::Unknown };
        let who = Introduction { id, transport, protocol, local, peer };
        let recording = report::began(&who);
        if recording == Recording::Single {
            record.set_recorded();
        }
        let talk = Talk {
            stream,
            rare: Box::new(Rare { id, local, peer, bag: None, recording, task: None, waker: None }),
            transport,
            terms,
            done: Done::default(),
            owed: None,
            heard: Instant::now(),
            until: self.patience.lifetime().map(|lifetime| Instant::now() + lifetime),
            alarm: None,
            ending: None,
            parting: false,
        };
        self.talks[number as usize] = Some(talk);
        if counted {
            self.bag(number);
        }
        keep::add(&self.memory.header().served, 1);
        self.stir();
        self.talk(number).rare.task = Some(tokio::spawn(converse::converse(watch, number)));
        Ok(Ok(()))
    }

    /// Puts a conversation where it outlives the process, if there is room.
    fn bag(&mut self, number: u32) {
        let (Some(store), Some(talk)) = (&mut self.store, &mut self.talks[number as usize]) else {
            return;
        };
        match store.add(talk.stream.as_fd(), entry(number, talk), now()) {
            Ok(bag) => talk.rare.bag = Some(bag),
            Err(NoPlace::Kernel(error) | NoPlace::Manager(error)) => report::not_kept(&error),
            Err(NoPlace::NotKept | NoPlace::Resting) => report::store_full(),
        }
    }

    /// Ends a conversation whose connection is over: nothing more will be sent,
    /// and nobody watches its descriptor.
    pub(super) fn close(&mut self, number: u32, ending: Ending) {
        self.unset_alarm(number);
        let talk = self.talks[number as usize].take().expect("a conversation is closed once");
        let Done { taken, given, messages, .. } = talk.done;
        let totals = totals(talk.terms, taken, given, messages);
        self.memory.record(number).end();
        report::ended(&talk.who(), talk.rare.recording, ending, &totals);
        if let Some(slot) = talk.owed.and_then(|owed| owed.due.into_slot()) {
            self.free_slot(slot);
        }
        drop(talk.stream);
        self.records.push(number);
        self.places.leave(source(&talk.rare.peer));
        self.signs.room.notify_waiters();
        if let (Some(store), Some(bag)) = (&mut self.store, talk.rare.bag) {
            store.remove(bag);
        }
        self.compact();
        self.stir();
    }

    /// Moves the last few conversations out of a bag of dead ones, which the
    /// kernel counts like living.
    fn compact(&mut self) {
        let Some(store) = &mut self.store else { return };
        let Some(bag) = store.sparse(now()) else { return };
        let living = self.talks.iter().enumerate().filter_map(|(number, talk)| {
            let talk = talk.as_ref().filter(|talk| talk.rare.bag == Some(bag))?;
            let number = u32::try_from(number).expect("there are 65,536 records");
            Some((talk.stream.as_fd(), entry(number, talk)))
        });
        let moved = store.compact(bag, living, now());
        for (number, bag) in moved {
            self.talk(number).rare.bag = Some(bag);
        }
    }

    /// Whether there is a record for another conversation. Places are never more
    /// than records, but those that go on are never refused.
    pub(super) fn has_free_record(&self) -> bool {
        !self.records.is_empty() || self.talks.len() < RECORDS as usize
    }

    /// A record that nobody uses.
    fn free_record(&mut self) -> u32 {
        self.records.pop().unwrap_or_else(|| {
            self.talks.push(None);
            let number = u32::try_from(self.talks.len() - 1).expect("there are 65,536 records");
            self.memory.header().reach(number);
            number
        })
    }

    /// How many conversations there are.
    pub fn conversations(&self) -> u32 {
        self.places.now()
    }
}

/// What a conversation carried that ends now.
pub(super) fn totals(terms: Terms, received: u64, sent: u64, messages: u64) -> Totals {
    Totals {
        received,
        sent,
        messages: (terms.protocol != Protocol::Rfc862).then_some(messages),
        duration: Duration::from_nanos(boot_time().saturating_sub(terms.born)),
    }
}

/// Who counts as one stranger.
pub(super) fn source(peer: &Party) -> Option<Source> {
    match peer {
        Party::Ip(address) => Some(Source::of(address.ip())),
        _ => None,
    }
}

fn entry(number: u32, talk: &Talk) -> Entry {
    Entry { id: talk.rare.id.0.get(), record: number, protocol: talk.terms.protocol as u8 }
}

/// `CLOCK_BOOTTIME` in nanoseconds: goes on through suspend, and means the same
/// to the next process.
pub(super) fn boot_time() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}
