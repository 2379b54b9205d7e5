//! Peers that check every byte: what they hear is compared with what their
//! protocol owes them for what they said. Nothing may be lost, doubled or
//! reordered, and no conversation may be reset, whatever happens to the daemon.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod crowd;
pub mod peer;
pub mod place;
pub mod successor;
pub mod text;
