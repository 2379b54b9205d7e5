//! The kernel's counters: how many bytes this process, or any before it, took
//! from a connection and gave to it.
//!
//! They are identities of the TCP stack, not statistics, and hold for
//! connections that were accepted, without fast open and Multipath TCP: see
//! [`counters`].

use super::option;
use crate::conversation::{Counters, Phase};
use crate::endpoint::Transport;
use rustix::io::Errno;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// The head of `struct tcp_info` (linux/tcp.h), up to what is read here.
#[repr(C)]
#[derive(Clone, Copy)]
struct TcpInfo {
    state: u8,
    _bytes: [u8; 7],
    _timeouts: [u32; 2],
    /// The most bytes in a segment that is sent.
    send_segment: u32,
    _timers: [u32; 8],
    /// Milliseconds since data last arrived.
    last_data_received: u32,
    _more: [u32; 12],
    _pacing: [u64; 2],
    bytes_acknowledged: u64,
    bytes_received: u64,
}

// The kernel only ever appends to the structure; these are its offsets.
const _: () = assert!(offset_of!(TcpInfo, send_segment) == 16);
const _: () = assert!(offset_of!(TcpInfo, last_data_received) == 52);
const _: () = assert!(offset_of!(TcpInfo, bytes_acknowledged) == 120);
const _: () = assert!(size_of::<TcpInfo>() == 136);

/// TCP's states, as `tcpi_state` numbers them (`net/tcp_states.h`).
mod state {
    pub(super) const FIN_WAIT_1: u8 = 4;
    pub(super) const FIN_WAIT_2: u8 = 5;
    pub(super) const TIME_WAIT: u8 = 6;
    pub(super) const CLOSE: u8 = 7;
    pub(super) const CLOSE_WAIT: u8 = 8;
    pub(super) const LAST_ACK: u8 = 9;
    pub(super) const CLOSING: u8 = 11;
}

/// Reads the counters of an accepted TCP connection.
///
/// Segments and acknowledgements arrive meanwhile, so the parts are read until
/// they agree with themselves. The state has to agree too: the kernel reads it
/// before it locks the socket and the numbers after, and a peer's end of file
/// between the two would make `taken` one too many.
///
/// # Errors
///
/// `Unsupported` where the numbers do not hold: Multipath TCP, whose counters
/// are one subflow's, and a listener with fast open, whose first bytes arrive
/// uncounted. Otherwise what the kernel says.
pub fn counters(connection: BorrowedFd<'_>) -> io::Result<Counters> {
    if rustix::net::sockopt::socket_protocol(connection)? != Some(rustix::net::ipproto::TCP) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut before = info(connection)?;
    loop {
        let unread = rustix::io::ioctl_fionread(connection)?;
        let unsent = unsent(connection)?;
        let after = info(connection)?;
        if before.settled() == after.settled() {
            return Ok(reckon(after.settled(), unread, unsent));
        }
        before = after;
    }
}

/// Whether the bytes of connections accepted from this listener are counted, by
/// these counters or by a [meter](super::Meter): TCP without fast open, and what
/// has a meter. Multipath TCP may turn out to be plain TCP.
pub fn is_counted(listener: BorrowedFd<'_>) -> bool {
    match super::transport(listener) {
        Ok(Transport::Tcp) => fast_open_queue(listener) == Some(0),
        // Kernels older than 6.2 do not say, and have none there.
        Ok(Transport::Mptcp) => fast_open_queue(listener).is_none_or(|queue| queue == 0),
        Ok(transport) => super::is_metered(transport),
        Err(_) => false,
    }
}

/// How long ago the peer was last heard.
pub fn idle_time(connection: BorrowedFd<'_>) -> io::Result<Duration> {
    Ok(Duration::from_millis(info(connection)?.last_data_received.into()))
}

/// Whether neither side can send anything more; never so where there is no TCP.
pub(super) fn is_closed(connection: BorrowedFd<'_>) -> bool {
    info(connection).is_ok_and(|info| info.state == state::CLOSE)
}

impl TcpInfo {
    fn settled(&self) -> (u8, u64, u64) {
        (self.state, self.bytes_received, self.bytes_acknowledged)
    }
}

/// An end of file counts as one byte in the stack's numbers, on either side.
fn reckon((state, received, acknowledged): (u8, u64, u64), unread: u64, unsent: u64) -> Counters {
    use state::{CLOSE, CLOSE_WAIT, CLOSING, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, TIME_WAIT};
    let peer_ended = matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING | TIME_WAIT);
    let we_ended = matches!(state, FIN_WAIT_1 | FIN_WAIT_2 | CLOSING | LAST_ACK | TIME_WAIT);
    Counters {
        taken: received.wrapping_sub(unread).wrapping_sub(peer_ended.into()),
        given: acknowledged.wrapping_add(unsent).wrapping_sub(we_ended.into()),
        phase: match (state, we_ended, peer_ended) {
            (CLOSE, ..) => Phase::Closed,
            (_, true, _) => Phase::WeEnded,
            (_, false, true) => Phase::PeerEnded,
            (_, false, false) => Phase::Open,
        },
    }
}

/// How many connections may wait with data that came before the handshake.
fn fast_open_queue(listener: BorrowedFd<'_>) -> Option<libc::c_int> {
    // SAFETY: any bytes are an int.
    unsafe { option::get(listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN) }.ok()
}

/// How many bytes one segment to the peer carries.
pub fn segment(connection: BorrowedFd<'_>) -> io::Result<u32> {
    info(connection).map(|info| info.send_segment)
}

fn info(connection: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    // SAFETY: any bytes are a TcpInfo.
    unsafe { option::get(connection, libc::IPPROTO_TCP, libc::TCP_INFO) }
}

/// SIOCOUTQ: what was given and is not acknowledged yet, our end of file included.
pub(super) fn unsent(connection: BorrowedFd<'_>) -> Result<u64, Errno> {
    // Its number in asm-generic/ioctls.h, like TIOCOUTQ's.
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one int, and nothing else.
    let bytes = unsafe {
        let getter = rustix::ioctl::Getter::<SIOCOUTQ, libc::c_int>::new();
        rustix::ioctl::ioctl(connection, getter)
    }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests;
