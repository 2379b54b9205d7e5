//! Options of sockets that `rustix` does not know.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Asks for an option. What an older kernel does not write of it is zero.
///
/// # Safety
/// Any bytes are a `T`.
pub(super) unsafe fn get<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<T>()).expect("options are small");
    // SAFETY: `value` has `length` writable bytes, and the kernel writes no more.
    let result = unsafe {
        let value = value.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), level, name, value, &raw mut length)
    };
    match result {
        // SAFETY: all of it was zeroed, and the caller says that any bytes will do.
        0 => Ok(unsafe { value.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}
