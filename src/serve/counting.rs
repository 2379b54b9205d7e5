//! How many bytes of a conversation passed before this process had it: the
//! kernel knows, by its own counters or because a meter made it note them.

use crate::conversation::{Counters, Id, Phase};
use crate::endpoint::Transport;
use crate::keep::{Memory, RECORDS, Record};
use crate::socket::{self, Meters};
use crate::systemd::Entry;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;

/// A connection from a bag, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// How it travels, and what passed.
    Known(Transport, Counters),
    /// What passed is in a memory file that is not there: nobody can tell.
    Lost,
    /// It is no connection that lies in bags.
    Foreign,
}

/// Counts what passed through a connection from a bag.
///
/// With a meter that is what its slot's meter says. Where that one is about
/// somebody else, the conversation owed nothing when it was taken away, so what
/// its record says is all.
pub fn count(
    memory: &Memory,
    meters: &Meters,
    entry: &Entry,
    connection: BorrowedFd<'_>,
) -> Counted {
    match socket::counters(connection) {
        Ok(counters) => return Counted::Known(Transport::Tcp, counters),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(_) => return Counted::Foreign,
    }
    let transport = socket::transport(connection).ok().filter(|&it| socket::is_metered(it));
    let (Some(transport), Ok(phase)) = (transport, socket::phase(connection)) else {
        return Counted::Foreign;
    };
    let Some(id) = NonZeroU64::new(entry.id) else { return Counted::Foreign };
    let noted = (entry.record < RECORDS)
        .then(|| memory.record(entry.record))
        .filter(|record| record.id() == Some(Id(id)))
        .map(Record::noted);
    let (taken, given) = match (noted, phase) {
        (Some(noted), _) => {
            let metered = meters.of(noted.slot).and_then(|meter| meter.read(id));
            metered.unwrap_or((noted.c0, noted.w0))
        }
        // The numbers mean nothing any more.
        (None, Phase::WeEnded | Phase::Closed) => (0, 0),
        (None, Phase::Open | Phase::PeerEnded) => return Counted::Lost,
    };
    Counted::Known(transport, Counters { taken, given, phase })
}
