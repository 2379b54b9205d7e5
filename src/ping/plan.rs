//! What the operator wants of a run. A [`Plan`] cannot exist with wrong numbers
//! in it.

use super::pace::Pace;
use super::payload::Sizes;
use super::target::Target;
use crate::config::{Count, Size, Span, Unfit};
use crate::echo::{Protocol, Rule};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Sequence numbers have 32 bits, and no connection may use one twice.
pub(super) const MESSAGES_MAX: u64 = 4_000_000_000;
pub(super) type Messages = Count<1, 4_000_000_000>;
/// As many as one address has ports for, about.
pub(super) type Connections = Count<1, 65_536>;
/// 1 µs would be a flood; what is longer than a day is no ping.
pub(super) type Interval = Span<1, 86_400_000>;
/// 1 ms to 1 day.
pub(super) type Timeout = Span<1, 86_400_000>;
/// 1 ms to 365 days.
pub(super) type Length = Span<1, 31_536_000_000>;
/// 0 to 16 MiB; it is held in memory, once each way and connection.
pub(super) type MessageSize = Size<0, 16_777_216>;

/// What the operator wants of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Whom to talk to.
    pub(super) target: Target,
    /// Over which addresses.
    pub(super) family: Family,
    /// From where.
    pub(super) source: Option<Origin>,
    /// What the server speaks.
    pub(super) protocol: Protocol,
    /// Its suffix, exit word and message size.
    pub(super) rule: Rule,
    /// How long messages are.
    pub(super) sizes: Sizes,
    /// How many messages in all; none is [`MESSAGES_MAX`] or an interruption.
    pub(super) count: Option<u64>,
    /// When they are sent.
    pub(super) pace: Pace,
    /// Over how many connections.
    pub(super) connections: u32,
    /// How long an answer may take, or a connection.
    pub(super) timeout: Duration,
    /// For how long messages are sent.
    pub(super) duration: Option<Duration>,
    /// Whether the last message is followed by an end of file.
    pub(super) half_close: bool,
    /// What is shown.
    pub(super) show: Show,
    /// How much loss is none, in per cent.
    pub(super) loss_max: f64,
}

/// Over which addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Whatever the resolver says.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// Whether this address is one of them.
    pub(super) fn has(self, address: &SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// What is shown.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Show {
    /// Answers that are right.
    pub(super) answers: bool,
    /// What goes wrong meanwhile, and how far it is.
    pub(super) events: bool,
    /// Objects rather than lines.
    pub(super) json: bool,
    /// How the times are spread.
    pub(super) histogram: bool,
}

/// An address to talk from, with port 0 if the kernel is to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin(pub(super) SocketAddr);

impl FromStr for Origin {
    type Err = Nothing;

    fn from_str(text: &str) -> Result<Self, Nothing> {
        let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0));
        alone.or_else(|_| text.parse()).map(Self).map_err(|_| {
            Nothing("is no address: IPV4, IPV6, IPV4:PORT and [IPV6]:PORT are allowed")
        })
    }
}

/// Messages a second: `1000` or `1000/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PerSecond(pub(super) u32);

impl FromStr for PerSecond {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let count: Count<1, 1_000_000> = text.strip_suffix("/s").unwrap_or(text).parse()?;
        Ok(Self(count.get()))
    }
}

/// `MIN:MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sweep(pub(super) Sizes);

impl FromStr for Sweep {
    type Err = Nothing;

    fn from_str(text: &str) -> Result<Self, Nothing> {
        let size = |text: &str| text.parse().map(MessageSize::get).ok();
        text.split_once(':')
            .and_then(|(min, max)| Some(Sizes { min: size(min)?, max: size(max)? }))
            .filter(|sizes| sizes.min <= sizes.max)
            .map(Self)
            .ok_or(Nothing("is no sweep: MIN:MAX with sizes from 0 to 16M is allowed"))
    }
}

/// `5` or `5%`, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub(super) f64);

impl FromStr for Percent {
    type Err = Nothing;

    fn from_str(text: &str) -> Result<Self, Nothing> {
        let number = text.strip_suffix('%').unwrap_or(text);
        number
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(Self)
            .ok_or(Nothing("is no percentage: 0 to 100 are allowed"))
    }
}

/// Why a text is nothing of the kind. It reads on after the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nothing(&'static str);

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        let origin = |text: &str| text.parse().map(|Origin(address)| address.to_string());
        assert_eq!(origin("127.0.0.1").as_deref(), Ok("127.0.0.1:0"));
        assert_eq!(origin("::1").as_deref(), Ok("[::1]:0"));
        assert_eq!(origin("[::1]:9000").as_deref(), Ok("[::1]:9000"));
        assert!(origin("localhost").is_err());

        assert_eq!("20".parse(), Ok(PerSecond(20)));
        assert_eq!("20/s".parse(), Ok(PerSecond(20)));
        assert!("0".parse::<PerSecond>().is_err() && "1000001".parse::<PerSecond>().is_err());

        let sweep = |text: &str| text.parse().map(|Sweep(sizes)| (sizes.min, sizes.max));
        assert_eq!(sweep("0:1K"), Ok((0, 1024)));
        assert_eq!(sweep("7:7"), Ok((7, 7)));
        for text in ["", "7", "7:", "8:7", "0:17M"] {
            assert!(sweep(text).is_err(), "{text}");
        }

        assert_eq!("5%".parse(), Ok(Percent(5.0)));
        assert_eq!("0.5".parse(), Ok(Percent(0.5)));
        for text in ["", "-1", "101", "x", "NaN"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
