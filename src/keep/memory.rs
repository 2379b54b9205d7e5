//! The memory file: one memfd, mapped shared, its size sealed. The service
//! manager keeps a descriptor of it, so it lives as long as the service does.

use super::header::Header;
use super::layout::{
    DATAGRAMS_AT, DATAGRAMS_SIZE, FILE_SIZE, LAYOUT, MAGIC, METERS_AT, METERS_SIZE, RECORDS,
    RECORDS_AT, RULES_AT, SLOT_SIZE, SLOT_STRIDE, SLOTS, SLOTS_AT,
};
use super::record::Record;
use super::rules::{RULES, RuleCell};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

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
        memory.header().sign();
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
mod tests;
