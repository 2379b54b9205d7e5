//! Descriptors run out. Their limit is one for the whole process, so this happens in
//! another: the same test, started again.

use super::full::Door;
use super::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::Command;

const TEST: &str =
    "serve::tests::shortage::who_waits_for_a_descriptor_is_accepted_once_a_conversation_ends";
const INSIDE: &str = "ECHO_TEST_INSIDE";

#[test]
fn who_waits_for_a_descriptor_is_accepted_once_a_conversation_ends() {
    if std::env::var_os(INSIDE).is_some() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build();
        return runtime.expect("there are descriptors yet").block_on(run_out());
    }
    let mut again = Command::new(std::env::current_exe().expect("we run"));
    let again = again.args(["--exact", TEST]).env(INSIDE, "").output().expect("it has just run");
    let said = String::from_utf8_lossy(&again.stdout);
    // A test that is not there succeeds.
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}

async fn run_out() {
    open(&config());
    let door = Door::open();
    let mut first = door.comer().await;
    first.hears(b"hello").await;
    let mut taken = take_all();
    // For the other end of who comes.
    drop(taken.pop());
    let mut second = door.comer().await;
    // Long enough for the longest pause, which ends half a second later.
    tokio::time::sleep(seconds(10)).await;
    second.is_open();
    drop(first);
    second.hears(b"hello").await;
    // Nobody says when another process closes something: that is found by itself.
    let came = Instant::now();
    // Its other end has the descriptor that the first one's had.
    let mut third = door.comer().await;
    drop(taken.pop());
    until(came + Duration::from_millis(100), || third.is_open()).await;
    third.hears(b"hello").await;
}

/// All descriptors that there are.
fn take_all() -> Vec<UnixStream> {
    let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("less is always allowed");
    let (one, _) = UnixStream::pair().expect("there are descriptors yet");
    let mut taken = vec![one];
    while let Ok(another) = taken[0].try_clone() {
        taken.push(another);
    }
    taken
}
