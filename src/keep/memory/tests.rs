//! What a successor finds in the file, and what it refuses.

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
    rustix::io::pwrite(memory.file(), &9_u32.to_ne_bytes(), 8).unwrap();
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
    rustix::io::pwrite(memory.file(), &[0; 8], 0).unwrap();
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
