//! Killed at every system call's entry and exit, in turns and in adoption, and
//! behind every store into the memory file, the daemon loses nothing.
//!
//! It is long because turns and adoptions are stepped through on one stage.

mod ordeal;
mod peers;
mod stage;
mod support;
mod tracer;

use echod::echo::Protocol;
use peers::place::Family;
use peers::successor::{Found, Row};
use peers::text::{Random, SUFFIX};
use stage::acts::{ACTS, Act, long_message, many, many_lines};
use stage::{Count, Stage, Talker};
use std::cell::{Cell, RefCell};
use support::skip::has_mptcp;
use tracer::{Pace, Stop};

/// Does one act again and again, and kills the daemon at one stop later each
/// time, until it has done with the act before.
fn step_through(stage: &mut Stage, act: &Act) -> u64 {
    for number in 0.. {
        let mut talker = stage.talker(act.protocol, act.small);
        talker.say_message("hello");
        stage.run(act.name, || talker.is_content());
        if act.small {
            stuff(stage, &mut talker);
        }
        stage.tracee().interrupt();
        perform(stage, act, &mut talker);
        let count = Count::default();
        let tracee = stage.tracee.as_mut().expect("it lives");
        let is_here = tracee.walk(
            Pace::ToNextCall,
            || count.waits() && talker.is_content(),
            |stop| count.is_at(number, stop),
        );
        if !is_here {
            stage.run(act.name, || talker.is_content());
            return number;
        }
        stage.kill();
        stage.run(act.name, || talker.is_content());
        assert!(talker.broken.is_none(), "{}", talker.account());
    }
    unreachable!("no act has so many stops")
}

/// Gives a peer that does not listen so much that little more goes: of a Unix
/// socket only the sender's buffer is asked, which is as large as by default.
fn stuff(stage: &mut Stage, talker: &mut Talker) {
    const LONG: usize = 15_000;
    while stage.family() == Family::Unix && talker.audible() < 160_000 {
        let before = talker.audible();
        talker.say_message(&many("x", LONG));
        stage.run("stuffing", || talker.audible() >= before + LONG as u64);
    }
}

/// Does an act; often enough for a peer that was stuffed.
fn perform(stage: &Stage, act: &Act, talker: &mut Talker) {
    let times = if act.small && stage.family() == Family::Unix { 3 } else { 1 };
    for _ in 0..times {
        (act.does)(talker);
    }
}

fn step_through_acts(family: Family) {
    let mut stage = Stage::set_over(family, &[]);
    for act in ACTS {
        let stops = step_through(&mut stage, act);
        println!("{:?}: {}: killed at {stops} stops", act.protocol, act.name);
        assert!(stops > 0, "{}", act.name);
    }
    println!("{} kills; found: {}", stage.kills, stage.rows);
    for row in [Row::Taken, Row::Given, Row::PartlyGiven, Row::Stuck] {
        assert!(stage.rows.count(row) > 0, "nobody was found in row {row:?}");
    }
}

#[test]
fn a_kill_at_any_call_of_a_turn_loses_nothing() {
    step_through_acts(Family::Tcp);
}

#[test]
fn a_kill_at_any_call_of_a_turn_loses_nothing_over_unix_sockets() {
    step_through_acts(Family::Unix);
}

#[test]
fn a_kill_at_any_call_of_a_turn_loses_nothing_over_multipath_tcp() {
    if has_mptcp() {
        step_through_acts(Family::Mptcp);
    }
}

