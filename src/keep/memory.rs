//! The memory file: one memfd, mapped shared, its size sealed. The service
//! manager keeps a descriptor of it, so it lives as long as the service does.

use super::layout::{
    DATAGRAMS_AT, DATAGRAMS_SIZE, FILE_SIZE, LAYOUT, MAGIC, METERS_AT, METERS_SIZE, RECORDS,
    RECORDS_AT, RULES_AT, SLOT_SIZE, SLOT_STRIDE, SLOTS, SLOTS_AT,
};
use super::record::Record;
use super::rules::{RULES, RuleCell};
use crate::conversation::{Id, Refusal};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::fmt;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The memory file, mapped for as long as the process lives.
#[derive(Debug)]
pub struct Memory {
    file: OwnedFd,
    base: NonNull<u8>,
    /// Slots nobody holds, the most recently used last.
    free: Vec<u32>,
    /// Whether a free slot may still hold pages; by number.
    used: Vec<bool>,
    /// Whether nobody has the place for datagrams yet.
    has_datagrams: bool,
    /// The same of the meters.
    has_meters: bool,
}

/// A place for input, held by one owner: there is no second one for the same
/// number, so its bytes can be written without asking anybody.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    at: NonNull<u8>,
}

// SAFETY: a slot is the only owner of its bytes, wherever it is.
unsafe impl Send for Slot {}

/// What holds for all conversations, at the start of the file.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Header {
    magic: AtomicU64,
    layout: AtomicU32,
    /// The record whose answer is being computed, plus one.
    turn: AtomicU32,
    /// The last id that was given.
    ids: AtomicU64,
    /// `CLOCK_BOOTTIME` in nanoseconds when a process left in order; else 0.
    left: AtomicU64,
    /// One more than the highest record that may be used.
    reach: AtomicU32,
    _reserved: [AtomicU32; 7],
    /// Conversations that were accepted, ever.
    pub served: AtomicU64,
    /// Peers and datagrams that were refused, ever.
    refused: AtomicU64,
    /// Bytes that were taken, ever.
    pub received: AtomicU64,
    /// Bytes that were given, ever.
    pub sent: AtomicU64,
    /// Datagrams that were answered, ever.
    pub datagrams: AtomicU64,
    /// How many of `refused` for each reason, in the order of [`Refusal::ALL`].
    refusals: [AtomicU64; 32],
}

/// Why a memory file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The kernel did not give it.
    Kernel(Errno),
    /// It is no memory file of echod, or it could still shrink.
    Foreign,
    /// It has another layout than this program knows.
    Layout(u32),
}

impl Memory {
    /// Makes an empty memory file.
    pub fn create() -> Result<Self, MemoryError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("echod-memory", flags)?;
        rustix::fs::ftruncate(&file, FILE_SIZE as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let memory = Self::map(file)?;
        memory.header().layout.store(LAYOUT, Ordering::Release);
        memory.header().magic.store(MAGIC, Ordering::Release);
        Ok(memory)
    }

