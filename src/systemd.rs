//! The service manager: what it hands over at the start ([`inherit`]), what it
//! is told ([`Manager`]), and what it keeps for the next process.
//!
//! Nothing here knows what a conversation is: connections go into the store
//! with three numbers, and come back with them. Nothing here writes a record.
//! A manager that is slow, gone, or was never there ends and delays nothing.
#![allow(
    unsafe_code,
    reason = "descriptors arrive as numbers, and rustix cannot peek from an offset"
)]

#[cfg(test)]
mod environment;
mod inherit;
mod notify;

pub use inherit::{Hand, InheritError, Inherited, inherit};
pub use notify::Manager;

/// The name under which the manager keeps the memory file.
pub const MEMORY_NAME: &str = "echod-memory";

/// The name under which the manager keeps the bag of this number.
fn bag_name(number: u32) -> String {
    format!("{BAG_PREFIX}{number}")
}

const BAG_PREFIX: &str = "echod-bag-";
