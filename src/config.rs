//! The numbers: what the operator may choose. A [`Config`] cannot exist with
//! wrong numbers in it: each type carries its range, so there is nothing to
//! validate later.

mod amount;
mod listen;
mod rate;

pub use amount::{Count, Size, Span, Unfit};
pub use listen::{Listen, ListenError};
pub use rate::{BURST, RATE_MAX, Rate};

use crate::echo::{Protocol, Rule};
use crate::endpoint::{Endpoint, Kind};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// As many conversations as the memory file has records for.
pub type Connections = Count<1, 65_536>;
/// The kernel cuts it down to `net.core.somaxconn`.
pub type Backlog = Count<1, 65_535>;
/// One read's worth: a slot of the memory file.
pub type MessageMax = Size<1, 65_536>;
/// 1 ms to 365 days; what is longer is off.
pub type Idle = Span<1, 31_536_000_000>;
/// 1 ms to 365 days; what is longer is off.
pub type Lifetime = Span<1, 31_536_000_000>;
/// 1 s to 1 day: shorter would cut off peers that are merely slow, longer would
/// let those who never read keep what they hold.
pub type Stall = Span<1_000, 86_400_000>;
/// 0 to 1 hour; the service manager kills what takes longer than it allows.
pub type Drain = Span<0, 3_600_000>;

/// `--protocol`: the tutorial's.
pub const PROTOCOL: Protocol = Protocol::Reply;
/// `--suffix`: the tutorial's.
pub const SUFFIX: &str = "-回传";
/// `--exit-word`: the tutorial's.
pub const EXIT_WORD: &str = "exit";
/// `--message-max`: as much as a slot holds.
pub const MESSAGE_MAX: MessageMax = MessageMax::literal(65_536);
/// `--connections-max`: as many as were measured, stored twice in descriptors.
pub const CONNECTIONS_MAX: Connections = Connections::literal(15_000);
/// `--backlog`: what `net.core.somaxconn` allows by default.
pub const BACKLOG: Backlog = Backlog::literal(4_096);
/// `--datagram-rate`: a person or a test is well under it, a reflected flood is not.
pub const DATAGRAM_RATE: Rate = Rate::literal(1_000, 1_000);
/// `--refuse-source-ports`: NFS, the one well-known victim beyond 1023 (CERT VU#417980).
pub const REFUSED_SOURCE_PORTS: &[u16] = &[2049];
/// `--stall-timeout`: a minute.
pub const STALL_TIMEOUT: Stall = Stall::literal(60_000);
/// `--drain-timeout`: a second.
pub const DRAIN_TIMEOUT: Drain = Drain::literal(1_000);
/// `--record-rate`: far below where the journal begins to drop silently.
pub const RECORD_RATE: Rate = Rate::literal(20, 1_000);
/// `--log-level`.
pub const LOG_LEVEL: Level = Level::Info;

/// Where echod listens when nobody said.
pub fn default_listen() -> [Listen; 2] {
    const PORT: u16 = 8080;
    let stream = |address| Listen { kind: Kind::Stream, endpoint: address, protocol: None };
    [
        stream(Endpoint::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))),
        stream(Endpoint::Ip(SocketAddr::from((Ipv6Addr::LOCALHOST, PORT)))),
    ]
}

/// Everything the operator chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sockets that echod binds itself, streams first, each kind in the order given.
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

impl Default for Config {
    /// What holds when the operator says nothing.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            protocol: PROTOCOL,
            rule: Rule::default(),
            limits: Limits::default(),
            patience: Patience::default(),
            records: Records::default(),
            mptcp: false,
        }
    }
}

/// What a stranger can grow, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Conversations at once.
    pub connections: Connections,
    /// Conversations at once of one source; none is no limit.
    pub connections_per_source: Option<Connections>,
    /// Connections that wait to be accepted, on sockets that echod binds.
    pub backlog: Backlog,
    /// Datagrams per second and source; none is no limit.
    pub datagram_rate: Option<Rate>,
    /// UDP source ports that get no answer besides those below 1024; ascending.
    pub refused_source_ports: Ports,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            connections_per_source: None,
            backlog: BACKLOG,
            datagram_rate: Some(DATAGRAM_RATE),
            refused_source_ports: Ports::new(REFUSED_SOURCE_PORTS.to_vec()),
        }
    }
}

impl From<Backlog> for i32 {
    /// As listen(2) wants it.
    fn from(backlog: Backlog) -> Self {
        Self::try_from(backlog.get()).expect("a backlog has 16 bits")
    }
}

/// How long echod waits for peers. None is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without a byte from the peer.
    pub idle: Option<Idle>,
    /// For a peer to take an answer whole.
    pub stall: Stall,
    /// From accept to the end.
    pub lifetime: Option<Lifetime>,
    /// For conversations to end when nothing can keep them.
    pub drain: Drain,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: None, stall: STALL_TIMEOUT, lifetime: None, drain: DRAIN_TIMEOUT }
    }
}

impl Patience {
    /// [`idle`](Self::idle) as a duration.
    pub fn idle(&self) -> Option<Duration> {
        self.idle.map(Idle::get)
    }

    /// [`lifetime`](Self::lifetime) as a duration.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime.map(Lifetime::get)
    }
}

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records {
    /// The least important kind of record that is written.
    pub level: Level,
    /// How many conversations' begin and end records, in records; those beyond
    /// it are only summed up.
    pub rate: Rate,
}

impl Default for Records {
    fn default() -> Self {
        Self { level: LOG_LEVEL, rate: RECORD_RATE }
    }
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

impl Level {
    /// Every level, the most important first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warning, Self::Info, Self::Debug];

    /// The word of `--log-level`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = Unfit;

    fn from_str(word: &str) -> Result<Self, Unfit> {
        Self::ALL
            .into_iter()
            .find(|level| level.name() == word)
            .ok_or_else(|| Unfit::new("is no level", "error, warning, info and debug"))
    }
}

/// Some ports, ascending and each once; none is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(Vec<u16>);

impl Ports {
    /// Sorts them.
    pub fn new(mut ports: Vec<u16>) -> Self {
        ports.sort_unstable();
        ports.dedup();
        Self(ports)
    }

    /// The ports.
    pub fn get(&self) -> &[u16] {
        &self.0
    }

    /// Whether this is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.binary_search(&port).is_ok()
    }
}

impl FromStr for Ports {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let unfit =
            || Unfit::new("is no list of ports", "numbers from 1 to 65535, with commas or blanks,");
        text.split(|c: char| c == ',' || c.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .map(|word| word.parse::<Count<1, 65_535>>().map_err(|_| unfit()))
            .map(|port| Ok(u16::try_from(port?.get()).expect("a port has 16 bits")))
            .collect::<Result<_, _>>()
            .map(Self::new)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for port in &self.0 {
            write!(f, "{comma}{port}")?;
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
