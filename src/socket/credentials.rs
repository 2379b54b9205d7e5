//! The process at the other end of a Unix socket. One that our process namespace
//! does not contain has the number 0, which is none to a type for living processes.

use crate::endpoint::Party;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// The process that connected, if the socket has one at its other end.
pub(super) fn process(stream: BorrowedFd<'_>) -> Option<Party> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of_val(&peer)).expect("twelve bytes fit");
    // SAFETY: `peer` has `length` writable bytes, and any bytes are a ucred.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    // The kernel knows nobody at the other end of anything else.
    let is_known = result == 0 && peer.uid != u32::MAX;
    is_known.then(|| Party::Process { pid: peer.pid.unsigned_abs(), uid: peer.uid })
}
