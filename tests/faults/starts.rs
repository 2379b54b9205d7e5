//! Starts for which the machine has no memory: each says so in one line and gives
//! up with a status, and the next goes on with everything.

use crate::fault::{Fault, Tally, ask};
use crate::lives::Lives;
use crate::stage::{Stage, Talker};
use crate::stuck::Stuck;
use crate::support::peer::{connect, echo_all};
use crate::tracer::{Pace, Stop};
use echod::echo::Protocol;
use rustix::process::Signal;
use std::collections::BTreeMap;

/// `EX_OSERR` of sysexits.h.
const NO_MORE: i32 = 71;

/// Whether this begins the call that is meant: of those that the loader makes as
/// well only the daemon's own.
fn is_own(call: i64, stop: Stop) -> bool {
    /// Larger than any library.
    const MEMORY_FILE: u64 = 64 << 20;
    /// What is read of a memory file before it is mapped.
    const HEAD: u64 = 12;
    /// What asks for a file's seals.
    const GET_SEALS: u64 = 1_034;
    let Stop::Entry { call: begun, arguments: [_, second, third, ..] } = stop else { return false };
    let is_own = match call {
        libc::SYS_mmap => second > MEMORY_FILE,
        libc::SYS_pread64 => third == HEAD,
        libc::SYS_fcntl => second == GET_SEALS,
        _ => true,
    };
    begun == call && is_own
}

/// A start that gives up because the first such call fails: its only line.
fn give_up(stage: &mut Stage, fault: Fault) -> String {
    let before = stage.manager.stderr().len();
    let is_here = stage.tracee().walk(Pace::ToNextCall, || false, |stop| is_own(fault.call, stop));
    assert!(is_here, "{fault}: no start does without");
    stage.tracee().fail(fault.errno);
    let walked = stage.tracee().walk(Pace::Freely, || false, |_| false);
    assert!(!walked && stage.tracee().has_ended());
    stage.kill();
    let lines = stage.manager.stderr().split_off(before);
    assert_eq!(stage.status.and_then(|status| status.code()), Some(NO_MORE), "{fault}: {lines:?}");
    let [line] = &lines[..] else { panic!("{fault}: {lines:#?}") };
    assert!(line.starts_with("echod: cannot "), "{fault}: {line}");
    println!("{fault}: {line}");
    line.clone()
}

#[test]
fn a_start_without_memory_says_so_and_the_next_goes_on_with_everything() {
    let mut stage = Stage::set(&[]);
    let mut talkers = Vec::new();
    let mut tally = Tally::default();
    // The first of all has to make the memory file. Who has come by then waits.
    for call in [libc::SYS_memfd_create, libc::SYS_ftruncate, libc::SYS_mmap] {
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE] {
            let fault = Fault { call, errno };
            let mut talker = stage.talker(Protocol::Line, false);
            talker.say_message("is anybody there?");
            talkers.push(talker);
            assert!(give_up(&mut stage, fault).contains("memory file"));
            tally.count(fault);
        }
    }
    stage.run("answers", || talkers.iter_mut().all(Talker::is_content));
    talkers.extend(Protocol::ALL.map(|protocol| stage.talker(protocol, false)));
    let mut stuck = stage.talker(Protocol::Rfc862, true);
    stuck.say_message(&"and many a word, too many to be heard at once; ".repeat(400));
    ask(&mut stage, &mut talkers);
    for call in [
        libc::SYS_fcntl,
        libc::SYS_pread64,
        libc::SYS_mmap,
        libc::SYS_clone3,
        libc::SYS_epoll_create1,
        libc::SYS_eventfd2,
    ] {
        for errno in [libc::ENOMEM, libc::EMFILE] {
            let fault = Fault { call, errno };
            stage.kill();
            for talker in &mut talkers {
                talker.say_message("are you still there?");
            }
            give_up(&mut stage, fault);
            tally.count(fault);
            stage.run("answers", || talkers.iter_mut().all(Talker::is_content));
        }
    }
    talkers.push(stuck);
    stage.run("every answer", || talkers.iter_mut().all(Talker::is_content));
    for talker in &talkers {
        assert!(talker.broken.is_none(), "{}: {:?}", talker.account(), talker.broken);
    }
    println!("{tally}; {} conversations, of which none was lost", talkers.len());
}

/// How a start ended that may use no more than so many MiB of addresses; none if
/// it serves.
fn end_of(lives: &mut Lives, mebibytes: u64) -> Option<(Option<i32>, Vec<String>)> {
    lives.manager.kill(Signal::KILL);
    let before = lives.manager.stderr().len();
    lives.start(&format!("ulimit -v {}", mebibytes << 10));
    let is_ready = lives.manager.wait("READY=1 or the end", |known| {
        let is_ready = known.present().any(|heard| heard.value("READY") == Some("1"));
        (is_ready || known.silent >= known.life).then_some(is_ready)
    });
    if is_ready {
        return None;
    }
    let status = lives.manager.wait_exit();
    Some((status.code(), lives.manager.stderr().split_off(before)))
}

#[test]
fn with_too_few_addresses_a_start_gives_up_and_the_next_goes_on_with_everything() {
    let mut lives = Lives::new();
    let address = lives.manager.listen_tcp("rfc862");
    lives.begin(&["--record-rate=0"]);
    let mut peers: Vec<_> = (0..50).map(|_| connect(address)).collect();
    echo_all(&mut peers, b"hello");
    let stuck = Stuck::at(address);
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let (mut starts, mut gave_up) = (0, 0);
    for mebibytes in (8..400).step_by(8) {
        starts += 1;
        let Some((code, told)) = end_of(&mut lives, mebibytes) else {
            echo_all(&mut peers, b"still here");
            *ends.entry("it serves".to_owned()).or_default() += 1;
            continue;
        };
        // Before main() it is the loader who speaks, and then the allocator.
        if code == Some(NO_MORE) {
            assert!(told.len() == 1 && told[0].starts_with("echod: cannot "), "{told:#?}");
            gave_up += 1;
        }
        assert!(!told.is_empty(), "{mebibytes} MiB: it ended with {code:?} and no word");
        *ends.entry(format!("{code:?}, {}", told[0])).or_default() += 1;
        lives.start("");
        lives.manager.wait_ready();
        echo_all(&mut peers, b"still here");
    }
    println!("{starts} starts: {ends:#?}");
    assert!(gave_up > 0 && ends.contains_key("it serves"));
    let said = stuck.hear();
    println!("{} conversations, of which none was lost; {said} bytes were owed", peers.len() + 1);
}
