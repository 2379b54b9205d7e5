//! echod says back what it hears, over TCP, UDP and Unix sockets.
//!
//! The modules are the floors of a house; each uses only those below it:
//!
//! ```text
//! main → daemon → serve → { cli  report  socket  systemd  keep } → config → { echo  endpoint  conversation }
//!        life     work      operator journal kernel manager successor numbers      words
//! ```
//!
//! The client is a house beside it, on the same ground:
//!
//! ```text
//! echo-ping → ping → { cli  socket } → config → { echo  endpoint  conversation }
//! ```

pub mod cli;
pub mod config;
pub mod conversation;
pub mod daemon;
pub mod echo;
pub mod endpoint;
pub mod keep;
pub mod ping;
pub mod report;
pub mod serve;
pub mod socket;
pub mod systemd;
