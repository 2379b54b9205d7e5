//! Datagrams, up to sixteen in one call: taken, answered, each from the address
//! that was asked.
//!
//! All of it lies in memory that outlives the process. The kernel itself writes
//! there, in the call that takes or gives a datagram, that it has done so: a
//! successor that finds a batch knows which of it was taken and which was
//! answered, at whatever instant the process died. See [`Batch::left`].
//!
//! It is long because what the kernel is told and what it notes lie in one area,
//! and nobody else knows its fields.

use super::envelope::{Control, Label, Sender, sender, space};
use super::retry;
use crate::echo::{self, Insertion};
use crate::endpoint::{Party, Transport};
use rustix::io::Errno;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// The most that is taken in one call: more gains nothing, and costs the others.
pub const BATCH: usize = 16;

/// What the kernel has not written yet. No datagram is so long.
const NONE: u32 = u32::MAX;

/// Room for the control data of one datagram, in bytes: packet information of
/// both families, class, hops, and time stamps that a unit may ask for.
const CONTROL: usize = 256;

/// Room for one datagram. Not a multiple of a page, so that the beginnings of
/// sixteen short ones do not compete for the same places in the cache.
const PAYLOAD: usize = echo::BUFFER_SIZE;

/// What lies in the shared memory, and part of its layout: whoever changes it
/// changes the layout's number in `keep`.
#[repr(C)]
struct Area {
    /// Whose batch this is, as the kernel names sockets for ever; 0 is nobody's.
    owner: AtomicU64,
    /// What the owner's datagrams are answered by.
    terms: AtomicU64,
    /// Those that get no answer.
    refused: [AtomicU8; BATCH],
    _reserved: [u8; 32],
    taken: [libc::mmsghdr; BATCH],
    given: [libc::mmsghdr; BATCH],
    names: [libc::sockaddr_storage; BATCH],
    control: [[u64; CONTROL / 8]; BATCH],
    payload: [[u8; PAYLOAD]; BATCH],
}

/// The place of a batch; see [`Batch::new`].
pub const AREA_SIZE: usize = size_of::<Area>();

/// Datagrams in their turn. There is one batch, and each socket uses it for as
/// long as its turn lasts.
#[derive(Debug)]
pub struct Batch {
    area: NonNull<Area>,
    vectors: Box<[libc::iovec; BATCH]>,
    /// The pieces of the answers. Only those in use mean anything.
    pieces: Box<[[libc::iovec; 3]; BATCH]>,
    /// What the answers say to the kernel. Only those in use mean anything.
    labels: Box<[Label; BATCH]>,
    count: usize,
}

/// A socket and how its datagrams are answered, as it is noted for a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The kernel's name for the socket: no other ever gets it.
    pub cookie: u64,
    /// For the caller to know.
    pub terms: u64,
}

/// A datagram that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Where it came from.
    pub sender: Sender,
    /// What the kernel said about it.
    pub control: Control,
    /// Its bytes, as far as there was room.
    pub message: &'a [u8],
    /// Its real length as far as that is known: more than the message has if
    /// there was no room.
    pub length: usize,
}

