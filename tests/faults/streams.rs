//! Calls that fail while a connection is accepted and while it is served.

use crate::fault::{
    Fault, Tally, ask, bystanders, fail, header, open_but_bags, wait_living, wait_open,
};
use crate::stage::acts::{ACTS, Act};
use crate::stage::{Stage, Talker};
use crate::tracer::EPOLL_WAIT;
use echod::echo::Protocol;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What passes: descriptors or memory ran out, of the process or of the machine.
const SHORTAGES: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// What the kernel says of a connection that ended in the queue.
const SKIPPED: [i32; 7] = [
    libc::ECONNABORTED,
    libc::EPROTO,
    libc::EPERM,
    libc::ENETDOWN,
    libc::EHOSTUNREACH,
    libc::ETIMEDOUT,
    libc::EINTR,
];

/// What ends a connection, and what a kernel short of memory might say.
const ENDS: [i32; 7] = [
    libc::ECONNRESET,
    libc::ETIMEDOUT,
    libc::EPIPE,
    libc::EIO,
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::EHOSTUNREACH,
];

/// For so long nothing is put into the store after it refused something.
const REST: Duration = Duration::from_secs(1);

/// Three that come at once and say hello, while the call with that number fails.
/// Whether it did.
fn come(stage: &mut Stage, fault: Fault, number: u64, may_be_cut: bool) -> Option<Vec<Talker>> {
    stage.tracee().interrupt();
    let mut talkers: Vec<_> = Protocol::ALL.map(|protocol| stage.talker(protocol, false)).into();
    for talker in &mut talkers {
        if may_be_cut {
            talker.may_be_cut();
        }
        talker.say_message("hello");
    }
    let is_here = fail(stage, fault, number, || talkers.iter_mut().all(Talker::is_content));
    stage.run("their answers", || talkers.iter_mut().all(Talker::is_content));
    is_here.then_some(talkers)
}

#[test]
fn whatever_accept_says_who_waits_is_served_and_the_others_notice_nothing() {
    let mut stage = Stage::set(&[]);
    let mut others = bystanders(&mut stage);
    let before = open_but_bags(&mut stage);
    let mut tally = Tally::default();
    for fault in Fault::all(&[libc::SYS_accept4], &[&SHORTAGES[..], &SKIPPED].concat()) {
        for number in 0.. {
            let Some(talkers) = come(&mut stage, fault, number, false) else { break };
            tally.count(fault);
            for talker in talkers {
                assert!(talker.broken.is_none(), "{fault}: {}", talker.account());
            }
            ask(&mut stage, &mut others);
            wait_living(&mut stage, others.len());
        }
        assert!(tally.get(fault) >= 3, "{fault}: {}", tally.get(fault));
    }
    println!("{tally}");
    let served = header(&mut stage).served.load(Ordering::Relaxed);
    let rounds = u64::try_from(SHORTAGES.len() + SKIPPED.len()).unwrap() + tally.total();
    // In the last round for each error nothing failed.
    assert_eq!(served, 3 * (1 + rounds), "each is counted once");
    wait_open(&mut stage, before);
}

#[test]
fn what_fails_after_accept_costs_that_connection_at_most() {
    let calls = [
        libc::SYS_epoll_ctl,
        libc::SYS_getsockname,
        libc::SYS_sendmsg,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
    ];
    let mut stage = Stage::set(&[]);
    let mut others = bystanders(&mut stage);
    let before = open_but_bags(&mut stage);
    let (mut tally, mut cut) = (Tally::default(), 0);
    for fault in Fault::all(&calls, &[libc::ENOMEM, libc::ENOBUFS, libc::EINTR]) {
        for number in 0.. {
            let Some(talkers) = come(&mut stage, fault, number, true) else { break };
            tally.count(fault);
            let ended = talkers.iter().filter(|talker| talker.broken.is_some()).count();
            assert!(ended <= 1, "{fault} ended {ended}");
            cut += ended;
            drop(talkers);
            ask(&mut stage, &mut others);
            wait_living(&mut stage, others.len());
            if fault.call == libc::SYS_sendmsg {
                let failed = Instant::now();
                stage.run("the store to have rested", || failed.elapsed() > REST);
            }
        }
        assert!(tally.get(fault) >= 3, "{fault}: {}", tally.get(fault));
    }
    println!("{tally}; {cut} connections lost");
    wait_open(&mut stage, before);
}

/// One act again and again, while one call later fails each time.
fn sweep(stage: &mut Stage, act: &Act, fault: Fault, others: &mut [Talker]) -> (u64, u64) {
    let mut cut = 0;
    for number in 0.. {
        let mut talker = stage.talker(act.protocol, act.small);
        talker.say_message("hello");
        stage.run(act.name, || talker.is_content());
        stage.tracee().interrupt();
        if fault.errno != libc::EINTR {
            talker.may_be_cut();
        }
        (act.does)(&mut talker);
        let is_here = fail(stage, fault, number, || talker.is_content());
        stage.run(act.name, || talker.is_content());
        cut += u64::from(talker.broken.is_some());
        assert!(is_here || talker.broken.is_none(), "{}", talker.account());
        assert!(fault.errno != libc::EINTR || talker.broken.is_none(), "{fault}");
        drop(talker);
        ask(stage, others);
        wait_living(stage, others.len());
        if !is_here {
            return (number, cut);
        }
    }
    unreachable!("no act has so many calls")
}

#[test]
fn a_read_or_a_write_that_fails_at_any_step_ends_that_conversation_at_most() {
    let mut stage = Stage::set(&[]);
    let mut others = bystanders(&mut stage);
    let before = open_but_bags(&mut stage);
    let (mut tally, mut cuts) = (Tally::default(), 0);
    let calls = [libc::SYS_recvfrom, libc::SYS_sendto, libc::SYS_sendmsg];
    let mut faults = Fault::all(&calls, &[&ENDS[..], &[libc::EINTR]].concat());
    faults.extend(Fault::all(&[EPOLL_WAIT], &[libc::EINTR]));
    faults.extend(Fault::all(&[libc::SYS_ioctl, libc::SYS_connect], &[libc::EIO]));
    for act in ACTS {
        for &fault in &faults {
            let (faults, cut) = sweep(&mut stage, act, fault, &mut others);
            (0..faults).for_each(|_| tally.count(fault));
            cuts += cut;
        }
    }
    println!("{tally}; {cuts} conversations ended by a reset");
    for fault in Fault::all(&calls, &ENDS) {
        assert!(tally.get(fault) > 0, "{fault}");
    }
    assert!(cuts > 0 && cuts < tally.total());
    wait_open(&mut stage, before);
}
