//! The numbers: what the operator may choose. A [`Config`] cannot exist with
//! wrong numbers in it, so there is nothing to validate later.

use crate::echo::{Protocol, Rule};
use crate::endpoint::{Endpoint, Kind};
use std::num::NonZeroU32;
use std::time::Duration;

/// Everything the operator chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sockets that echod binds itself.
    pub listen: Vec<Listen>,
    /// What a socket speaks whose name does not say.
    pub protocol: Protocol,
    /// Suffix, exit word and message size for new conversations.
    pub rule: Rule,
    /// What a stranger can grow, and how far.
    pub limits: Limits,
    /// How long echod waits for peers.
    pub patience: Patience,
    /// How much is recorded.
    pub records: Records,
    /// Whether streams that echod binds offer Multipath TCP.
    pub mptcp: bool,
}

/// A socket that echod binds itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Stream, datagram or sequential packet.
    pub kind: Kind,
    /// Where.
    pub endpoint: Endpoint,
    /// What it speaks; [`Config::protocol`] if nothing was said.
    pub protocol: Option<Protocol>,
}

/// What a stranger can grow, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Conversations at once: 1–65,536.
    pub connections: u32,
    /// Conversations at once of one source; none is no limit.
    pub connections_per_source: Option<NonZeroU32>,
    /// Connections that wait to be accepted, on sockets that echod binds.
    pub backlog: i32,
    /// Datagrams per second and source; none is no limit.
    pub datagram_rate: Option<Rate>,
    /// UDP source ports that get no answer besides those below 1024.
    pub refused_source_ports: Vec<u16>,
}

/// So many in a second, after so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Per second.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// How long echod waits for peers. None is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without a byte from the peer.
    pub idle: Option<Duration>,
    /// For a peer to take an answer whole.
    pub stall: Duration,
    /// From accept to the end.
    pub lifetime: Option<Duration>,
    /// For conversations to end when nothing can keep them.
    pub drain: Duration,
}

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records {
    /// The least important kind of record that is written.
    pub level: Level,
    /// How many conversations' begin and end records, in records.
    pub rate: Rate,
}

/// How important a record is; from the journal's priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The daemon cannot do what it was started for.
    Error,
    /// It could not do one thing, and goes on.
    Warning,
    /// Its life, and conversations as far as the budget goes.
    Info,
    /// Each message.
    Debug,
}
