//! What a successor finds: the test looks into the manager's store between two
//! lives, judges every conversation as the next daemon will, and counts in which
//! row of the table of crash points it was.

use echod::conversation::{Counters, Phase};
use echod::echo::Protocol;
use echod::keep::{Memory, Noted, RECORDS, Verdict, verdict};
use echod::serve::{Counted, count};
use echod::socket::Meters;
use echod::systemd::{MEMORY_NAME, peek};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// A row of the table: how a conversation was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// Nothing is unanswered, and all is noted.
    Idle,
    /// The same, and the peer has ended.
    EndOfFile,
    /// Taken, and nothing given: in a read, or behind it.
    Taken,
    /// Part of the answer given, in its turn.
    PartlyGiven,
    /// Part of the answer given, and the peer takes no more.
    Stuck,
    /// All given, nothing noted.
    Given,
    /// Between the notes.
    HalfNoted,
    /// The exit word is noted, and our end of file not queued.
    ExitNoted,
    /// The answer at end of file has begun, and is not given whole.
    Farewell,
    /// It was given whole, and our end of file not queued.
    FarewellGiven,
    /// Our end of file is queued.
    WeEnded,
    /// Over.
    Gone,
    /// A record that lies in no bag: between accept and store.
    Gap,
    /// A bag's connection whose record is another's, or none.
    Stranger,
    /// Something that cannot be.
    Contradiction,
    /// Held back bytes decide what the next answer is.
    HeldBack,
    /// In `reply`, the next read continues a message.
    Continued,
}

/// How often each row was found.
#[derive(Clone, Debug, Default)]
pub struct Rows(pub BTreeMap<Row, u64>);

impl Rows {
    pub fn count(&self, row: Row) -> u64 {
        self.0.get(&row).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Self) {
        for (&row, count) in &other.0 {
            *self.0.entry(row).or_default() += count;
        }
    }

    fn hit(&mut self, row: Row) {
        *self.0.entry(row).or_default() += 1;
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(row, count)| write!(f, "{row:?} {count}, "))
    }
}

/// One conversation, as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub id: u64,
    pub record: u32,
    pub peer: Option<std::net::SocketAddr>,
    pub row: Row,
    pub strikes: u8,
    /// Bytes that were taken and not answered, and the slot that they lie in.
    pub unanswered: u64,
    pub slot: u32,
    pub account: String,
}

/// Looks as a successor does. It keeps the memory file mapped.
#[derive(Default)]
pub struct Successor {
    memory: Option<(u64, Memory, Meters)>,
}

impl Successor {
    /// The memory file that lies in the store.
    pub fn memory(&mut self, stored: &[(String, Arc<OwnedFd>)]) -> Option<&mut Memory> {
        self.mapped(stored).map(|(memory, _)| memory)
    }

    /// The same, with the meters in it.
    pub fn mapped(&mut self, stored: &[(String, Arc<OwnedFd>)]) -> Option<(&mut Memory, &Meters)> {
        let (_, fd) = stored.iter().find(|(name, _)| name == MEMORY_NAME)?;
        let inode = rustix::fs::fstat(fd).expect("it is open").st_ino;
        if self.memory.as_ref().is_none_or(|(known, ..)| *known != inode) {
            let fd = fd.try_clone().expect("there are descriptors left");
            let mut memory = Memory::adopt(fd).ok()?;
            let meters = Meters::new(memory.take_meters().expect("it was just mapped"));
            self.memory = Some((inode, memory, meters));
        }
        self.memory.as_mut().map(|(_, memory, meters)| (memory, &*meters))
    }