#[test]
fn a_kill_at_any_call_of_an_accept_loses_nothing_that_was_answered() {
    let mut stage = Stage::set(&[]);
    let mut gaps = 0;
    for number in 0.. {
        // The first in each life get their options one by one.
        let mut first = stage.talker(Protocol::Line, false);
        first.say_message("first");
        stage.run("the first", || first.is_content());
        stage.tracee().interrupt();
        let mut talker = stage.talker(Protocol::Line, false);
        talker.say_message("hello");
        let count = Count::default();
        let tracee = stage.tracee.as_mut().expect("it lives");
        let is_here = tracee.walk(
            Pace::ToNextCall,
            || count.waits() && talker.is_content(),
            |stop| count.is_at(number, stop),
        );
        if !is_here {
            break;
        }
        stage.kill();
        // A peer that was lost in the gap has not heard a byte, or this panics.
        stage.run("an answer", || talker.is_content());
        gaps += u64::from(talker.broken.is_some());
    }
    println!("{} kills, {gaps} in the gap; found: {}", stage.kills, stage.rows);
    assert!(gaps > 0 && gaps < stage.kills / 2, "the gap is only between accept and bag");
}

/// Those who are in every state that an adoption knows, as long as nobody lets
/// them out of it.
fn everybody(stage: &mut Stage) -> Vec<Talker> {
    let mut talkers = Vec::new();
    for protocol in Protocol::ALL {
        let mut idle = stage.talker(protocol, false);
        idle.say_message("hello");
        talkers.push(idle);
        let mut stuck = stage.talker(protocol, true);
        stuck.say_message("hello");
        talkers.push(stuck);
    }
    let mut held_back = stage.talker(Protocol::Line, false);
    held_back.say_message("hello");
    talkers.push(held_back);
    stage.run("hellos", || talkers.iter_mut().all(Talker::is_content));
    talkers
}

#[test]
fn a_kill_at_any_call_of_an_adoption_loses_nothing() {
    step_through_adoption(Family::Tcp);
}

#[test]
fn a_kill_at_any_call_of_an_adoption_loses_nothing_over_unix_sockets() {
    step_through_adoption(Family::Unix);
}

fn step_through_adoption(family: Family) {
    let mut stage = Stage::set_over(family, &[]);
    let mut talkers = everybody(&mut stage);
    for place in [1, 3, 5] {
        stuff(&mut stage, &mut talkers[place]);
    }
    for (place, talker) in talkers.iter_mut().enumerate() {
        match (place, talker.protocol) {
            (6, _) => talker.say(b"exi", b""),
            // They do not listen for now.
            (1 | 3 | 5, _) if family == Family::Unix => {
                // More than the kernel takes of a Unix socket in one piece.
                talker.say_message(&many("x", 60_000));
                talker.say_message(&many("x", 60_000));
            }
            (1 | 3 | 5, Protocol::Line) => {
                for _ in 0..4 {
                    many_lines(talker);
                }
            }
            (1 | 3 | 5, _) => long_message(talker),
            _ => {}
        }
    }
    let mut ends = 0;
    for number in 0.. {
        // Of each protocol in turn, before anything was given or behind all. The
        // life in which it comes to that gets everybody past the last death, and
        // the store rid of the bag that each death leaves.
        let place = usize::try_from(number % 3).expect("below 3") * 2;
        let talker = &mut talkers[place];
        suspect(&mut stage, talker, number % 2 == 0);
        // Now the adoption, call by call, from the first word to the manager on:
        // before, it has touched nothing.
        let is_word = |stop: Stop| matches!(stop, Stop::Entry { call, .. } if is_send(call));
        assert!(stage.tracee().walk(Pace::ToNextCall, || false, is_word));
        let count = Count::default();
        let tracee = stage.tracee.as_mut().expect("it lives");
        let is_here = tracee.walk(
            Pace::ToNextCall,
            || count.waits() && talker.is_content(),
            |stop| count.is_at(number, stop),
        );
        if !is_here {
            ends = number;
            break;
        }
        stage.kill();
        stage.run("the suspect's answer", || talker.is_content());
    }
    println!("{ends} stops, {} kills; found: {}", stage.kills, stage.rows);
    talkers[6].say(b"le\n", format!("exile{SUFFIX}\n").as_bytes());
    stage.run("everybody's answers", || talkers.iter_mut().all(Talker::is_content));
    for talker in &mut talkers {
        talker.end(b"", b"");
    }
    stage.run("everybody's ends", || talkers.iter_mut().all(Talker::is_content));
    assert!(talkers.iter().all(|talker| talker.broken.is_none()));
    for row in [Row::Idle, Row::Taken, Row::Given, Row::Stuck, Row::HeldBack] {
        assert!(stage.rows.count(row) > 0, "nobody was found in row {row:?}");
    }
}

