//! What is fuzzed: one function for each kind of text or memory that comes from
//! elsewhere. Each takes any bytes, and panics if what the program makes of them
//! is not what a plainer account of the same says.
//!
//! Built twice: with libFuzzer by `tests/fuzz/run`, and without by
//! `tests/corpus.rs`, which replays what was found.

mod address;
mod bag;
mod core;
mod datagrams;
mod descriptors;
mod desk;
mod environment;
mod input;
mod line;
mod memory;
mod meters;
mod talk;

/// Takes any bytes, and panics if anything is wrong.
pub type Target = fn(&[u8]);

/// Every target, with the name of its corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("address", address::run),
    ("bag", bag::run),
    ("core", core::run),
    ("datagrams", datagrams::run),
    ("descriptors", descriptors::run),
    ("environment", environment::run),
    ("line", line::run),
    ("memory", memory::run),
    ("meters", meters::run),
];
