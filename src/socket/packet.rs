//! Sequential packets: connected, and message by message.

use super::batch::errno;
use super::envelope::space;
use super::retry;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// What one read of a seqpacket socket returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A message of so many bytes, perhaps none.
    Whole(usize),
    /// A message that was longer than the buffer; its rest is gone.
    Cut,
    /// The peer has ended.
    End,
}

/// Takes the next message. Needs what [`prepare_stream`](super::prepare_stream)
/// sets: each message then carries its sender's credentials, and a read of
/// nothing without them is the end, with them an empty message.
pub(super) fn take_packet(stream: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Packet> {
    // Room for the credentials and for nothing else: descriptors that a peer
    // sends along are closed by the kernel.
    let mut control = Control([0; CONTROL]);
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: any bytes are a msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
    let taken = retry(|| {
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL;
        // SAFETY: the vector and the control are ours, and outlive the call.
        let taken =
            unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        usize::try_from(taken).map_err(|_| errno())
    })?;
    Ok(if message.msg_flags & libc::MSG_TRUNC != 0 {
        Packet::Cut
    } else if taken == 0 && message.msg_controllen == 0 {
        Packet::End
    } else {
        Packet::Whole(taken)
    })
}

/// Room for one process's credentials.
const CONTROL: usize = space(size_of::<libc::ucred>());

#[repr(align(8))]
struct Control([u8; CONTROL]);