    /// Takes over a predecessor's.
    pub fn adopt(file: OwnedFd) -> Result<Self, MemoryError> {
        // Without the seals, whoever else holds it could shrink it under us.
        let seals = rustix::fs::fcntl_get_seals(&file).map_err(|error| match error {
            Errno::INVAL => MemoryError::Foreign,
            error => MemoryError::Kernel(error),
        })?;
        let size = rustix::fs::fstat(&file)?.st_size;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) || size < 64 {
            return Err(MemoryError::Foreign);
        }
        // Before it is mapped, for that is never undone.
        let layout = peek_layout(&file)?;
        if usize::try_from(size) != Ok(FILE_SIZE) || layout != LAYOUT {
            return Err(MemoryError::Layout(layout));
        }
        let mut memory = Self::map(file)?;
        // The predecessor may have used any.
        memory.used.fill(true);
        Ok(memory)
    }

    fn map(file: OwnedFd) -> Result<Self, MemoryError> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice. It is
        // never unmapped, and the seals keep the file from shrinking under it.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), FILE_SIZE, access, MapFlags::SHARED, &file, 0)
        }?;
        // A core dump would delay the restart, and holds people's data.
        // SAFETY: the advice changes no content, and the range is our mapping.
        let _ = unsafe { rustix::mm::madvise(base, FILE_SIZE, Advice::LinuxDontDump) };
        Ok(Self {
            file,
            base: NonNull::new(base.cast()).expect("the kernel maps nothing at 0"),
            free: (0..SLOTS).rev().collect(),
            used: vec![false; SLOTS as usize],
            has_datagrams: true,
            has_meters: true,
        })
    }

    /// The file, for the service manager to keep.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What holds for all conversations.
    pub fn header(&self) -> &'static Header {
        // SAFETY: the header lies at the start of the mapping, which is never
        // unmapped; it consists of atomics, for which any bytes are valid.
        unsafe { self.base.cast().as_ref() }
    }

    /// One record. Panics beyond [`RECORDS`].
    pub fn record(&self, number: u32) -> &'static Record {
        assert!(number < RECORDS, "there are {RECORDS} records");
        // SAFETY: as for the header; the number is within the table.
        unsafe { self.base.add(RECORDS_AT).cast::<Record>().add(number as usize).as_ref() }
    }

    /// One of the rules' cells. Panics beyond [`RULES`].
    pub(super) fn rule_cell(&self, number: usize) -> &'static RuleCell {
        assert!(number < RULES, "there are {RULES} rules");
        // SAFETY: as for the header; the number is within the table.
        unsafe { self.base.add(RULES_AT).cast::<RuleCell>().add(number).as_ref() }
    }

    /// A slot that nobody holds, if there is one.
    pub fn take_slot(&mut self) -> Option<Slot> {
        let number = self.free.pop()?;
        self.used[number as usize] = true;
        Some(self.slot(number))
    }

    /// The slot with this number, unless somebody holds it: at adoption, a slot
    /// is claimed once.
    pub fn claim_slot(&mut self, number: u32) -> Option<Slot> {
        let at = self.free.iter().position(|&free| free == number)?;
        self.free.remove(at);
        self.used[number as usize] = true;
        Some(self.slot(number))
    }

    /// Makes a slot free again.
    pub fn free_slot(&mut self, slot: Slot) {
        let Slot { number, .. } = slot;
        self.free.push(number);
    }

    /// The place for datagrams: 1.75 MiB, zero or as a predecessor left them. There
    /// is one, for whoever asks first.
    pub fn take_datagrams(&mut self) -> Option<&'static mut [u8]> {
        if !std::mem::take(&mut self.has_datagrams) {
            return None;
        }
        // SAFETY: the range is within the mapping, which is never unmapped, and
        // it is handed out once.
        Some(unsafe {
            let at = self.base.add(DATAGRAMS_AT);
            std::slice::from_raw_parts_mut(at.as_ptr(), DATAGRAMS_SIZE)
        })
    }

    /// The place for the slots' meters: 256 bytes for each, zero or as a predecessor
    /// left them. There is one, for whoever asks first.
    pub fn take_meters(&mut self) -> Option<&'static mut [u8]> {
        if !std::mem::take(&mut self.has_meters) {
            return None;
        }
        // SAFETY: as for the datagrams.
        Some(unsafe {
            let at = self.base.add(METERS_AT);
            std::slice::from_raw_parts_mut(at.as_ptr(), METERS_SIZE)
        })
    }

    /// How many slots nobody holds.
    pub fn slots_free(&self) -> usize {
        self.free.len()
    }

    /// Gives the memory of idle slots back to the kernel, but for the few that
    /// will be used next.
    pub fn trim(&mut self) {
        const WARM: usize = 4;
        for &number in self.free.iter().rev().skip(WARM) {
            if std::mem::take(&mut self.used[number as usize]) {
                let at = SLOTS_AT + number as usize * SLOT_STRIDE;
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let _ = rustix::fs::fallocate(&self.file, flags, at as u64, SLOT_STRIDE as u64);
            }
        }
    }

    fn slot(&self, number: u32) -> Slot {
        assert!(number < SLOTS, "there are {SLOTS} slots");
        // SAFETY: the offset is within the mapping.
        let at = unsafe { self.base.add(SLOTS_AT + number as usize * SLOT_STRIDE) };
        Slot { number, at }
    }
}

impl Slot {
    /// Its number, as records note it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its bytes: [`SLOT_SIZE`] of them.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the bytes are within the mapping, which is never unmapped,
        // and no other slot has this number.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), SLOT_SIZE) }
    }
}

impl Header {
    /// The next id, for a conversation that begins.
    pub fn next_id(&self) -> Id {
        let id = self.ids.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.ids.store(id, Ordering::Release);
        Id(NonZeroU64::new(id).expect("at least 1"))
    }

    /// Counts on after `id`, which somebody has.
    pub fn continue_after(&self, id: Id) {
        let ids = self.ids.load(Ordering::Relaxed).max(id.0.get());
        self.ids.store(ids, Ordering::Release);
    }

    /// Notes whose answer is about to be computed: if that kills the process,
    /// the successor suspects it.
    pub fn begin_turn(&self, record: u32) {
        self.turn.store(record + 1, Ordering::Release);
    }

    /// Notes that nobody's answer is being computed. Only needed where a turn
    /// ends with something owed: a finished one is no suspect anyway.
    pub fn end_turn(&self) {
        self.turn.store(0, Ordering::Release);
    }

    /// Whose answer was being computed.
    pub fn turn(&self) -> Option<u32> {
        self.turn.load(Ordering::Acquire).checked_sub(1)
    }

    /// Notes that a record is used.
    pub fn reach(&self, record: u32) {
        if self.reach.load(Ordering::Relaxed) <= record {
            self.reach.store(record + 1, Ordering::Release);
        }
    }

    /// Notes that nobody uses this record, or any after it.
    pub(super) fn withdraw(&self, record: u32) {
        self.reach.store(record.min(self.reached()), Ordering::Release);
    }

    /// One more than the highest record that may be used: there is no need to
    /// look at the others, and each look would cost a page. Behind the last record
    /// lies what is in use by others, whatever a damaged file says.
    pub fn reached(&self) -> u32 {
        self.reach.load(Ordering::Acquire).min(RECORDS)
    }

