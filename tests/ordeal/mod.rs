//! An ordeal: a daemon that is killed again and again under the eyes of a crowd.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses a part")]

mod scene;

pub use scene::{Scene, stored};

use crate::peers::crowd::Crowd;
use crate::peers::peer::{Plan, Seen};
use crate::peers::successor::{Found, Row, Rows, Successor};
use crate::peers::text::Random;
use crate::support::manager::Manager;
use rustix::process::Signal;
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

/// The end of what all lives wrote to stderr.
fn last_words(manager: &Manager) -> Vec<String> {
    let mut lines = manager.stderr();
    lines.split_off(lines.len().saturating_sub(60))
}

/// A daemon, its crowd, and what was found after each of its deaths.
pub struct Ordeal {
    pub manager: Manager,
    crowd: Crowd,
    successor: Successor,
    random: Random,
    rows: Rows,
    deaths: BTreeMap<&'static str, u32>,
    /// Somebody has been a suspect twice: the next life is not to be cut short.
    spare: Option<u32>,
    /// What was found of each peer in the last lives, by its port.
    history: VecDeque<(u32, Vec<Found>)>,
    lives: u32,
    /// Input that is only in a buffer of the process's own dies with it: so many
    /// bytes did, if that is how it is.
    private: Option<u64>,
    began: Instant,
}

const HISTORY: usize = 12;

impl Ordeal {
    pub fn begin(mut scene: Scene, plans: Vec<Plan>) -> Self {
        let seed = std::env::var("ECHOD_TEST_SEED").ok();
        let seed = seed.map_or(862, |seed| seed.parse().expect("it is a number"));
        scene.start();
        Self::go_on(scene, plans, seed)
    }

    /// With a daemon that was started.
    pub fn go_on(scene: Scene, plans: Vec<Plan>, seed: u64) -> Self {
        scene.manager.wait_ready();
        Self {
            manager: scene.manager,
            crowd: Crowd::gather(plans, seed),
            successor: Successor::default(),
            random: Random::new(seed + 1),
            rows: Rows::default(),
            deaths: BTreeMap::new(),
            spare: None,
            history: VecDeque::new(),
            lives: 1,
            private: None,
            began: Instant::now(),
        }
    }

    /// Takes away after each death what a server without a memory file would have
    /// had in a buffer of its own.
    pub fn make_private(&mut self) {
        self.private = Some(0);
    }

    /// How many conversations were damaged, and how many bytes lost.
    pub fn damage(self) -> (usize, u64) {
        self.manager.wait_ready();
        let found = self.crowd.break_up();
        println!("{} lives: {:?}; found: {}", self.lives, self.deaths, self.rows);
        let lost = self.private.unwrap_or_default();
        println!("{} conversations damaged, {lost} bytes lost", found.wrong.len());
        (found.wrong.len(), lost)
    }

    /// Lives and dies so often.
    pub fn suffer(&mut self, kills: u32) {
        for kill in 0..kills {
            self.live(kill);
            if self.crowd.is_wrong() && self.private.is_none() {
                return;
            }
        }
    }

    fn live(&mut self, kill: u32) {
        let is_long = kill % 16 == 0;
        let by_start = self.random.below(2) == 0 && !is_long && self.spare.is_none();
        if !by_start {
            self.manager.wait_ready();
        }
        if let Some(record) = self.spare.take() {
            self.wait_for_note(record);
        }
        self.crowd.pause(false);
        let most = match (is_long, by_start) {
            (true, _) => 60_000,
            (_, true) => 5_000,
            _ => 12_000,
        };
        std::thread::sleep(Duration::from_micros(self.random.below(most)));
        let is_ready = by_start && self.is_ready();
        let (name, signal) = match self.random.below(16) {
            0 => ("terminated", Signal::TERM),
            1 => ("aborted", Signal::ABORT),
            _ => ("killed", Signal::KILL),
        };
        self.manager.signal(signal);
        let is_hurried = signal == Signal::TERM && self.random.below(2) == 0;
        if is_hurried {
            std::thread::sleep(Duration::from_micros(self.random.below(3_000)));
            self.manager.signal(Signal::KILL);
        }
        let status = self.manager.wait_exit();
        let is_due = match status.signal() {
            // A daemon that is asked to end does so, or has not learnt to yet.
            None => signal == Signal::TERM && status.success(),
            Some(died) => died == signal.as_raw() || (is_hurried && died == Signal::KILL.as_raw()),
        };
        assert!(is_due, "{name}, but {status}: {:#?}", last_words(&self.manager));
        self.crowd.pause(true);
        *self.deaths.entry(name).or_default() += 1;
        if by_start && !is_ready {
            *self.deaths.entry("before READY=1").or_default() += 1;
        }
        self.look();
        self.manager.start_again();
        self.lives += 1;
    }

