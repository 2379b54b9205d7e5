//! The process at the other end of a Unix socket. One that our process namespace
//! does not contain has the number 0, which is none to a type for living processes.

use super::option;
use crate::endpoint::Party;
use std::os::fd::BorrowedFd;

/// The process that connected, if the socket has one at its other end.
pub(super) fn process(stream: BorrowedFd<'_>) -> Option<Party> {
    // SAFETY: any bytes are a ucred.
    let peer = unsafe { option::get::<libc::ucred>(stream, libc::SOL_SOCKET, libc::SO_PEERCRED) };
    // Of a socket that has no such end the kernel says that it is nobody.
    let peer = peer.ok().filter(|peer| peer.uid != u32::MAX)?;
    Some(Party::Process { pid: peer.pid.unsigned_abs(), uid: peer.uid })
}
