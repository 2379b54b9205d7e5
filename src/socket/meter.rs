//! A meter, for connections whose bytes the kernel does not count: Unix, vsock
//! and Multipath TCP streams.
//!
//! It lies in memory that outlives the process. The kernel itself writes there,
//! in the very call that takes or gives bytes, how many they were: `recvmmsg`
//! and `sendmmsg` store the length of a message into its header. So a successor
//! reads from it what [`counters`](super::counters) reads of a TCP connection.

use super::batch::errno;
use super::retry;
use crate::conversation::Phase;
use crate::endpoint::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::io::{self, IoSlice};
use std::mem::size_of;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What the kernel has not written yet. No call takes or gives so much.
const NONE: u32 = u32::MAX;

/// What lies in the shared memory, and part of its layout: whoever changes it
/// changes the layout's number in `keep`.
#[repr(C, align(256))]
struct Cell {
    /// The conversation that this is about; 0 is nobody. Written last.
    owner: AtomicU64,
    /// What was taken before the call that `taken` is about.
    taken_before: AtomicU64,
    /// What was given before the call that the same of `given` is about.
    given_before: [AtomicU64; 2],
    /// Which of `given` is the last.
    last: AtomicU32,
    _reserved: u32,
    taken: libc::mmsghdr,
    given: [libc::mmsghdr; 2],
}

/// The size of one meter in bytes.
pub const METER_SIZE: usize = size_of::<Cell>();

/// The meters: one for each slot that input is read into.
#[derive(Debug)]
pub struct Meters {
    cells: NonNull<Cell>,
    count: u32,
}

/// One meter. Its user has the slot to which it belongs, so nobody else writes.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    cell: NonNull<Cell>,
}

/// Whether connections of this kind have no counters of the kernel's, and may
/// have a meter. Sequential packets have none: an empty message moves no count.
pub fn is_metered(transport: Transport) -> bool {
    matches!(transport, Transport::UnixStream | Transport::Vsock | Transport::Mptcp)
}

/// Who has ended a connection without TCP's states. Of Unix streams it cannot be
/// told whether both sides have ended or the peer has closed its socket: nothing
/// can be given in either case, so both are [`Phase::Closed`].
pub fn phase(connection: BorrowedFd<'_>) -> io::Result<Phase> {
    let mut asked = [PollFd::from_borrowed_fd(connection, PollFlags::IN | PollFlags::RDHUP)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    let state = asked[0].revents();
    if state.contains(PollFlags::HUP) {
        return Ok(Phase::Closed);
    }
    // Nothing is sent, but whether anything could be is said all the same.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match rustix::net::send(connection, &[], flags) {
        Err(Errno::PIPE) => Ok(Phase::WeEnded),
        Err(Errno::NOTCONN | Errno::CONNRESET) => Ok(Phase::Closed),
        _ if state.contains(PollFlags::RDHUP) => Ok(Phase::PeerEnded),
        _ => Ok(Phase::Open),
    }
}

impl Meters {
    /// The meters at this place, which is zero or as a predecessor left it. What
    /// is used of it stays in memory: for a process that is being killed, no page
    /// is fetched any more.
    ///
    /// # Panics
    /// If the place is not aligned for a meter.
    pub fn new(place: &'static mut [u8]) -> Self {
        let count = u32::try_from(place.len() / METER_SIZE).expect("there are 1,024 slots");
        // SAFETY: the range is ours. Where the limit forbids it, we go without.
        unsafe { libc::mlock2(place.as_ptr().cast(), place.len(), libc::MLOCK_ONFAULT) };
        let cells = NonNull::from(place).cast::<Cell>();
        assert!(cells.is_aligned(), "the layout begins them on a page");
        Self { cells, count }
    }

    /// The meter of the slot with this number, if there is such a slot.
    pub fn of(&self, slot: u32) -> Option<Meter> {
        // SAFETY: within the place, whose memory is never unmapped.
        (slot < self.count).then(|| Meter { cell: unsafe { self.cells.add(slot as usize) } })
    }
}

impl Meter {
    /// Makes it about a conversation that has taken and given so much, and owes
    /// nothing. Whom it was about before has noted all of it.
    pub fn begin(self, owner: NonZeroU64, taken: u64, given: u64) {
        let cell = self.cell();
        cell.owner.store(0, Ordering::Release);
        // Whoever finds old words among new ones finds nobody whose they are.
        cell.taken_before.store(taken, Ordering::Release);
        self.taken().store(NONE, Ordering::Release);
        cell.given_before[0].store(given, Ordering::Release);
        self.given(0).store(NONE, Ordering::Release);
        cell.last.store(0, Ordering::Release);
        cell.owner.store(owner.get(), Ordering::Release);
    }

