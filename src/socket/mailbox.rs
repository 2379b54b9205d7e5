//! What a socket has to be told before datagrams are taken from it.

use super::make_ours;
use crate::endpoint::Transport;
use rustix::net::sockopt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets what a socket for datagrams needs: that the kernel says which address
/// was asked, and that nothing is ever sent to many. `wants_hops` has it say the
/// TTL or hop limit, too.
pub fn prepare_datagrams(
    socket: BorrowedFd<'_>,
    transport: Transport,
    wants_hops: WantsHops,
) -> io::Result<()> {
    make_ours(socket)?;
    if transport == Transport::UnixDatagram {
        return Ok(sockopt::set_socket_passcred(socket, true)?);
    }
    sockopt::set_socket_broadcast(socket, false)?;
    let on = |level, option| set(socket, level, option, 1);
    let is_v6 = sockopt::socket_domain(socket)? == rustix::net::AddressFamily::INET6;
    if is_v6 {
        on(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
        on(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)?;
    }
    // IPv4 datagrams on a dual-stack socket have these of their own; one that is
    // for IPv6 only may refuse.
    let v4 = on(libc::IPPROTO_IP, libc::IP_PKTINFO)
        .and_then(|()| on(libc::IPPROTO_IP, libc::IP_RECVTOS));
    if !is_v6 {
        v4?;
    }
    if let WantsHops::Yes = wants_hops {
        let _ = on(libc::IPPROTO_IP, libc::IP_RECVTTL);
        let _ = on(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT);
    }
    Ok(())
}

/// Has the kernel no longer say which address was asked, of a socket to which only
/// one address belongs: its answers leave from that one anyway, and to read and to
/// say it costs more than all that is judged of a datagram.
pub fn stop_saying_asked(socket: BorrowedFd<'_>) {
    // Each fails on sockets of the other family, which never say it.
    let _ = set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 0);
    let _ = set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 0);
}

/// Whether somebody reads TTLs and hop limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantsHops {
    /// Nobody.
    No,
    /// The debug records.
    Yes,
}

/// The kernel's name for a socket.
pub fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(sockopt::socket_cookie(socket)?)
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).expect("four bytes fit");
    // SAFETY: `value` has the four bytes that are announced.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
