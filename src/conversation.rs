//! The words about one conversation: who it is, how it ended, what it carried.
//!
//! Nothing here acts. An [`Ending`] is not an error: it is counted, recorded
//! and documented, and its [name](Ending::name) is the journal's `ECHO_ENDING`.

use std::fmt;
use std::time::Duration;

/// Names one conversation for as long as the memory file lives: counted from 1
/// and kept by every successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub std::num::NonZeroU64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a conversation came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The peer shut down its side, and everything owed was given.
    EndOfFile,
    /// The peer said the exit word.
    ExitWord,
    /// Nothing was heard for `--idle-timeout`.
    Idle,
    /// It had lasted for `--lifetime-max`.
    Lifetime,
    /// The peer did not take an answer within `--stall-timeout`.
    Stalled,
    /// Its stuck answer held the last place, and another conversation needed it.
    Crowded,
    /// A message was longer than `--message-max`, or its answer than a message
    /// can be.
    TooLong,
    /// The peer, or the network in its name, reset it.
    Reset,
    /// The daemon left, and nothing could keep the conversation, or its rule.
    Left,
    /// A predecessor's notes and the kernel's counters do not agree.
    Contradiction,
    /// Answering it killed the daemon three times.
    Strikes,
}

impl Ending {
    /// Every way to end, in the order of the manual.
    pub const ALL: [Self; 11] = [
        Self::EndOfFile,
        Self::ExitWord,
        Self::Idle,
        Self::Lifetime,
        Self::Stalled,
        Self::Crowded,
        Self::TooLong,
        Self::Reset,
        Self::Left,
        Self::Contradiction,
        Self::Strikes,
    ];

    /// The word in `ECHO_ENDING`, an interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::EndOfFile => "end-of-file",
            Self::ExitWord => "exit-word",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Stalled => "stalled",
            Self::Crowded => "crowded",
            Self::TooLong => "too-long",
            Self::Reset => "reset",
            Self::Left => "left",
            Self::Contradiction => "contradiction",
            Self::Strikes => "strikes",
        }
    }
}

/// Why somebody was not served. Counted by reason; at most one record a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The source has `--connections-per-source-max` conversations already.
    Source,
    /// The datagram came from a port where a service may answer our answer.
    SourcePort,
    /// The datagram claims to come from the socket that it was sent to.
    OwnAddress,
    /// The datagram claims to come from many machines.
    SourceBroadcast,
    /// The datagram was sent to many machines.
    SentToBroadcast,
    /// The source sent more datagrams than `--datagram-rate`.
    Rate,
    /// The answer would be longer than a datagram can be.
    TooLong,
    /// The sender of the datagram has no address.
    Nameless,
    /// The kernel did not take the answer to the datagram.
    Unsendable,
}

impl Refusal {
    /// Every reason, in the order of the manual.
    pub const ALL: [Self; 9] = [
        Self::Source,
        Self::SourcePort,
        Self::OwnAddress,
        Self::SourceBroadcast,
        Self::SentToBroadcast,
        Self::Rate,
        Self::TooLong,
        Self::Nameless,
        Self::Unsendable,
    ];

    /// The word in `ECHO_REFUSAL`, an interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::SourcePort => "source-port",
            Self::OwnAddress => "own-address",
            Self::SourceBroadcast => "source-broadcast",
            Self::SentToBroadcast => "sent-to-broadcast",
            Self::Rate => "rate",
            Self::TooLong => "too-long",
            Self::Nameless => "nameless",
            Self::Unsendable => "unsendable",
        }
    }
}

/// What one conversation carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes taken from the peer.
    pub received: u64,
    /// Bytes given to the peer's socket.
    pub sent: u64,
    /// Reads in `reply`, lines in `line`; nothing in `rfc862`, which has none.
    pub messages: Option<u64>,
    /// Since it was accepted, also through predecessors.
    pub duration: Duration,
}

/// What the kernel counted of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Bytes taken by whoever served the connection.
    pub taken: u64,
    /// Bytes given by whoever served the connection.
    pub given: u64,
    /// Who has ended.
    pub phase: Phase,
}

/// Who has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody.
    Open,
    /// The peer: its end of file has arrived.
    PeerEnded,
    /// We: our end of file has been queued, whatever the peer did.
    WeEnded,
    /// Both, or a reset: the counters mean nothing any more.
    Closed,
}
