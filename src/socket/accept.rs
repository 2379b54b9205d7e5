//! Accepting connections, and what has to be set on a socket before.

use super::{make_ours, retry};
use crate::endpoint::{Party, Transport};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, sockopt};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// A dead peer is found after a minute of silence and a minute of asking: else
/// it would hold its place for ever.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 6;

/// A connection, fresh from the listener's queue.
#[derive(Debug)]
pub struct Accepted {
    /// Never blocks, not inherited by children.
    pub stream: OwnedFd,
    /// Who is at the other end.
    pub peer: Party,
}

/// Whether an error of [`accept`] means that the listener is dead. Any other
/// passes: descriptors or memory ran out, of this process or of the machine.
pub fn is_dead(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK))
}

/// Takes the next connection from the queue. Connections that ended in the
/// queue are skipped.
///
/// # Errors
///
/// `WouldBlock` when the queue is empty; otherwise a shortage, unless the
/// listener [is dead](is_dead).
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Accepted> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        match retry(|| rustix::net::acceptfrom_with(listener, flags)) {
            Ok((stream, address)) => {
                let peer = address.map_or(Party::Unknown, party);
                return Ok(Accepted { stream, peer });
            }
            Err(error) if ended_in_queue(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Linux passes on what happened to a connection while it waited (accept(2));
/// a firewall's refusal is `EPERM`.
fn ended_in_queue(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::PERM
                | Errno::PROTO
                | Errno::OPNOTSUPP
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::TIMEDOUT
        )
    )
}

/// Sets on a listener what the sockets accepted from it inherit.
pub fn prepare_listener(listener: BorrowedFd<'_>, transport: Transport) -> io::Result<()> {
    make_ours(listener)?;
    prepare_stream(listener, transport)
}

/// Sets what every stream has: answers leave at once, urgent data is ordinary
/// data (else the kernel would count bytes that no read returns), and dead
/// peers are found. Only needed for connections that were queued before
/// [`prepare_listener`].
pub fn prepare_stream(stream: BorrowedFd<'_>, transport: Transport) -> io::Result<()> {
    if transport == Transport::UnixSeqpacket {
        // Or else an empty message would look like the end.
        sockopt::set_socket_passcred(stream, true)?;
    }
    if matches!(transport, Transport::Tcp | Transport::Mptcp) {
        sockopt::set_tcp_nodelay(stream, true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
        // Multipath TCP refuses it, and has no exact counters anyway.
        if transport == Transport::Tcp {
            sockopt::set_socket_oobinline(stream, true)?;
        }
    }
    Ok(())
}

/// Our end of a connection.
pub fn local(stream: BorrowedFd<'_>) -> Party {
    rustix::net::getsockname(stream).map_or(Party::Unknown, party)
}

/// The other end of a connection. For a Unix socket, the process that connected.
pub fn peer(stream: BorrowedFd<'_>) -> Party {
    if let Ok(Some(address)) = rustix::net::getpeername(stream) {
        match party(address) {
            Party::Unknown => {}
            known => return known,
        }
    }
    match sockopt::socket_peercred(stream) {
        Ok(credentials) => Party::Process {
            pid: credentials.pid.as_raw_nonzero().get().unsigned_abs(),
            uid: credentials.uid.as_raw(),
        },
        Err(_) => Party::Unknown,
    }
}

fn party(address: SocketAddrAny) -> Party {
    if let Some(machine) = super::vsock::party(&address) {
        return machine;
    }
    match SocketAddr::try_from(address) {
        Ok(address) => Party::new_ip(address),
        Err(_) => Party::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn accepted_sockets_inherit_what_the_listener_has() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        prepare_listener(listener.as_fd(), Transport::Tcp).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = accept(listener.as_fd()).unwrap();
        assert_eq!(accepted.peer, Party::Ip(peer.local_addr().unwrap()));
        assert!(sockopt::tcp_nodelay(&accepted.stream).unwrap());
        assert!(sockopt::socket_oobinline(&accepted.stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted.stream).unwrap(), KEEPALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepintvl(&accepted.stream).unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&accepted.stream).unwrap(), KEEPALIVE_COUNT);
    }

    #[test]
    fn an_empty_queue_would_block() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        prepare_listener(listener.as_fd(), Transport::Tcp).unwrap();
        let error = accept(listener.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_listener_that_was_shut_down_is_dead_and_a_shortage_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
        assert!(is_dead(&accept(listener.as_fd()).unwrap_err()));
        for shortage in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!is_dead(&shortage.into()));
        }
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let accepted = accept(listener.as_fd()).unwrap();
        let Party::Ip(address) = accepted.peer else { panic!("{:?}", accepted.peer) };
        assert!(address.is_ipv4());
    }
}
