//! The manager's store of descriptors: what we put there outlives us.
//!
//! One entry in the store for each connection would be quadratic in the manager
//! (73 s of its time for 15,000), so connections go into bags of 250, and the
//! manager sees one message for each bag.

use super::bag::{self, Entry};
use super::ledger::{BagNumber, Ledger, Tally};
use super::no_place::NoPlace;
use super::notify::{Manager, happens};
use super::{Hand, MEMORY_NAME};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use sd_notify::NotifyState;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The store, with its bags. It belongs to the one thread that serves.
#[derive(Debug)]
pub struct Store {
    manager: Manager,
    bags: Ledger,
    /// Our ends of our own bags, not of a predecessor's: they show whether the
    /// manager has the others.
    ends: BTreeMap<BagNumber, OwnedFd>,
    /// The bag that takes connections.
    open: Option<BagNumber>,
    next: u32,
    in_flight_max: u64,
    resting_until: Option<Instant>,
}

impl Store {
    /// Opens the store, if there is one: a manager that has none, or a full one,
    /// drops what it is sent without a word, and a first bag shows it. That is
    /// awaited for up to a second; of a manager that has not answered by then
    /// the best is assumed, and [`is_kept`](Self::is_kept) knows better later.
    ///
    /// `memory` is a new memory file, and none if the hand's is still in use: that
    /// one lies in the store already. A new one replaces any other, and is stored
    /// before any bag, for a bag without memory is worth little.
    /// `descriptors_max` is the soft `RLIMIT_NOFILE`.
    ///
    /// A store in which something was found is one, even if it takes no more at
    /// present.
    pub fn open(
        manager: &Manager,
        hand: &Hand,
        memory: Option<BorrowedFd<'_>>,
        descriptors_max: u64,
        now: Instant,
    ) -> Option<Self> {
        if !manager.is_there() {
            return None;
        }
        let last = hand.bags.iter().map(|(bag, _)| bag.0).max();
        let mut store = Self {
            manager: manager.clone(),
            bags: Ledger::default(),
            ends: BTreeMap::new(),
            open: None,
            next: last.map_or(1, |last| last.wrapping_add(1)),
            in_flight_max: descriptors_max,
            resting_until: None,
        };
        let works = store.begin(memory).is_ok();
        if !works {
            store.resting_until = Some(now + REST);
        }
        (works || last.is_some() || memory.is_none()).then_some(store)
    }

    fn begin(&mut self, memory: Option<BorrowedFd<'_>>) -> Result<(), NoPlace> {
        if let Some(memory) = memory {
            let words = [NotifyState::FdStoreRemove, NotifyState::FdName(MEMORY_NAME)];
            self.manager.tell(&words, &[], START_PATIENCE).map_err(NoPlace::Manager)?;
            self.keep(memory, MEMORY_NAME, START_PATIENCE)?;
        }
        let bag = self.open_bag(START_PATIENCE)?;
        // That it is late, or cannot be asked, proves nothing.
        let _ = self.manager.barrier(START_PATIENCE);
        if self.is_kept(bag) {
            return Ok(());
        }
        self.open = None;
        self.forget(bag);
        Err(NoPlace::NotKept)
    }

    /// Goes on with a predecessor's bags, once it is known which of their
    /// connections live: of one that lies in two bags only one counts. Those
    /// with none alive are removed from the store.
    pub fn resume(&mut self, bags: impl IntoIterator<Item = (BagNumber, Tally)>) {
        for (bag, tally) in bags {
            self.bags.resume(bag, tally);
        }
        self.sweep();
    }

    /// Puts a connection where the next process finds it. Do it before the first
    /// read, and write the record before: a killed process leaves what it has
    /// done so far.
    ///
    /// It waits for nobody. After an error the conversation is served all the
    /// same, and for a second every other gets [`NoPlace::Resting`] at once.
    pub fn add(
        &mut self,
        connection: BorrowedFd<'_>,
        entry: Entry,
        now: Instant,
    ) -> Result<BagNumber, NoPlace> {
        if self.is_resting(now) {
            return Err(NoPlace::Resting);
        }
        let place = self.put(connection, entry);
        if place.is_err() {
            self.resting_until = Some(now + REST);
        }
        place
    }

    fn put(&mut self, connection: BorrowedFd<'_>, entry: Entry) -> Result<BagNumber, NoPlace> {
        let mut bag = match self.open {
            Some(bag) if self.bags.total(bag) < BAG_MAX => bag,
            _ => self.open_bag(Duration::ZERO)?,
        };
        let mut done = bag::put(&self.ends[&bag], connection, entry);
        // Full before 250, where the kernel's send buffers are small.
        if done == Err(Errno::AGAIN) && self.bags.total(bag) > 0 {
            bag = self.open_bag(Duration::ZERO)?;
            done = bag::put(&self.ends[&bag], connection, entry);
        }
        match done {
            Ok(()) => {
                self.bags.put(bag);
                Ok(bag)
            }
            Err(Errno::PIPE | Errno::CONNRESET) => {
                self.lose(bag);
                Err(NoPlace::NotKept)
            }
            Err(error) => Err(NoPlace::Kernel(error.into())),
        }
    }

