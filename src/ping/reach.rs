//! Getting there: names become addresses, and addresses connections.

use super::plan::Plan;
use super::target::{Host, Target, UnixName};
use super::wire::Wire;
use crate::echo::Protocol;
use crate::socket;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, UdpSocket, UnixStream};

/// What a Unix socket hands over in one piece at least, in bytes.
const UNIX_PIECE: usize = 4096;

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// With a stream.
    Tcp(SocketAddr),
    /// With datagrams.
    Udp(SocketAddr),
    /// With a Unix stream; an abstract name begins with a NUL.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => {
                let text = path.to_string_lossy();
                match text.strip_prefix('\0') {
                    Some(name) => write!(f, "unix:@{name}"),
                    None => write!(f, "unix:{text}"),
                }
            }
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unreached {
    /// The resolver does not know the name.
    Resolve(Host, io::Error),
    /// It has no address of the family that is wanted.
    Family(Host),
    /// Nobody answers there.
    Connect(Address, io::Error),
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(host, error) => write!(f, "cannot resolve {}: {error}", host.name),
            Self::Family(host) => write!(f, "{} has no address of that family", host.name),
            Self::Connect(address, error) => {
                write!(f, "cannot connect to {address}: {}", reason(error))
            }
        }
    }
}

/// What the system says, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let short = text.split_once(" (os error").map_or(&text[..], |(short, _)| short);
    short.to_lowercase()
}

/// The addresses of the target, in the resolver's order. It may take as long as
/// the resolver does.
pub(super) fn resolve(plan: &Plan) -> Result<Vec<Address>, Unreached> {
    let (host, wrap): (&Host, fn(SocketAddr) -> Address) = match &plan.target {
        Target::Tcp(host) => (host, Address::Tcp),
        Target::Udp(host) => (host, Address::Udp),
        Target::Unix(UnixName::Path(path)) => return Ok(vec![Address::Unix(path.clone())]),
        Target::Unix(UnixName::Abstract(name)) => {
            let path = [b"\0", &name[..]].concat();
            return Ok(vec![Address::Unix(PathBuf::from(OsStr::from_bytes(&path)))]);
        }
    };
    let all = (&host.name[..], host.port)
        .to_socket_addrs()
        .map_err(|error| Unreached::Resolve(host.clone(), error))?;
    let fit: Vec<_> = all
        .filter(|address| plan.family.has(address))
        .filter(|it| plan.source.is_none_or(|source| source.0.is_ipv4() == it.is_ipv4()))
        .map(wrap)
        .collect();
    if fit.is_empty() { Err(Unreached::Family(host.clone())) } else { Ok(fit) }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    /// The socket.
    pub(super) wire: Wire,
    /// How long it took to be made; datagrams have no connection.
    pub(super) time: Option<Duration>,
    /// The longest message that is read at once, if the server answers each read
    /// with a suffix.
    pub(super) segment: Option<usize>,
}

/// Connects, within the time that the plan allows.
pub(super) async fn connect(address: &Address, plan: &Plan) -> Result<Link, Unreached> {
    let begin = Instant::now();
    let made = tokio::time::timeout(plan.timeout, open(address, plan)).await;
    let made = made.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "timed out")));
    let time = begin.elapsed();
    made.map(|wire| {
        let segment = match (&wire, address) {
            (Wire::Stream { fd, .. }, Address::Tcp(_)) => socket::segment(fd.as_fd()).ok(),
            _ => None,
        };
        let segment = segment.map_or(UNIX_PIECE, |it| it as usize);
        let is_cut = wire.is_stream() && plan.protocol == Protocol::Reply;
        Link {
            time: wire.is_stream().then_some(time),
            segment: is_cut.then(|| segment.min(plan.rule.message_max())),
            wire,
        }
    })
    .map_err(|error| Unreached::Connect(address.clone(), error))
}

async fn open(address: &Address, plan: &Plan) -> io::Result<Wire> {
    let source = plan.source.map(|origin| origin.0);
    match address {
        Address::Tcp(address) => {
            let socket =
                if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(source) = source {
                socket.set_reuseaddr(true)?;
                socket.bind(source)?;
            }
            let stream = socket.connect(*address).await?;
            stream.set_nodelay(true)?;
            Wire::stream(stream.into_std()?.into())
        }
        Address::Udp(address) => {
            let any = match address {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let socket = UdpSocket::bind(source.unwrap_or(any)).await?;
            socket.connect(*address).await?;
            Ok(Wire::Datagrams(socket))
        }
        Address::Unix(path) => Wire::stream(UnixStream::connect(path).await?.into_std()?.into()),
    }
}
