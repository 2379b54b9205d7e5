//! The client: it sends messages to an echo server and proves that they come
//! back as they were sent.
//!
//! It stands beside the daemon and shares only words, numbers and sockets with
//! it. What decides is pure here too: `payload` says what is sent and must come
//! back, `reader` and `datagram` find the answers in what comes, `book` knows
//! what became of each message, `tally` counts and `verdict` judges.

mod book;
mod crc;
mod datagram;
mod event;
mod heard;
mod matching;
mod options;
mod pace;
mod pacer;
mod payload;
mod plan;
mod reach;
mod reader;
mod run;
mod screen;
mod summary;
mod talk;
mod tally;
mod target;
mod verdict;
mod wire;

pub use options::command;

use crate::cli::{ExitStatus, Stop};
use std::ffi::OsString;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// Does what the command line says, its first word the program's name, and
/// returns the exit status: 0 all came back, 1 loss, 2 corruption, 3 never
/// connected, 64 wrong usage, 71 the system has no more of something.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let plan = match options::parse(args) {
        Ok(plan) => plan,
        Err(Stop::Usage(line)) => {
            screen::complain(&line);
            return ExitStatus::Usage.into();
        }
        Err(stop @ Stop::Say(_)) => return stop.end().into(),
    };
    let verdict = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| LocalSet::new().block_on(&runtime, run::run(plan)));
    match verdict {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            screen::complain(&format!("cannot run: {}", reach::reason(&error)));
            ExitStatus::OsError.into()
        }
    }
}
