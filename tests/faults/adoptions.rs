//! Calls that fail while a daemon starts and goes on with what another left. It
//! may give up then, but only as a whole: the manager starts the next, which finds
//! everything.

use crate::fault::{Fault, Tally, ask, fail};
use crate::stage::{Stage, Talker};
use crate::support::manager::Manager;
use crate::tracer::Pace;
use echod::echo::Protocol;

/// What a start asks the kernel for, but for memory, without which nothing starts.
const CALLS: [i64; 14] = [
    libc::SYS_recvmsg,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_eventfd2,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_prlimit64,
];

fn is_ready(manager: &Manager) -> bool {
    manager.wait("anything", |known| {
        Some(known.present().any(|heard| heard.value("READY") == Some("1")))
    })
}

/// What became of one start.
#[derive(Default)]
struct Starts {
    tally: Tally,
    given_up: u64,
    lost: u64,
}

fn newcomer(stage: &mut Stage, protocol: Protocol) -> Talker {
    let mut talker = stage.talker(protocol, false);
    talker.may_be_cut();
    ask(stage, std::slice::from_mut(&mut talker));
    talker
}

/// One start, in which the call with that number fails. Whether there was one.
fn start(
    stage: &mut Stage,
    talkers: &mut [Talker],
    fault: Fault,
    number: u64,
    starts: &mut Starts,
) -> bool {
    stage.kill();
    for talker in &mut *talkers {
        talker.say_message("are you still there?");
    }
    let is_here = fail(stage, fault, number, || talkers.iter_mut().all(Talker::is_content));
    // It may give up at once, or once it has told everybody that it is there.
    loop {
        let manager = &stage.manager;
        let is_over = || is_ready(manager) && talkers.iter_mut().all(Talker::is_content);
        stage.tracee.as_mut().expect("it lives").walk(Pace::Freely, is_over, |_| false);
        if !stage.tracee().has_ended() {
            break;
        }
        starts.given_up += 1;
        stage.kill();
    }
    if is_here {
        starts.tally.count(fault);
    }
    let mut lost = 0;
    for talker in talkers.iter_mut().filter(|talker| talker.broken.is_some()) {
        // Its own, and no other's.
        let is_its = matches!(fault.call, libc::SYS_epoll_ctl | libc::SYS_sendto);
        lost += 1;
        assert!(is_here && is_its && lost == 1, "{fault}, number {number}: {}", talker.account());
        starts.lost += 1;
        *talker = newcomer(stage, talker.protocol);
    }
    is_here
}

#[test]
fn whatever_fails_in_a_start_nobody_is_misread_and_nobody_waits_for_ever() {
    let mut stage = Stage::set(&[]);
    let mut talkers: Vec<_> =
        Protocol::ALL.into_iter().map(|protocol| newcomer(&mut stage, protocol)).collect();
    let mut starts = Starts::default();
    for call in CALLS {
        let fault = Fault { call, errno: libc::ENOMEM };
        for number in 0.. {
            if !start(&mut stage, &mut talkers, fault, number, &mut starts) {
                break;
            }
        }
        assert!(starts.tally.get(fault) > 0, "{fault}");
    }
    let Starts { tally, given_up, lost } = starts;
    println!("{tally}; {given_up} gave up and the next went on, {lost} conversations reset");
}