    /// Opens a bag, and seals the one before it.
    fn open_bag(&mut self, patience: Duration) -> Result<BagNumber, NoPlace> {
        let (ours, theirs) = bag::pair().map_err(|error| NoPlace::Kernel(error.into()))?;
        let bag = BagNumber(self.next);
        self.keep(theirs.as_fd(), &bag.to_string(), patience)?;
        self.next = self.next.wrapping_add(1);
        self.bags.open(bag);
        self.ends.insert(bag, ours);
        if let Some(full) = self.open.replace(bag) {
            self.bags.seal(full);
        }
        self.notice_lost();
        self.sweep();
        Ok(bag)
    }

    /// A bag can be filled before the manager has so much as seen it, and drops
    /// it: so all are looked at whenever another is opened.
    fn notice_lost(&mut self) {
        let lost: Vec<_> =
            self.ends.iter().filter(|(_, end)| is_closed(end)).map(|(bag, _)| *bag).collect();
        for bag in lost {
            self.lose(bag);
        }
    }

    fn lose(&mut self, bag: BagNumber) {
        self.open.take_if(|open| *open == bag);
        self.ends.remove(&bag);
        self.bags.lose(bag);
    }

    fn forget(&mut self, bag: BagNumber) {
        self.ends.remove(&bag);
        self.bags.forget(bag);
    }

    /// The conversation of a connection in this bag is over. Shut the connection
    /// down and take it out of epoll before it is closed: the copy in the bag
    /// hides a close from the peer, and keeps a registration alive.
    pub fn remove(&mut self, bag: BagNumber) {
        self.bags.end(bag);
        self.sweep();
    }

    /// The bag whose living connections had better be moved, if any: its dead
    /// are too many, or the manager has lost it.
    pub fn sparse(&self, now: Instant) -> Option<BagNumber> {
        if self.is_resting(now) { None } else { self.bags.sparse(self.in_flight_max) }
    }

    /// Puts a bag's living connections, all of them, into the open bag, and
    /// removes the old one once all have moved. Returns which records' connections
    /// now lie where; where there was no place, the rest stay where they are.
    ///
    /// Killed half-way, some connections are in two bags, which a successor sees
    /// by their ids.
    pub fn compact<'fd>(
        &mut self,
        bag: BagNumber,
        living: impl IntoIterator<Item = (BorrowedFd<'fd>, Entry)>,
        now: Instant,
    ) -> Vec<(u32, BagNumber)> {
        let mut moved = Vec::new();
        for (connection, entry) in living {
            let Ok(place) = self.add(connection, entry, now) else { break };
            self.bags.end(bag);
            moved.push((entry.record, place));
        }
        self.sweep();
        moved
    }

    /// Whether what lies in this bag outlives us. Ask before leaving: a manager
    /// that has no store, or has lost it, has closed the bag, and then the
    /// conversations in it must be brought to an end.
    pub fn is_kept(&self, bag: BagNumber) -> bool {
        self.bags.has(bag) && !self.ends.get(&bag).is_some_and(is_closed)
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.resting_until.is_some_and(|until| now < until)
    }

    fn keep(&self, fd: BorrowedFd<'_>, name: &str, patience: Duration) -> Result<(), NoPlace> {
        // With the default of 1 the manager would drop a bag when our end of it
        // closes: when we die, which is what it is for.
        let unwatched = NotifyState::Custom("FDPOLL=0");
        let words = [NotifyState::FdStore, NotifyState::FdName(name), unwatched];
        self.manager.tell(&words, &[fd], patience).map_err(NoPlace::Manager)
    }

    /// Removes bags that nobody needs. One that the manager has no time for stays
    /// in the book and is tried again with the next.
    fn sweep(&mut self) {
        while let Some(bag) = self.bags.empty() {
            let name = bag.to_string();
            let words = [NotifyState::FdStoreRemove, NotifyState::FdName(&name)];
            if self.manager.tell(&words, &[], Duration::ZERO).is_err() {
                return;
            }
            self.forget(bag);
        }
    }
}

/// Whether nobody has the other end.
fn is_closed(end: &OwnedFd) -> bool {
    happens(end, PollFlags::empty(), Duration::ZERO).unwrap_or(false)
}

/// Connections in one bag. The kernel's default send buffer holds 278.
const BAG_MAX: u32 = 250;
/// How long nothing is tried after there was no place.
const REST: Duration = Duration::from_secs(1);
/// How long the start waits for the manager. It answers within 6 ms.
const START_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