    /// Lives until then, or until somebody heard something wrong.
    pub fn live_until(&self, then: Instant) -> bool {
        !self.crowd.watch(then)
    }

    /// Dies now, with nobody's consent, and lives again; who is a suspect for the
    /// last time gets time to prove itself.
    pub fn die(&mut self) {
        self.manager.wait_ready();
        if let Some(record) = self.spare.take() {
            self.wait_for_note(record);
        }
        self.manager.kill(Signal::KILL);
        *self.deaths.entry("killed").or_default() += 1;
        self.crowd.pause(true);
        self.look();
        self.manager.start_again();
        self.lives += 1;
        self.manager.wait_ready();
        self.crowd.pause(false);
    }

    fn is_ready(&self) -> bool {
        self.manager.wait("anything", |known| {
            Some(known.present().any(|heard| heard.value("READY") == Some("1")))
        })
    }

    /// What the next life will find.
    fn look(&mut self) {
        let stored = stored(&mut self.manager);
        let (rows, found) = self.successor.look(&stored);
        self.spare = found.iter().find(|found| found.strikes >= 2).map(|found| found.record);
        self.rows.add(&rows);
        if let Some(lost) = &mut self.private {
            let memory = self.successor.memory(&stored).expect("it is in the store");
            for found in found.iter().filter(|found| found.unanswered > 0) {
                *lost += found.unanswered;
                let slot = memory.claim_slot(found.slot);
                if let Some(mut slot) = slot {
                    slot.bytes().fill(b'?');
                    memory.free_slot(slot);
                }
            }
        }
        self.history.push_back((self.lives, found));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// Until a suspect's answer was noted, or it is over.
    fn wait_for_note(&mut self, record: u32) {
        let stored = stored(&mut self.manager);
        let Some(memory) = self.successor.memory(&stored) else { return };
        let deadline = Instant::now() + Duration::from_secs(10);
        let record = memory.record(record);
        let id = record.id();
        while record.id() == id && record.strikes() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets everybody end; nobody may miss anything. What remains, and what each
    /// kind of peer saw.
    pub fn end(self, rows: &[Row]) -> (Manager, BTreeMap<&'static str, Seen>) {
        self.manager.wait_ready();
        let lasted = self.began.elapsed();
        let found = self.crowd.break_up();
        println!("{} lives in {lasted:.1?}: {:?}", self.lives, self.deaths);
        println!("found: {}", self.rows);
        println!("{:?}", found.seen());
        let mut text = String::new();
        for wrong in &found.wrong {
            text += &format!("\n{wrong}");
            let port = wrong.split([' ', ':']).nth(1).and_then(|port| port.parse::<u16>().ok());
            for (life, found) in &self.history {
                let this = |found: &&Found| found.peer.map(|peer| peer.port()) == port;
                for found in found.iter().filter(this) {
                    text += &format!("\n    after life {life}: {found:?}");
                }
            }
        }
        let last = last_words(&self.manager);
        assert!(found.wrong.is_empty(), "{} wrong:{text}\n{}", found.wrong.len(), last.join("\n"));
        assert!(
            found.unfinished.is_empty(),
            "unfinished: {:#?}\n{}",
            found.unfinished,
            last.join("\n")
        );
        // Whoever is lost was accepted and not yet in the store: one at each death.
        let (gaps, deaths) = (found.seen().gaps, u64::from(self.lives - 1));
        assert!(gaps <= deaths, "{gaps} lost in {deaths} deaths\n{}", last.join("\n"));
        for row in rows {
            assert!(self.rows.count(*row) > 0, "nobody was found in row {row:?}");
        }
        for row in [Row::Contradiction, Row::Stranger] {
            assert_eq!(self.rows.count(row), 0, "{row:?}");
        }
        // Even where its death passed for the one it was to die.
        let is_fault = |line: &&String| line.contains("panicked at") || line.contains("Sanitizer");
        let stderr = self.manager.stderr();
        assert_eq!(stderr.iter().find(is_fault), None, "{stderr:#?}");
        (self.manager, found.kinds)
    }
}
