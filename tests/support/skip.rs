//! Tests that cannot run on this machine: it is said, and noted in the file named
//! by `ECHOD_TEST_SKIPS`, for libtest counts them among those that passed.

use std::cell::Cell;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// For want of a tool or of a privilege. With `CI=true` nothing may be wanting.
pub fn skip(reason: impl Display) {
    note(&reason);
    assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is skipped: {reason}");
}

/// For want of what another kernel has, which is nobody's fault.
pub fn skip_for_kernel(reason: impl Display) {
    note(&reason);
}

/// Whether this kernel has Multipath TCP; if not, that is noted.
pub fn has_mptcp() -> bool {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    let has = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP)).is_ok();
    if !has {
        skip_for_kernel("this kernel has no Multipath TCP");
    }
    has
}

fn note(reason: &dyn Display) {
    // Each test has a thread of its own, with its name; its first reason will do.
    thread_local!(static IS_NOTED: Cell<bool> = const { Cell::new(false) });
    if IS_NOTED.replace(true) {
        return;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("{test}: {reason}").split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os("ECHOD_TEST_SKIPS") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        // In one piece, since others write there, too.
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("the file of skips can be written");
    }
}
