//! The kernel's side: what a descriptor is, who is at its other end, how many
//! bytes it took and gave, and when it is ready. Nothing here decides.

#![expect(unsafe_code, reason = "counters and batches are behind raw system calls")]

mod accept;
mod apart;
mod batch;
mod counters;
mod credentials;
mod envelope;
mod kind;
mod listen;
mod mailbox;
mod meter;
mod option;
mod packet;
mod vsock;
mod watch;

pub use accept::{Accepted, accept, is_dead, local, peer, prepare_listener, prepare_stream};
pub use apart::live_apart;
pub use batch::{AREA_SIZE, Arrived, BATCH, Batch, Given, Owner};
pub use counters::{counters, idle_time, is_counted, segment};
pub use envelope::{Control, Sender};
pub use kind::{Kind, KindError, kind, transport};
pub use listen::{BindError, Manner, bind};
pub use mailbox::{WantsHops, cookie, prepare_datagrams, stop_saying_asked};
pub use meter::{METER_SIZE, Meter, Meters, is_metered, phase};
pub use packet::Packet;
pub use watch::Watch;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Takes what has arrived, as far as `buffer` goes; 0 is the end of file.
pub fn take(stream: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    retry(|| rustix::net::recv(stream, &mut *buffer, RecvFlags::empty()).map(|(n, _)| n))
}

/// Gives one piece; as many bytes as the socket had room for.
pub fn give(stream: BorrowedFd<'_>, piece: &[u8]) -> io::Result<usize> {
    retry(|| rustix::net::send(stream, piece, SendFlags::NOSIGNAL))
}

/// Gives several pieces in one call; as many bytes as the socket had room for.
pub fn give_pieces(stream: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut nothing = rustix::net::SendAncillaryBuffer::default();
    retry(|| rustix::net::sendmsg(stream, pieces, &mut nothing, SendFlags::NOSIGNAL))
}

/// Tells the peer that nothing more will come. A peer that is gone already
/// needs no telling.
pub fn shut_down(stream: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(stream, Shutdown::Write);
}

/// Ends the connection at once, whoever else holds the descriptor: with a
/// reset if either side is still open. Sockets that cannot be disconnected
/// (Unix) are shut down in both directions instead.
pub fn disconnect(stream: BorrowedFd<'_>) {
    if rustix::net::connect_unspec(stream).is_err() {
        let _ = rustix::net::shutdown(stream, Shutdown::Both);
    }
}

/// Whether a connection that is over was reset, or given up by the network. The
/// kernel says it once.
pub fn was_reset(stream: BorrowedFd<'_>) -> bool {
    !matches!(rustix::net::sockopt::socket_error(stream), Ok(Ok(())))
}

/// How far what was given has come, our end of file included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The peer's kernel has all of it, or ours cannot tell.
    Done,
    /// Some of it is still here.
    UnderWay,
    /// Some of it is still here, and the connection is gone.
    Lost,
}

/// Asks the kernel how far what was given has come.
pub fn delivery(stream: BorrowedFd<'_>) -> Delivery {
    match counters::unsent(stream) {
        Ok(0) | Err(_) => Delivery::Done,
        // A reset does not bring the number down.
        Ok(_) if counters::is_closed(stream) => Delivery::Lost,
        Ok(_) => Delivery::UnderWay,
    }
}

/// How many bytes have arrived that were not taken.
pub fn unread(stream: BorrowedFd<'_>) -> u64 {
    rustix::io::ioctl_fionread(stream).unwrap_or(0)
}

/// Makes a close by whoever closes last a reset, or an ordinary close again.
pub fn reset_on_close(stream: BorrowedFd<'_>, reset: Option<Reset>) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, reset.map(|Reset| Duration::ZERO));
}

/// That closing shall reset; see [`reset_on_close`].
#[derive(Clone, Copy, Debug)]
pub struct Reset;

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

/// Makes a descriptor fit for one thread that serves many: it never blocks, and
/// no child inherits it.
pub fn make_ours(fd: impl AsFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?)
}