    /// Counts a refusal.
    pub fn refuse(&self, refusal: Refusal) {
        add(&self.refused, 1);
        add(&self.refusals[refusal as usize], 1);
    }

    /// How many were refused, ever.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many were refused for this reason, ever.
    pub fn refused_for(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize].load(Ordering::Relaxed)
    }

    /// Notes when the process leaves in order.
    pub fn leave(&self, now: u64) {
        self.left.store(now, Ordering::Release);
    }

    /// When the predecessor left, if it left in order; asked once.
    pub fn take_left(&self) -> Option<NonZeroU64> {
        let left = NonZeroU64::new(self.left.load(Ordering::Acquire));
        self.left.store(0, Ordering::Release);
        left
    }
}

/// Adds to a total. One thread writes; the successor reads.
pub fn add(total: &AtomicU64, n: u64) {
    total.store(total.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// The layout of a file of any size, from the part that never changes.
fn peek_layout(file: &OwnedFd) -> Result<u32, MemoryError> {
    let mut head = [0; 12];
    match rustix::io::pread(file, &mut head, 0)? {
        12 if head[..8] == MAGIC.to_ne_bytes() => {
            let layout = head[8..].try_into().expect("four bytes are four bytes");
            Ok(u32::from_ne_bytes(layout))
        }
        _ => Err(MemoryError::Foreign),
    }
}

impl From<Errno> for MemoryError {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(errno) => write!(f, "the kernel gave no memory file: {errno}"),
            Self::Foreign => f.write_str("it is no memory file of echod"),
            Self::Layout(layout) => write!(f, "it has layout {layout}, and this is {LAYOUT}"),
        }
    }
}

impl std::error::Error for MemoryError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Protocol;
    use crate::keep::{Done, Terms};

    fn copy(memory: &Memory) -> OwnedFd {
        memory.file().try_clone_to_owned().unwrap()
    }

    #[test]
    fn a_successor_reads_what_was_written() {
        let mut memory = Memory::create().unwrap();
        let id = memory.header().next_id();
        let terms = Terms { protocol: Protocol::Line, rule: 1, born: 42 };
        memory.record(RECORDS - 1).begin(id, terms, &Done::default());
        let mut slot = memory.take_slot().unwrap();
        slot.bytes()[..5].copy_from_slice(b"hello");
        let mut next = Memory::adopt(copy(&memory)).unwrap();
        assert_eq!(next.record(RECORDS - 1).id(), Some(id));
        assert_eq!(next.record(RECORDS - 1).terms(), Some(terms));
        assert_eq!(next.claim_slot(slot.number()).unwrap().bytes()[..5], *b"hello");
        assert!(next.header().next_id() > id);
    }

    #[test]
    fn a_slot_is_claimed_once() {
        let mut memory = Memory::create().unwrap();
        assert!(memory.claim_slot(7).is_some());
        assert!(memory.claim_slot(7).is_none());
        assert!(memory.claim_slot(SLOTS).is_none());
        assert_eq!(memory.slots_free(), SLOTS as usize - 1);
    }

    #[test]
    fn another_layout_is_named_and_not_read() {
        let memory = Memory::create().unwrap();
        memory.header().layout.store(9, Ordering::Release);
        assert_eq!(Memory::adopt(copy(&memory)).unwrap_err(), MemoryError::Layout(9));
    }

    #[test]
    fn a_file_that_could_shrink_is_foreign() {
        let file = rustix::fs::memfd_create("x", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, FILE_SIZE as u64).unwrap();
        assert_eq!(Memory::adopt(file).unwrap_err(), MemoryError::Foreign);
    }

    #[test]
    fn damaged_memory_is_foreign() {
        let memory = Memory::create().unwrap();
        memory.header().magic.store(0, Ordering::Release);
        assert_eq!(Memory::adopt(copy(&memory)).unwrap_err(), MemoryError::Foreign);
    }

    #[test]
    fn idle_slots_hold_no_memory() {
        let mut memory = Memory::create().unwrap();
        let mut slots: Vec<_> = (0..64).map(|_| memory.take_slot().unwrap()).collect();
        for slot in &mut slots {
            slot.bytes().fill(1);
        }
        let full = rustix::fs::fstat(memory.file()).unwrap().st_blocks;
        for slot in slots {
            memory.free_slot(slot);
        }
        memory.trim();
        let trimmed = rustix::fs::fstat(memory.file()).unwrap().st_blocks;
        assert!(trimmed < full / 8, "{trimmed} of {full} blocks remain");
    }

    #[test]
    fn what_a_predecessor_used_is_given_back_too() {
        let mut memory = Memory::create().unwrap();
        for _ in 0..64 {
            memory.take_slot().unwrap().bytes().fill(1);
        }
        let full = rustix::fs::fstat(memory.file()).unwrap().st_blocks;
        let mut next = Memory::adopt(copy(&memory)).unwrap();
        next.trim();
        let trimmed = rustix::fs::fstat(next.file()).unwrap().st_blocks;
        assert!(trimmed < full / 8, "{trimmed} of {full} blocks remain");
    }
}
