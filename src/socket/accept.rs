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

/// How many connections are skipped in one call. A sandbox that denies the call
/// says what a firewall says of one connection, but says it for ever.
const SKIPS: u32 = 64;

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
    let mut skipped = 0;
    loop {
        match retry(|| rustix::net::acceptfrom_with(listener, flags)) {
            Ok((stream, address)) => {
                let peer = address.map_or(Party::Unknown, party);
                return Ok(Accepted { stream, peer });
            }
            Err(error) if ended_in_queue(&error) && skipped < SKIPS => skipped += 1,
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
    super::credentials::process(stream).unwrap_or(Party::Unknown)
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

    /// What a sandbox does that denies accept4(2), to this thread alone.
    fn deny_accept() {
        let denied = u32::try_from(libc::SYS_accept4).unwrap();
        let errno = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).unwrap();
        let code = |flags: u32| u16::try_from(flags).unwrap();
        let step = |flags, jt, jf, k| libc::sock_filter { code: code(flags), jt, jf, k };
        let mut steps = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, denied),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, errno),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
        // SAFETY: plain numbers, and a program that outlives the call.
        let result = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
        };
        assert_eq!(result, 0);
    }

    #[test]
    fn a_sandbox_that_denies_it_is_not_asked_for_ever() {
        let (done, outcome) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            deny_accept();
            let error = accept(listener.as_fd()).unwrap_err();
            done.send((error.raw_os_error(), is_dead(&error))).unwrap();
        });
        let outcome = outcome.recv_timeout(Duration::from_secs(20));
        assert_eq!(outcome, Ok((Some(libc::EPERM), false)));
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
