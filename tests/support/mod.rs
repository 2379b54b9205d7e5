//! What the tests of the real binary share.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses a part")]

pub mod alone;
pub mod child;
pub mod daemon;
pub mod isolated;
pub mod journal;
pub mod manager;
mod notify;
pub mod peer;
pub mod pinging;
pub mod skip;
