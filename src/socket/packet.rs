//! Sequential packets: connected, and message by message.

use super::retry;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    retry(|| {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut vector = [IoSliceMut::new(buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = rustix::net::recvmsg(stream, &mut vector, &mut control, flags)?;
        Ok(if got.flags.contains(ReturnFlags::TRUNC) {
            Packet::Cut
        } else if got.bytes == 0 && control.drain().next().is_none() {
            Packet::End
        } else {
            Packet::Whole(got.bytes)
        })
    })
}
