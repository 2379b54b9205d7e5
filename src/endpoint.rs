//! Addresses: where echod listens, and who talks to it.

mod text;

pub use text::AddressError;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The longest path or abstract name of a Unix socket, in bytes: what the
/// kernel's `sun_path` holds beside a NUL.
pub const UNIX_NAME_MAX: usize = 107;

/// The CID that stands for any machine.
pub const VSOCK_CID_ANY: u32 = u32::MAX;

/// An address to listen on, in the syntax of systemd.socket(5), which
/// [`FromStr`](std::str::FromStr) reads and [`Display`](fmt::Display) writes;
/// a path that is not UTF-8 goes through [`Endpoint::from_bytes`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `7`: a port on every address, IPv6 and IPv4 on one socket.
    Port(u16),
    /// `127.0.0.1:8080`, `[::1]:8080`, or `[fe80::1]:8080%2`.
    Ip(SocketAddr),
    /// `[fe80::1]:8080%eth0`: only the kernel knows the interface's number.
    Link {
        /// The address on that link.
        address: Ipv6Addr,
        /// The port.
        port: u16,
        /// The interface's name.
        interface: String,
    },
    /// `/run/x.sock`.
    Path(PathBuf),
    /// `@name`, without the `@`.
    Abstract(Vec<u8>),
    /// `vsock:CID:PORT`; no CID is any.
    Vsock {
        /// The machine, or [`VSOCK_CID_ANY`].
        cid: u32,
        /// The port.
        port: u32,
    },
}

/// What kind of socket a listening address gets: systemd's `ListenStream=`,
/// `ListenDatagram=` and `ListenSequentialPacket=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A stream of bytes.
    Stream,
    /// Single datagrams.
    Datagram,
    /// Connected, and message by message.
    SequentialPacket,
}

/// How bytes travel; the journal's `ECHO_TRANSPORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// Multipath TCP.
    Mptcp,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// A Unix stream socket.
    UnixStream,
    /// A Unix datagram socket.
    UnixDatagram,
    /// A Unix seqpacket socket.
    UnixSeqpacket,
    /// A vsock stream.
    Vsock,
}

impl Transport {
    /// The word in `ECHO_TRANSPORT`, an interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Mptcp => "mptcp",
            Self::Udp => "udp",
            Self::UnixStream => "unix-stream",
            Self::UnixDatagram => "unix-datagram",
            Self::UnixSeqpacket => "unix-seqpacket",
            Self::Vsock => "vsock",
        }
    }
}

/// One end of a conversation, ours or the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// An address and port. IPv4-mapped addresses are IPv4.
    Ip(SocketAddr),
    /// A process on this machine, as the kernel vouches.
    Process {
        /// Its process id.
        pid: u32,
        /// Its user.
        uid: u32,
    },
    /// A virtual machine.
    Vsock {
        /// Which machine.
        cid: u32,
        /// Its port.
        port: u32,
    },
    /// The kernel does not say.
    Unknown,
}

impl Party {
    /// What the kernel says about a peer or a socket. An IPv4-mapped address
    /// becomes IPv4, and the flow label, which names no one, is dropped.
    pub fn new_ip(address: SocketAddr) -> Self {
        Self::Ip(match address {
            SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => {
                std::net::SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
            }
            _ => SocketAddr::new(address.ip().to_canonical(), address.port()),
        })
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Process { pid, uid } => write!(f, "pid {pid} uid {uid}"),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Who counts as one stranger: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Whoever has this address. A household or a machine is given a whole /64
    /// and could come from each of its addresses.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// The IPv4 address, or the first address of the IPv6 /64.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Datagram => "datagram",
            Self::SequentialPacket => "sequential packet",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(text: &str) -> String {
        Party::new_ip(text.parse().unwrap()).to_string()
    }

    #[test]
    fn a_party_reads_as_the_journal_shows_it() {
        assert_eq!(party("127.0.0.1:5555"), "127.0.0.1:5555");
        assert_eq!(party("[::1]:5555"), "[::1]:5555");
        assert_eq!(party("[fe80::1%3]:5555"), "[fe80::1%3]:5555");
        assert_eq!(Party::Process { pid: 12, uid: 1000 }.to_string(), "pid 12 uid 1000");
        assert_eq!(Party::Vsock { cid: 3, port: 99 }.to_string(), "vsock:3:99");
        assert_eq!(Party::Unknown.to_string(), "unknown");
    }

    #[test]
    fn a_mapped_party_is_ipv4() {
        assert_eq!(party("[::ffff:192.0.2.7]:5555"), "192.0.2.7:5555");
        assert_eq!(party("[::192.0.2.7]:5555"), "[::c000:207]:5555");
    }

    #[test]
    fn a_flow_label_names_no_one() {
        let labelled = std::net::SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 9, 0);
        assert_eq!(Party::new_ip(labelled.into()), Party::new_ip("[::1]:5".parse().unwrap()));
    }

    #[test]
    fn one_source_is_an_ipv4_address_or_an_ipv6_64() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(source("192.0.2.7").to_string(), "192.0.2.7");
        assert_eq!(source("::ffff:192.0.2.7"), source("192.0.2.7"));
        assert_ne!(source("192.0.2.8"), source("192.0.2.7"));
        assert_eq!(source("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
        assert_eq!(source("2001:db8:1:2:ffff:ffff:ffff:ffff"), source("2001:db8:1:2::"));
        assert_ne!(source("2001:db8:1:3::"), source("2001:db8:1:2::"));
    }
}
