//! For the next process: what each conversation knows, in memory that outlives
//! this one, and the verdict on what a predecessor left there.
//!
//! The kernel counts the bytes; a [`Record`] only says which of them have been
//! answered. Nothing here reads a socket.

#![expect(unsafe_code, reason = "memory shared with the next process is raw memory")]

mod header;
mod layout;
mod memory;
mod record;
mod rules;
mod shrink;
mod verdict;

pub use header::{Header, add};
pub use layout::{RECORDS, SLOT_SIZE, SLOTS};
pub use memory::{Memory, MemoryError, Slot};
pub use record::{Done, Noted, ORDER, Record, Step, Terms};
pub use rules::{Kept, RULES, RuleIndex};
pub use shrink::{pack_heap, trim_heap};
pub use verdict::{Verdict, verdict};
