//! What threads of one process share, and one that needs little had better not.

use std::mem::MaybeUninit;

/// Gives the calling thread a table of descriptors of its own, in which there are
/// only the standard three; what else it had stays open for the others. While one
/// thread alone has a table, the kernel need not count who uses a descriptor of it,
/// on every call, in memory that it would not have touched otherwise.
///
/// It has no more signals, either: their handlers wake others by a descriptor that
/// is not in its table. Where the kernel refuses the table, the thread shares on.
pub fn live_apart() {
    const STANDARD: u32 = 3;
    let mut all = MaybeUninit::uninit();
    // SAFETY: the set is filled before it is read, and nobody else's mask changes.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
    // SAFETY: nothing in this thread has a descriptor yet that could be closed
    // under it, and nobody else's table changes.
    let _ = unsafe {
        libc::syscall(libc::SYS_close_range, STANDARD, u32::MAX, libc::CLOSE_RANGE_UNSHARE)
    };
}