    /// How many bytes were taken and given in all, if it is about this conversation;
    /// as many as there are numbers, if what lies there is no sum.
    pub fn read(self, owner: NonZeroU64) -> Option<(u64, u64)> {
        let cell = self.cell();
        let last = self.last();
        (cell.owner.load(Ordering::Acquire) == owner.get()).then(|| {
            let taken = cell.taken_before.load(Ordering::Acquire);
            let given = cell.given_before[last].load(Ordering::Acquire);
            (
                taken.saturating_add(length(self.taken()).into()),
                given.saturating_add(length(self.given(last)).into()),
            )
        })
    }

    /// Takes what has arrived, as far as `buffer` goes; 0 is the end of file. Once
    /// after each [`begin`](Self::begin), unless it took nothing.
    pub fn take(self, connection: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        let mut vector =
            libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: within the cell, which only this thread and the kernel write.
        let header = unsafe { &raw mut (*self.cell.as_ptr()).taken };
        aim(header, &raw mut vector, 1);
        retry(|| {
            // SAFETY: one header, whose only pointer is to `vector`, and that one's
            // to `buffer`.
            let done = unsafe {
                let flags = libc::MSG_DONTWAIT;
                libc::recvmmsg(connection.as_raw_fd(), header, 1, flags, std::ptr::null_mut())
            };
            if done == 1 { Ok(()) } else { Err(errno()) }
        })?;
        Ok(length(self.taken()) as usize)
    }

    /// Gives pieces of an answer; as many bytes as the socket had room for.
    pub fn give(self, connection: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let last = self.turn_over();
        // SAFETY: as above.
        let header = unsafe { &raw mut (*self.cell.as_ptr()).given[last] };
        // An IoSlice is an iovec, which the kernel only reads.
        aim(header, pieces.as_ptr().cast_mut().cast(), pieces.len());
        retry(|| {
            // SAFETY: one header, whose only pointer is to the pieces.
            let done = unsafe {
                let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                libc::sendmmsg(connection.as_raw_fd(), header, 1, flags)
            };
            if done == 1 { Ok(()) } else { Err(errno()) }
        })?;
        Ok(length(self.given(last)) as usize)
    }

    /// Where the kernel may note what the next call gives. What the last one gave
    /// is kept until the other header says so too: one store switches over.
    fn turn_over(self) -> usize {
        let (cell, last) = (self.cell(), self.last());
        let noted = self.given(last).load(Ordering::Acquire);
        if noted == NONE {
            return last;
        }
        let other = 1 - last;
        let before = cell.given_before[last].load(Ordering::Acquire);
        cell.given_before[other].store(before.wrapping_add(noted.into()), Ordering::Release);
        self.given(other).store(NONE, Ordering::Release);
        cell.last.store(u32::from(other == 1), Ordering::Release);
        other
    }

    fn cell(&self) -> &Cell {
        // SAFETY: a cell within the place. Its headers are never looked at by
        // reference, and all else in it is atomic.
        unsafe { self.cell.as_ref() }
    }

    fn last(self) -> usize {
        usize::from(self.cell().last.load(Ordering::Acquire) == 1)
    }

    /// Where the kernel notes what it took.
    fn taken(&self) -> &AtomicU32 {
        // SAFETY: within the cell and aligned; only the kernel and this thread write it.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.cell.as_ptr()).taken.msg_len) }
    }

    /// Where the kernel notes what it gave.
    fn given(&self, which: usize) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.cell.as_ptr()).given[which].msg_len) }
    }
}

/// Points a header at pieces of this process's, and leaves its note alone.
fn aim(header: *mut libc::mmsghdr, vectors: *mut libc::iovec, count: usize) {
    // SAFETY: a header within a cell, which nobody else uses now; zero is a header
    // without name and control data.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = vectors;
        message.msg_iovlen = count;
        (&raw mut (*header).msg_hdr).write(message);
    }
}

/// What the kernel has noted, which is nothing where no call has succeeded.
fn length(note: &AtomicU32) -> u32 {
    match note.load(Ordering::Acquire) {
        NONE => 0,
        length => length,
    }
}

#[cfg(test)]
mod tests;
