//! Conversations that end before they go on: nobody serves them any more, but what
//! the predecessor wrote of their beginning is owed its other half.

use super::desk::totals;
use super::opening::Find;
use crate::conversation::{Ending, Phase};
use crate::keep::{Memory, RECORDS, Record, Terms};
use crate::report::{self, Introduction, Recording};
use crate::socket;
use crate::systemd::Entry;
use std::os::fd::AsFd;

/// What a predecessor noted about the conversation of an entry, if it is still there.
pub(super) fn record_of(memory: &Memory, entry: &Entry) -> Option<&'static Record> {
    let number = Some(entry.record).filter(|&number| number < RECORDS)?;
    let record = memory.record(number);
    record.id().is_some_and(|id| id.0.get() == entry.id).then_some(record)
}

/// Resets a conversation that cannot go on, and records it.
pub(super) fn reset(memory: &Memory, find: &Find, ending: Ending) {
    record_end(memory, find, ending);
    socket::disconnect(find.stream.as_fd());
}

/// Records the end of a conversation whose connection was over when it was found.
pub(super) fn record_closed(memory: &Memory, find: &Find) {
    let Some(record) = record_of(memory, &find.entry) else { return };
    let noted = record.noted();
    // TCP's counters say nothing any more, a meter still does. What it says may be
    // answered and not noted; nobody will look any more, so the worse is assumed.
    let owes = socket::is_metered(find.transport) && noted.unanswered(find.counters.taken) > 0;
    let ending = if owes || socket::was_reset(find.stream.as_fd()) {
        Ending::Reset
    } else if noted.state.ended() {
        Ending::ExitWord
    } else {
        Ending::EndOfFile
    };
    record_end(memory, find, ending);
}

fn record_end(memory: &Memory, find: &Find, ending: Ending) {
    let Some(record) = record_of(memory, &find.entry) else { return };
    let Some(terms @ Terms { protocol, .. }) = record.terms() else { return };
    let noted = record.noted();
    let (received, sent) = match find.counters.phase {
        Phase::Closed => (noted.c0, noted.w0),
        _ => (find.counters.taken, find.counters.given),
    };
    let connection = find.stream.as_fd();
    let who = Introduction {
        id: find.id,
        transport: find.transport,
        protocol,
        local: socket::local(connection),
        peer: socket::peer(connection),
    };
    let recording = if record.is_recorded() { Recording::Single } else { Recording::Summed };
    let totals = totals(terms, received, sent, noted.messages);
    report::ended(&who, recording, ending, &totals);
}
