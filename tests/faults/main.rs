//! What the outside world does to a daemon when it fails: a call that the kernel
//! refuses, at the first occurrence, at the second and so on; a start for which there
//! is no memory; notes that are damaged or full; clocks that jump; a manager that is
//! gone; a process that is stopped. The daemon lives, other conversations notice
//! nothing, and no answer is cut but by a reset.
//!
//! Elsewhere: descriptors that run out and places that do (`streams/limits.rs`,
//! `manager.rs`), a store that is full and memory that is damaged (`legacy.rs`), a
//! journal that is absent, full or starts again (`records.rs`,
//! `streams/journal.rs`), networks and firewalls that refuse a datagram
//! (`datagrams_net.rs`), a watchdog while the process is stopped
//! (`streams/managed.rs`).
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

#[path = "../ordeal/mod.rs"]
mod ordeal;
#[path = "../peers/mod.rs"]
mod peers;
#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tracer/mod.rs"]
mod tracer;

mod adoptions;
mod clocks;
mod datagrams;
mod fault;
mod lives;
mod memory;
mod starts;
mod streams;
mod stuck;
mod world;