impl Arrived<'_> {
    /// The sender, as records name it.
    pub fn peer(&self) -> Party {
        match self.sender {
            Sender::Ip(address) => Party::Ip(address),
            Sender::Named | Sender::Nameless => self.control.process.unwrap_or(Party::Unknown),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Datagrams that were answered.
    pub datagrams: u64,
    /// Bytes of them.
    pub received: u64,
    /// Bytes of their answers.
    pub sent: u64,
}

impl Batch {
    /// A batch at this place, of at least [`AREA_SIZE`] bytes that are zero or
    /// what a predecessor left. The part that the kernel's notes go to is locked
    /// into memory: a dying process is not waited for while its page is fetched.
    ///
    /// # Panics
    /// If the place is too small or not aligned.
    pub fn new(place: &'static mut [u8]) -> Self {
        assert!(place.len() >= AREA_SIZE, "the layout has room for a batch");
        let area = NonNull::from(place).cast::<Area>();
        assert!(area.is_aligned(), "the layout begins it on a page");
        // SAFETY: the range is ours. Where the limit forbids it, we go without.
        unsafe { libc::mlock(area.as_ptr().cast(), offset_of!(Area, payload)) };
        let nothing = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut batch = Self {
            area,
            vectors: Box::new([nothing; BATCH]),
            pieces: Box::new([[nothing; 3]; BATCH]),
            labels: Box::new([Label::nothing(); BATCH]),
            count: 0,
        };
        batch.aim();
        batch
    }

    /// The batch in which a predecessor died, if it did: to be continued with
    /// [`answer`](Self::answer) before anything is taken.
    pub fn left(&mut self) -> Option<Owner> {
        let area = self.area.as_ptr();
        // SAFETY: atomics within the area.
        let (owner, terms) = unsafe { (&(*area).owner, &(*area).terms) };
        let cookie = owner.load(Ordering::Acquire);
        self.count = (0..BATCH).take_while(|&i| self.taken(i).is_some()).count();
        (cookie != 0 && self.count > 0)
            .then(|| Owner { cookie, terms: terms.load(Ordering::Acquire) })
    }

    /// Takes what has arrived, at most [`BATCH`] datagrams. Returns how many.
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        transport: Transport,
        owner: Owner,
    ) -> io::Result<usize> {
        self.forget();
        let area = self.area.as_ptr();
        let control = match transport {
            // Exactly the sender's credentials: no room for descriptors.
            Transport::UnixDatagram => space(size_of::<libc::ucred>()),
            _ => CONTROL,
        };
        for number in 0..BATCH {
            // SAFETY: within the area, which nobody else writes now.
            let header = unsafe { &mut (*area).taken[number].msg_hdr };
            header.msg_namelen = NAME;
            header.msg_controllen = control;
        }
        // SAFETY: atomics within the area.
        unsafe {
            (*area).terms.store(owner.terms, Ordering::Release);
            (*area).owner.store(owner.cookie, Ordering::Release);
        }
        self.count = retry(|| {
            // SAFETY: sixteen headers whose pointers all lead into the area, or
            // to vectors that do.
            let taken = unsafe {
                let headers = (&raw mut (*area).taken).cast();
                let flags = libc::MSG_DONTWAIT;
                libc::recvmmsg(socket.as_raw_fd(), headers, 16, flags, std::ptr::null_mut())
            };
            usize::try_from(taken).map_err(|_| errno())
        })?;
        Ok(self.count)
    }

    /// Answers the datagrams that were taken and neither answered nor refused,
    /// each with what `decide` puts in, or not at all. `failed` is told of those
    /// whose answer the kernel refuses; that ends nothing.
    pub fn answer<'r>(
        &mut self,
        socket: BorrowedFd<'_>,
        mut decide: impl FnMut(&Arrived<'_>) -> Option<Insertion<'r>>,
        mut failed: impl FnMut(&Arrived<'_>, &io::Error),
    ) -> Given {
        let mut given = Given::default();
        for number in 0..self.count {
            if !self.is_due(number) {
                continue;
            }
            let arrived = self.arrived(number);
            match decide(&arrived) {
                None => self.refuse(number),
                Some(insertion) => {
                    let (pieces, control) =
                        (insertion.pieces(arrived.message).map(vector), arrived.control);
                    self.labels[number].write(&control);
                    self.address(number, pieces);
                }
            }
        }
        let mut number = 0;
        while number < self.count {
            let run = (number..self.count).take_while(|&number| self.is_due(number)).count();
            if run == 0 {
                number += 1;
                continue;
            }
            match self.give(socket, number, run) {
                Ok(sent) => {
                    for number in number..number + sent {
                        given.datagrams += 1;
                        given.received += self.taken(number).unwrap_or(0) as u64;
                        given.sent += u64::from(self.given(number).load(Ordering::Acquire));
                    }
                    number += sent;
                }
                Err(error) => {
                    failed(&self.arrived(number), &error);
                    self.refuse(number);
                }
            }
        }
        self.forget();
        given
    }

    /// Gives a run of answers, with one call; how many the kernel took.
    fn give(&self, socket: BorrowedFd<'_>, first: usize, run: usize) -> io::Result<usize> {
        let run = run.try_into().expect("sixteen at most");
        retry(|| {
            // SAFETY: headers whose pointers lead into the area, and to pieces
            // and labels that stay where they are.
            let sent = unsafe {
                let headers = (&raw mut (*self.area.as_ptr()).given[first]).cast();
                let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                libc::sendmmsg(socket.as_raw_fd(), headers, run, flags)
            };
            usize::try_from(sent).map_err(|_| errno())
        })
    }

    /// Directs an answer to who asked.
    fn address(&mut self, number: usize, pieces: [libc::iovec; 3]) {
        let vectors = &mut self.pieces[number];
        // One piece is cheaper than three of which two are empty.
        let mut count = 0;
        for piece in pieces.into_iter().filter(|piece| piece.iov_len > 0) {
            vectors[count] = piece;
            count += 1;
        }
        let area = self.area.as_ptr();
        // SAFETY: within the area, which nobody else writes now.
        let (header, taken) =
            unsafe { (&mut (*area).given[number].msg_hdr, &(*area).taken[number].msg_hdr) };
        header.msg_name = taken.msg_name;
        header.msg_namelen = taken.msg_namelen.min(NAME);
        header.msg_iov = vectors.as_mut_ptr();
        header.msg_iovlen = count;
        header.msg_control = self.labels[number].as_mut_ptr();
        header.msg_controllen = self.labels[number].length();
        header.msg_flags = 0;
    }

    /// Points the headers at their places in this process.
    fn aim(&mut self) {
        let area = self.area.as_ptr();
        // SAFETY: all within the area, which nobody else writes.
        unsafe {
            let is_idle = (*area).owner.load(Ordering::Acquire) == 0;
            for (number, vector) in self.vectors.iter_mut().enumerate() {
                vector.iov_base = (&raw mut (*area).payload[number]).cast();
                vector.iov_len = PAYLOAD;
                let header = &mut (*area).taken[number].msg_hdr;
                header.msg_name = (&raw mut (*area).names[number]).cast();
                header.msg_iov = vector;
                header.msg_iovlen = 1;
                header.msg_control = (&raw mut (*area).control[number]).cast();
                header.msg_controllen = header.msg_controllen.min(CONTROL);
                if is_idle {
                    (*area).taken[number].msg_len = NONE;
                    (*area).given[number].msg_len = NONE;
                    (*area).refused[number].store(0, Ordering::Release);
                }
            }
        }
    }

    fn arrived(&self, number: usize) -> Arrived<'_> {
        let area = self.area.as_ptr();
        let taken = self.taken(number).unwrap_or(0);
        // SAFETY: within the area, whatever the lengths say, and any bytes are
        // names, headers, control data and payload.
        unsafe {
            let header = &(*area).taken[number].msg_hdr;
            let was_cut = header.msg_flags & libc::MSG_TRUNC != 0;
            let payload = (&raw const (*area).payload[number]).cast();
            let control = (&raw const (*area).control[number]).cast();
            let control = std::slice::from_raw_parts(control, header.msg_controllen.min(CONTROL));
            Arrived {
                sender: sender(&raw const (*area).names[number], header.msg_namelen as usize),
                control: Control::read(control),
                message: std::slice::from_raw_parts(payload, taken.min(PAYLOAD)),
                length: if was_cut { usize::MAX } else { taken },
            }
        }
    }

    /// Whether it was taken, and neither answered nor refused.
    fn is_due(&self, number: usize) -> bool {
        // SAFETY: an atomic within the area.
        let refused = unsafe { &(*self.area.as_ptr()).refused[number] };
        self.taken(number).is_some()
            && refused.load(Ordering::Acquire) == 0
            && self.given(number).load(Ordering::Acquire) == NONE
    }

    fn refuse(&self, number: usize) {
        // SAFETY: an atomic within the area.
        let refused = unsafe { &(*self.area.as_ptr()).refused[number] };
        refused.store(1, Ordering::Release);
    }

    /// How long the datagram is that was taken there, if one was.
    fn taken(&self, number: usize) -> Option<usize> {
        match self.note(number).load(Ordering::Acquire) {
            NONE => None,
            length => Some(length as usize),
        }
    }

    /// Where the kernel notes what it took.
    fn note(&self, number: usize) -> &AtomicU32 {
        // SAFETY: within the area and aligned; only the kernel and this thread write it.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.area.as_ptr()).taken[number].msg_len) }
    }

    /// Where the kernel notes what it gave.
    fn given(&self, number: usize) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.area.as_ptr()).given[number].msg_len) }
    }

    /// Nobody's any more: a successor has nothing to do about it.
    fn forget(&mut self) {
        let area = self.area.as_ptr();
        // SAFETY: atomics within the area.
        unsafe { (*area).owner.store(0, Ordering::Release) };
        for number in 0..std::mem::take(&mut self.count) {
            self.note(number).store(NONE, Ordering::Release);
            self.given(number).store(NONE, Ordering::Release);
            // SAFETY: as above.
            unsafe { (*area).refused[number].store(0, Ordering::Release) };
        }
    }
}

/// The longest address of a sender.
const NAME: libc::socklen_t = 128;
const _: () = assert!(size_of::<libc::sockaddr_storage>() == NAME as usize);

fn vector(piece: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() }
}

/// Why the last call failed.
pub(super) fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).expect("a call that failed says why")
}
