//! Five hundred peers of every kind at once, for a minute: each knows what it must
//! hear, byte by byte, and how it must end. The daemon stays as it was, whether it
//! is killed every second or not.
//!
//! `ECHOD_TEST_CHAOS` sets for how many seconds, `ECHOD_TEST_SEED` the seed, which
//! is another one in each run.

#[path = "../ordeal/mod.rs"]
mod ordeal;
#[path = "../peers/mod.rs"]
mod peers;
#[path = "../support/mod.rs"]
mod support;

mod datagrams;
mod guests;

use datagrams::{Mail, WRITERS};
use echod::echo::Protocol;
use ordeal::{Ordeal, Scene, stored};
use peers::peer::Seen;
use peers::successor::{Row, Successor};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};
use support::manager::Manager;
use support::peer::{connect, descriptors, echo, half_close, memory, rest, wait_for};

/// What the daemon has before and after. The last conversation may still be on its
/// way out when one looks.
#[derive(Debug, PartialEq, Eq)]
struct Belongings {
    /// What it has open.
    descriptors: Vec<String>,
    /// What lies in the store.
    stored: usize,
}

/// Between two samples of memory, and between two kills.
const ROUND: Duration = Duration::from_secs(1);

/// More than this is growth: the heap rounds up, and a page more or less is in use
/// at the instant of a sample.
const GROWTH_MAX: u64 = 1 << 20;

fn seconds() -> u64 {
    let seconds = std::env::var("ECHOD_TEST_CHAOS").ok();
    seconds.map_or(60, |seconds| seconds.parse().expect("it is a number"))
}

fn seed() -> u64 {
    let seed = std::env::var("ECHOD_TEST_SEED").ok();
    seed.map_or_else(
        || RandomState::new().hash_one(0) >> 32,
        |seed| seed.parse().expect("it is a number"),
    )
}

/// What it has once a visitor has come and gone.
fn belongings(manager: &mut Manager, address: std::net::SocketAddr) -> Belongings {
    let mut visitor = connect(address);
    echo(&mut visitor, b"hello");
    half_close(&visitor);
    rest(&mut visitor);
    drop(visitor);
    // The memory file and the bag that the next connection goes to.
    manager.wait_stored(|names| names.len() == 2);
    let mut successor = Successor::default();
    let stored = stored(manager);
    let memory = successor.memory(&stored).expect("it is in the store");
    wait_for("every record to be free", || {
        let mut records = 0..memory.header().reached();
        records.all(|number| memory.record(number).id().is_none()).then_some(())
    });
    Belongings { descriptors: descriptors(manager.pid()), stored: stored.len() }
}

/// Whether the second half needs more than the first, once everybody is there.
fn assert_flat(samples: &[u64]) {
    let settled = &samples[samples.len() / 6..];
    let (early, late) = settled.split_at(settled.len() / 2);
    let most = |samples: &[u64]| samples.iter().copied().max().expect("there are some");
    println!("memory: at most {} bytes early, {} late", most(early), most(late));
    assert!(most(late) <= most(early) + GROWTH_MAX, "{samples:?}");
}

/// How one sees that there was somebody of each kind.
fn tell(kinds: &BTreeMap<&str, Seen>, counts: &BTreeMap<&str, usize>) {
    for (kind, seen) in kinds {
        println!("{:4} {kind}: {seen:?}", counts[kind]);
    }
}

/// The minute. With `kills` the daemon dies every second.
struct Minute {
    kills: u32,
}

impl Minute {
    fn pass(self) {
        let (seed, seconds) = (seed(), seconds());
        println!("ECHOD_TEST_SEED={seed}, {seconds} s");
        let stall = guests::STALL.as_secs().to_string() + "s";
        let mut scene = Scene::new(&["--stall-timeout", &stall]);
        let plans = guests::plans(&mut scene);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        plans.iter().for_each(|plan| *counts.entry(plan.kind()).or_default() += 1);
        let address = scene.listen(Protocol::Rfc862, None);
        let mail = Mail::address(&mut scene.manager);
        scene.start();
        scene.manager.wait_ready();
        let before = belongings(&mut scene.manager, address);
        let (guests, writers) = (plans.len(), WRITERS);
        println!("{guests} peers with connections, {writers} with datagrams");
        assert_eq!(guests + writers, 500);
        let mail = mail.begin(seed);
        let mut faithful = connect(address);
        let mut ordeal = Ordeal::go_on(scene, plans, seed);
        let (end, mut next) = (Instant::now() + Duration::from_secs(seconds), Instant::now());
        let (mut samples, mut kills) = (Vec::new(), 0);
        while next < end {
            next += ROUND;
            if !ordeal.live_until(next) {
                break;
            }
            samples.push(memory(ordeal.manager.pid()));
            echo(&mut faithful, b"still here");
            if kills < self.kills {
                ordeal.die();
                kills += 1;
            }
        }
        let letters = mail.end();
        let rows: &[Row] = if kills > 0 { &[Row::Idle, Row::Stuck] } else { &[] };
        let (mut manager, kinds) = ordeal.end(rows);
        tell(&kinds, &counts);
        println!("{letters}");
        println!("{kills} kills");
        assert_eq!(kills > 0, self.kills > 0);
        letters.assert_right(u64::from(kills) + 1, kills == 0);
        half_close(&faithful);
        rest(&mut faithful);
        self.compare(&mut manager, address, &before, &letters);
        let gaps: u64 = kinds.values().map(|seen| seen.gaps).sum();
        if self.kills == 0 {
            assert_eq!(gaps, 0, "only between accept and bag may one be lost");
            let stalled = kinds["never-readers"].stalled;
            assert!(stalled > 0 || seconds < 40, "nobody was reset for never reading");
        }
        assert_flat(&samples);
    }

    /// Whether the daemon is as it was, and has counted what it refused.
    fn compare(
        &self,
        manager: &mut Manager,
        address: std::net::SocketAddr,
        before: &Belongings,
        letters: &datagrams::Letters,
    ) {
        let after = wait_for("the descriptors to be as before", || {
            Some(belongings(manager, address)).filter(|after| after == before)
        });
        println!("{} descriptors and {} stored, as before", after.descriptors.len(), after.stored);
        // A kill between a refusal and its count is not counted.
        let refused = if self.kills == 0 { letters.spoofed.to_string() } else { String::new() };
        let status = manager.wait_status(|status| {
            status.starts_with("0 conversations")
                && status.contains(&format!("{refused} source-port"))
        });
        println!("{status}");
    }
}

#[test]
fn five_hundred_peers_of_every_kind_find_no_fault() {
    Minute { kills: 0 }.pass();
}

#[test]
fn five_hundred_peers_of_every_kind_find_no_fault_with_a_kill_every_second() {
    Minute { kills: u32::MAX }.pass();
}
