//! Streams on the real daemon: what strangers may do to it, and what the others
//! notice of that, which is nothing.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

#[path = "../support/mod.rs"]
mod support;

mod journal;
mod limits;
mod listening;
mod managed;
mod many;
mod rude;
mod signals;
mod slow;