/// Leaves a conversation in its turn: just before or just behind its send.
fn suspect(stage: &mut Stage, talker: &mut Talker, before: bool) {
    let is_here = |stop: Stop| match stop {
        Stop::Entry { call, .. } => before && is_send(call),
        Stop::Exit { call, result } => !before && is_send(call) && result > 0,
        Stop::Instruction => false,
    };
    // It may be another's send, whose answer was stuck.
    let is_due = |found: &Found| matches!(found.row, Row::Taken | Row::Given);
    loop {
        stage.run("the answer before", || talker.is_content());
        stage.tracee().interrupt();
        talker.say_message("a suspect's message");
        assert!(stage.tracee().walk(Pace::ToNextCall, || false, is_here));
        if stage.kill().iter().any(is_due) {
            return;
        }
    }
}

fn is_send(call: i64) -> bool {
    matches!(call, libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg)
}

/// Lets the daemon go on until it has stored so many words and one more; false if
/// it slept, and the peer had all it was owed, before.
fn walk_to_store(stage: &mut Stage, number: u64, talker: &mut Talker) -> bool {
    let watch = stage.watch();
    let (count, before) = (Cell::new(0), RefCell::new(watch.look()));
    let asleep = stage.tracee().sleep();
    stage.tracee().walk(
        Pace::OneInstruction,
        || asleep.is_there() && talker.is_content(),
        |_| {
            let now = watch.look();
            let changed = now != *before.borrow();
            *before.borrow_mut() = now;
            count.set(count.get() + u64::from(changed));
            count.get() > number
        },
    )
}

/// Kills behind each store into the memory file that an act makes the daemon do:
/// what lies between two stores or calls leaves nothing behind.
fn step_through_stores(stage: &mut Stage, act: &Act) -> u64 {
    for number in 0.. {
        let mut talker = stage.talker(act.protocol, act.small);
        talker.say_message("hello");
        stage.run(act.name, || talker.is_content());
        stage.tracee().interrupt();
        (act.does)(&mut talker);
        let is_here = walk_to_store(stage, number, &mut talker);
        if !is_here {
            stage.run(act.name, || talker.is_content());
            return number;
        }
        stage.kill();
        stage.run(act.name, || talker.is_content());
        assert!(talker.broken.is_none(), "{}", talker.account());
    }
    unreachable!("no act has so many stores")
}

#[test]
fn a_kill_behind_any_store_of_a_turn_loses_nothing() {
    step_through_stores_of(Family::Tcp);
}

#[test]
fn a_kill_behind_any_store_of_a_turn_loses_nothing_over_unix_sockets() {
    step_through_stores_of(Family::Unix);
}

fn step_through_stores_of(family: Family) {
    let mut stage = Stage::set_over(family, &[]);
    for act in ACTS.iter().filter(|act| !act.small) {
        let stores = step_through_stores(&mut stage, act);
        println!("{:?}: {}: killed behind {stores} stores", act.protocol, act.name);
    }
    println!("{} kills; found: {}", stage.kills, stage.rows);
    for row in [Row::HalfNoted, Row::ExitNoted, Row::Farewell] {
        assert!(stage.rows.count(row) > 0, "nobody was found in row {row:?}");
    }
}