    /// Judges everything in the store.
    pub fn look(&mut self, stored: &[(String, Arc<OwnedFd>)]) -> (Rows, Vec<Found>) {
        let mut rows = Rows::default();
        let Some((memory, meters)) = self.mapped(stored) else { return (rows, Vec::new()) };
        let mut founds = Vec::new();
        let mut ids = HashSet::new();
        for (_, bag) in stored.iter().filter(|(name, _)| name.starts_with("echod-bag-")) {
            let peeked = peek(bag).expect("it is a bag");
            for (entry, stream) in peeked.entries {
                if !ids.insert(entry.id) {
                    continue;
                }
                let found = judge(memory, meters, &entry, &stream, &mut rows);
                rows.hit(found.row);
                founds.push(found);
            }
        }
        for number in 0..memory.header().reached().min(RECORDS) {
            let id = memory.record(number).id();
            if id.is_some_and(|id| !ids.contains(&id.0.get())) {
                rows.hit(Row::Gap);
            }
        }
        (rows, founds)
    }
}

fn judge(
    memory: &mut Memory,
    meters: &Meters,
    entry: &echod::systemd::Entry,
    stream: &OwnedFd,
    rows: &mut Rows,
) -> Found {
    let peer = rustix::net::getpeername(stream).ok().flatten();
    let mut found = Found {
        id: entry.id,
        record: entry.record,
        peer: peer.and_then(|peer| std::net::SocketAddr::try_from(peer).ok()),
        row: Row::Gone,
        strikes: 0,
        unanswered: 0,
        slot: 0,
        account: String::new(),
    };
    let counted = count(memory, meters, entry, stream.as_fd());
    let counters = match counted.expect("it is a connection") {
        Counted::Known(_, counters) => counters,
        Counted::Lost => {
            found.row = Row::Stranger;
            return found;
        }
    };
    if counters.phase == Phase::Closed {
        return found;
    }
    let record = memory.record(entry.record);
    let terms = record.terms().filter(|_| record.id().is_some_and(|id| id.0.get() == entry.id));
    let known = terms.and_then(|terms| Some((terms, memory.rule(terms.rule)?)));
    let Some((terms, rule)) = known else {
        found.row = if counters.phase == Phase::WeEnded { Row::WeEnded } else { Row::Stranger };
        return found;
    };
    let noted = record.noted();
    let in_turn = memory.header().turn() == Some(entry.record);
    let unanswered = noted.unanswered(counters.taken);
    let mut slot = if unanswered > 0 { memory.claim_slot(noted.slot) } else { None };
    let bytes = slot.as_mut().map(echod::keep::Slot::bytes);
    let judged = verdict(&noted, &counters, terms.protocol, &rule, bytes);
    if let Some(slot) = slot {
        memory.free_slot(slot);
    }
    let has_state = noted.state != echod::echo::State::START;
    if has_state && !noted.state.ended() && !noted.state.last() {
        rows.hit(match terms.protocol {
            Protocol::Reply => Row::Continued,
            _ => Row::HeldBack,
        });
    }
    found.strikes = record.strikes();
    (found.unanswered, found.slot) = (unanswered, noted.slot);
    found.account = format!("{judged:?} of {noted:?} with {counters:?}, in turn {in_turn}");
    found.row = row(&judged, &noted, &counters, in_turn);
    found
}

/// Where in the table of a dead process's traces that is.
fn row(judged: &Verdict, noted: &Noted, counters: &Counters, in_turn: bool) -> Row {
    match judged {
        Verdict::Idle if noted.w0 != counters.given => Row::HalfNoted,
        Verdict::Idle if counters.phase == Phase::PeerEnded => Row::EndOfFile,
        Verdict::Idle => Row::Idle,
        Verdict::Answered(_) => Row::Given,
        Verdict::Resume { skip: 0, .. } => Row::Taken,
        Verdict::Resume { .. } if in_turn => Row::PartlyGiven,
        Verdict::Resume { .. } => Row::Stuck,
        Verdict::Farewell { .. } => Row::Farewell,
        Verdict::Finish if counters.phase == Phase::WeEnded => Row::WeEnded,
        Verdict::Finish if noted.state.ended() => Row::ExitNoted,
        Verdict::Finish => Row::FarewellGiven,
        Verdict::Gone => Row::Gone,
        Verdict::Contradiction => Row::Contradiction,
    }
}
