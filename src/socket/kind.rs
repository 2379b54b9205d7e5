//! What a descriptor is, as the kernel says: never as its name suggests.

use crate::endpoint::Transport;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::fmt;
use std::os::fd::BorrowedFd;

/// What can be done with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections are accepted from it.
    Listener(Transport),
    /// It is a connection, as `Accept=yes` passes it.
    Connection(Transport),
    /// Datagrams arrive on it.
    Datagrams(Transport),
}

/// Why a descriptor cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub enum KindError {
    /// It is no socket, or none at all.
    NoSocket(Errno),
    /// A stream that neither listens nor is connected.
    Idle,
    /// A family or type that echod does not speak.
    Foreign,
}

/// Asks the kernel what `socket` is.
pub fn kind(socket: BorrowedFd<'_>) -> Result<Kind, KindError> {
    let transport = transport(socket)?;
    if matches!(transport, Transport::Udp | Transport::UnixDatagram) {
        Ok(Kind::Datagrams(transport))
    } else if sockopt::socket_acceptconn(socket).map_err(KindError::NoSocket)? {
        Ok(Kind::Listener(transport))
    } else if rustix::net::getpeername(socket).is_ok() {
        Ok(Kind::Connection(transport))
    } else {
        Err(KindError::Idle)
    }
}

/// Asks the kernel how bytes travel through `socket`.
pub fn transport(socket: BorrowedFd<'_>) -> Result<Transport, KindError> {
    let family = sockopt::socket_domain(socket).map_err(KindError::NoSocket)?;
    let form = sockopt::socket_type(socket).map_err(KindError::NoSocket)?;
    let protocol = sockopt::socket_protocol(socket).map_err(KindError::NoSocket)?;
    match (family, form) {
        (AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM) => match protocol {
            Some(rustix::net::ipproto::TCP) => Ok(Transport::Tcp),
            Some(rustix::net::ipproto::MPTCP) => Ok(Transport::Mptcp),
            _ => Err(KindError::Foreign),
        },
        (AddressFamily::INET | AddressFamily::INET6, SocketType::DGRAM) => match protocol {
            Some(rustix::net::ipproto::UDP) => Ok(Transport::Udp),
            _ => Err(KindError::Foreign),
        },
        (AddressFamily::UNIX, SocketType::STREAM) => Ok(Transport::UnixStream),
        (AddressFamily::UNIX, SocketType::DGRAM) => Ok(Transport::UnixDatagram),
        (AddressFamily::UNIX, SocketType::SEQPACKET) => Ok(Transport::UnixSeqpacket),
        (AddressFamily::VSOCK, SocketType::STREAM) => Ok(Transport::Vsock),
        _ => Err(KindError::Foreign),
    }
}

impl fmt::Display for KindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket(Errno::NOTSOCK) => f.write_str("it is not a socket"),
            Self::NoSocket(Errno::BADF) => f.write_str("it is closed"),
            Self::NoSocket(errno) => write!(f, "the kernel does not say what it is: {errno}"),
            Self::Idle => f.write_str("it is a stream that neither listens nor is connected"),
            Self::Foreign => f.write_str("it is a socket of a kind that echod does not speak"),
        }
    }
}

impl std::error::Error for KindError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    #[test]
    fn the_kernel_says_what_each_descriptor_is() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(folder.path().join("x")).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (left, _right) = UnixStream::pair().unwrap();
        let datagrams = UnixDatagram::unbound().unwrap();
        let file = tempfile::tempfile().unwrap();
        let idle = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        for (fd, expected) in [
            (tcp.as_fd(), Ok(Kind::Listener(Transport::Tcp))),
            (stream.as_fd(), Ok(Kind::Connection(Transport::Tcp))),
            (unix.as_fd(), Ok(Kind::Listener(Transport::UnixStream))),
            (left.as_fd(), Ok(Kind::Connection(Transport::UnixStream))),
            (udp.as_fd(), Ok(Kind::Datagrams(Transport::Udp))),
            (datagrams.as_fd(), Ok(Kind::Datagrams(Transport::UnixDatagram))),
            (file.as_fd(), Err(KindError::NoSocket(Errno::NOTSOCK))),
            (idle.as_fd(), Err(KindError::Idle)),
        ] {
            assert_eq!(kind(fd), expected);
        }
    }
}
