//! Addresses: where echod listens, and who talks to it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// An address to listen on, in the syntax of systemd.socket(5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `7`: a port on every address, IPv6 and IPv4 on one socket.
    Port(u16),
    /// `127.0.0.1:8080` or `[::1]:8080`.
    Ip(SocketAddr),
    /// `/run/x.sock`.
    Path(PathBuf),
    /// `@name`, without the `@`.
    Abstract(Vec<u8>),
    /// `vsock:CID:PORT`; no CID is any.
    Vsock {
        /// The machine, or any.
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

/// Who counts as one stranger: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(pub IpAddr);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Datagram => "datagram",
            Self::SequentialPacket => "sequential packet",
        })
    }
}
