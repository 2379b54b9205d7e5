//! Needing little memory, and giving it back after a crowd has gone: records that
//! nobody uses, and the heap of the process.

use super::layout::{PAGE, RECORD_SIZE, RECORDS_AT};
use super::memory::Memory;
use rustix::fs::FallocateFlags;

impl Memory {
    /// Gives the memory of the records from `first` on back to the kernel. They
    /// must be nobody's, and then read as zero, which is nobody's too.
    pub fn trim_records(&mut self, first: u32) {
        let header = self.header();
        let at = |record: u32| RECORDS_AT + record as usize * RECORD_SIZE;
        let (from, to) = (at(first).next_multiple_of(PAGE), at(header.reached()));
        header.withdraw(first);
        if from < to {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let length = (to - from).next_multiple_of(PAGE) as u64;
            let _ = rustix::fs::fallocate(self.file(), flags, from as u64, length);
        }
    }
}

/// Gives the free parts of the heap back to the kernel. The allocator itself only
/// gives back its end, on which something lies after a crowd has gone. It takes
/// milliseconds for each 10 MiB.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches only memory that nobody has.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Has the heap packed closely. What tokio allocates for a conversation is aligned
/// to 128 bytes, and the allocator would keep the gaps between for requests of
/// exactly their sizes: an eighth of all that a conversation needs. To be called
/// before there are many.
pub fn pack_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a number for the allocator.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Id;
    use crate::echo::Protocol;
    use crate::keep::{Done, RECORDS, Terms};
    use std::num::NonZeroU64;

    #[test]
    fn records_that_are_nobodys_hold_no_memory_and_the_others_stay() {
        let mut memory = Memory::create().unwrap();
        let terms = Terms { protocol: Protocol::Line, rule: 0, born: 1 };
        for number in 0..RECORDS {
            let id = Id(NonZeroU64::new(u64::from(number) + 1).unwrap());
            memory.record(number).begin(id, terms, &Done::default());
            memory.header().reach(number);
        }
        let blocks = |memory: &Memory| rustix::fs::fstat(memory.file()).unwrap().st_blocks;
        let full = blocks(&memory);
        for number in 1000..RECORDS {
            memory.record(number).end();
        }
        memory.trim_records(1000);
        assert!(blocks(&memory) < full / 32, "{} of {full} blocks remain", blocks(&memory));
        assert_eq!(memory.header().reached(), 1000);
        assert!((0..1000).all(|number| memory.record(number).id().is_some()));
        assert!((1000..RECORDS).all(|number| memory.record(number).id().is_none()));
    }

    #[test]
    fn what_a_crowd_left_on_the_heap_is_given_back_under_the_last_who_stays() {
        const SIZE: usize = 1_024;
        const CROWD: usize = 64 << 10;
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
        };
        let mut crowd: Vec<Box<[u8; SIZE]>> = (0..CROWD).map(|_| Box::new([1; SIZE])).collect();
        let last = crowd.pop();
        drop(crowd);
        let before = resident();
        trim_heap();
        let given_back = before.saturating_sub(resident());
        assert!(given_back > SIZE * CROWD / 2, "{given_back} of {before} bytes are given back");
        drop(last);
    }
}