/// The meter of a slot may be about the conversation that has its turn there, and
/// tell of one long ago: between them, others held that slot and its meter not.
#[test]
fn what_a_meter_says_of_long_ago_is_not_believed() {
    let mut stage = Stage::set_over_all(&[Family::Unix, Family::Tcp], &[], |_| {});
    let mut times = 0;
    for number in 0.. {
        let mut talker = stage.talker(Protocol::Rfc862, false);
        let first = greet_until(&mut stage, &mut talker, |_| true);
        let mut holder = stage.talker_over(Family::Tcp, Protocol::Rfc862, true);
        long_message(&mut holder);
        let second = greet_until(&mut stage, &mut talker, |slot| slot != first);
        stage.run("the first slot is free", || holder.is_content());
        let mut next = stage.talker_over(Family::Tcp, Protocol::Rfc862, true);
        long_message(&mut next);
        // The last turn in the second slot has to be the talker's own.
        let mut other = stage.talker_over(Family::Tcp, Protocol::Rfc862, false);
        other.say_message("in the first slot again");
        stage.run("somebody else", || other.is_content());

        stage.tracee().interrupt();
        talker.say_message("hello");
        let is_here = walk_to_store(&mut stage, number, &mut talker);
        if is_here {
            stage.kill();
        }
        stage.run("hello", || talker.is_content() && next.is_content());
        assert!(talker.broken.is_none(), "{}", talker.account());
        times += u64::from(stage.watch().eldest_slot() == first && first != second);
        for mut peer in [talker, holder, next, other] {
            peer.end(b"", b"");
            stage.run("an end", || peer.is_content());
        }
        if !is_here {
            break;
        }
    }
    println!("{} kills, {times} times in a slot of long ago", stage.kills);
    assert!(times > 0, "no slot came back");
}

/// Says a word until its answer came by such a slot; which one.
fn greet_until(stage: &mut Stage, talker: &mut Talker, is_it: impl Fn(u32) -> bool) -> u32 {
    for _ in 0..100 {
        talker.say_message("hello");
        stage.run("a greeting", || talker.is_content());
        let slot = stage.watch().eldest_slot();
        if is_it(slot) {
            return slot;
        }
    }
    panic!("the slot stays");
}

/// `ECHOD_TEST_STEPS` sets how many kills there are in each act, and how many in
/// adoption, each after some number of single instructions.
fn steps() -> u64 {
    let steps = std::env::var("ECHOD_TEST_STEPS").ok();
    steps.map_or(2, |steps| steps.parse().expect("it is a number"))
}

/// Lets the daemon do so many instructions; false if it slept, or had done with
/// what is to be done, before. How many it did.
fn walk(stage: &mut Stage, most: u64, mut is_done: impl FnMut() -> bool) -> (bool, u64) {
    let done = Cell::new(0);
    let asleep = stage.tracee().sleep();
    let is_here = stage.tracee().walk(
        Pace::OneInstruction,
        || asleep.is_there() && is_done(),
        |_| {
            done.set(done.get() + 1);
            done.get() >= most
        },
    );
    (is_here, done.get())
}

#[test]
fn a_kill_after_any_instruction_of_a_turn_loses_nothing() {
    step_through_instructions(Family::Tcp);
}

#[test]
fn a_kill_after_any_instruction_of_a_turn_loses_nothing_over_unix_sockets() {
    step_through_instructions(Family::Unix);
}

fn step_through_instructions(family: Family) {
    let mut random = Random::new(steps());
    let mut stage = Stage::set_over(family, &[]);
    for act in ACTS.iter().filter(|act| !act.small) {
        let mut length = u64::MAX;
        for _ in 0..=steps() {
            let mut talker = stage.talker(act.protocol, act.small);
            talker.say_message("hello");
            stage.run(act.name, || talker.is_content());
            stage.tracee().interrupt();
            (act.does)(&mut talker);
            // The first time it is let go to its end.
            let most = if length == u64::MAX { length } else { 1 + random.below(length) };
            let (is_here, done) = walk(&mut stage, most, || talker.is_content());
            if is_here {
                stage.kill();
            } else {
                length = done;
            }
            stage.run(act.name, || talker.is_content());
            assert!(talker.broken.is_none(), "{}", talker.account());
        }
        println!("{:?}: {}: {length} instructions", act.protocol, act.name);
    }
    println!("{} kills; found: {}", stage.kills, stage.rows);
}

