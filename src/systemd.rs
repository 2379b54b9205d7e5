//! The service manager: what it hands over at the start ([`inherit`]), what it
//! is told ([`Manager`]), and what it keeps for the next process ([`Store`]).
//!
//! Nothing here knows what a conversation is: connections go into the store
//! with three numbers, and come back with them. Nothing here writes a record.
//! A manager that is slow, gone, or was never there ends and delays nothing.
#![allow(
    unsafe_code,
    reason = "descriptors arrive as numbers, and rustix cannot peek from an offset"
)]

mod bag;
#[cfg(test)]
mod fake;
mod inherit;
mod ledger;
mod no_place;
mod notify;
mod store;

pub use bag::{Entry, Peeked, peek};
#[doc(hidden)]
pub use inherit::names;
pub use inherit::{Hand, InheritError, Inherited, inherit};
pub use ledger::{BagNumber, Tally};
pub use no_place::NoPlace;
pub use notify::Manager;
pub use store::Store;

/// The name under which the manager keeps the memory file.
pub const MEMORY_NAME: &str = "echod-memory";

/// What the names of bags begin with; a number follows.
const BAG_PREFIX: &str = "echod-bag-";
