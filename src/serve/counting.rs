//! How many bytes of a conversation passed before this process had it: the
//! kernel knows, by its own counters or because a meter made it note them.

use super::missed::record_of;
use crate::conversation::{Counters, Phase};
use crate::endpoint::Transport;
use crate::keep::{Memory, Record};
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
}

/// Counts what passed through a connection from a bag.
///
/// With a meter that is what its slot's meter says. Where that one is about
/// somebody else, the conversation owed nothing when it was taken away, so what
/// its record says is all.
///
/// # Errors
/// If it is no connection that lies in bags, or the kernel does not say.
pub fn count(
    memory: &Memory,
    meters: &Meters,
    entry: &Entry,
    connection: BorrowedFd<'_>,
) -> io::Result<Counted> {
    match socket::counters(connection) {
        Ok(counters) => return Ok(Counted::Known(Transport::Tcp, counters)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(error) => return Err(error),
    }
    let transport =
        socket::transport(connection).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    let Some(id) = NonZeroU64::new(entry.id).filter(|_| socket::is_metered(transport)) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let phase = socket::phase(connection)?;
    let noted = record_of(memory, entry).map(Record::noted);
    let (taken, given) = match (noted, phase) {
        (Some(noted), _) => {
            let metered = meters.of(noted.slot).and_then(|meter| meter.read(id));
            metered.unwrap_or((noted.c0, noted.w0))
        }
        // The numbers mean nothing any more.
        (None, Phase::WeEnded | Phase::Closed) => (0, 0),
        (None, Phase::Open | Phase::PeerEnded) => return Ok(Counted::Lost),
    };
    Ok(Counted::Known(transport, Counters { taken, given, phase }))
}