#[test]
fn a_kill_after_any_instruction_of_an_adoption_loses_nothing() {
    /// About as many as there are to the last suspect's answer.
    const LENGTH: u64 = 300_000;
    let mut random = Random::new(steps() + 1);
    let mut stage = Stage::set(&[]);
    let mut talkers = everybody(&mut stage);
    many_lines(&mut talkers[3]);
    long_message(&mut talkers[5]);
    for number in 0..=steps() {
        let place = usize::try_from(number % 3).expect("below 3") * 2;
        suspect(&mut stage, &mut talkers[place], number % 2 == 0);
        // Up to the first look into a bag nothing is touched.
        let peek = |stop: Stop| matches!(stop, Stop::Exit { call: libc::SYS_recvmsg, .. });
        assert!(stage.tracee().walk(Pace::ToNextCall, || false, peek));
        let talker = &mut talkers[place];
        let (is_here, _) = walk(&mut stage, 1 + random.below(LENGTH), || talker.is_content());
        if is_here {
            stage.kill();
        }
        stage.run("the answer of the suspect", || talkers[place].is_content());
    }
    println!("{} kills; found: {}", stage.kills, stage.rows);
    stage.run("everybody's answers", || talkers.iter_mut().all(Talker::is_content));
}

#[test]
fn a_kill_at_any_call_of_a_move_between_bags_loses_nothing() {
    let mut stage = Stage::set(&[]);
    // Half of it is what may lie in bags before the dead are too many.
    stage.manager.descriptors_max(128);
    stage.kill();
    let (mut ends, mut moved) = (0, 0);
    for number in 0.. {
        let mut talkers: Vec<_> = (0..6).map(|_| stage.talker(Protocol::Line, false)).collect();
        greet(&mut stage, &mut talkers);
        for _ in 0..2 {
            let mut visitors: Vec<_> =
                (0..40).map(|_| stage.talker(Protocol::Line, false)).collect();
            greet(&mut stage, &mut visitors);
            for visitor in &mut visitors {
                visitor.end(b"", b"");
            }
            stage.run("the visitors' ends", || visitors.iter_mut().all(Talker::is_content));
        }
        // Only a predecessor's bag, or a full one, is emptied.
        stage.kill();
        let mut last = stage.talker(Protocol::Line, false);
        greet(&mut stage, std::slice::from_mut(&mut last));
        stage.tracee().interrupt();
        last.end(b"", b"");
        let count = Count::default();
        let before = stage.manager.stored();
        let asleep = stage.tracee().sleep();
        let manager = RefCell::new(&mut stage.manager);
        let is_here = stage.tracee.as_mut().expect("it lives").walk(
            Pace::ToNextCall,
            || asleep.is_there() && last.is_content() && manager.borrow_mut().stored() != before,
            |stop| count.is_at(number, stop),
        );
        moved += u64::from(stage.manager.stored() != before);
        if is_here {
            stage.kill();
        }
        stage.run("the last visitor's end", || last.is_content());
        greet(&mut stage, &mut talkers);
        for talker in &mut talkers {
            talker.end(b"", b"");
        }
        stage.run("their ends", || talkers.iter_mut().all(Talker::is_content));
        if !is_here {
            ends = number;
            break;
        }
    }
    println!("{ends} stops, {moved} behind the move, {} kills; found: {}", stage.kills, stage.rows);
    assert!(moved > 1, "nothing was moved");
}

fn greet(stage: &mut Stage, talkers: &mut [Talker]) {
    for talker in &mut *talkers {
        talker.say_message("hello");
    }
    stage.run("hellos", || talkers.iter_mut().all(Talker::is_content));
}
