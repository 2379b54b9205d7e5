//! Many peers, driven by one thread.

use super::peer::{Fate, Peer, Plan, Seen};
use super::text::Random;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The crowd. It goes on talking until it is told to break up.
pub struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How long the crowd may take to break up, once everybody is being served.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Shared {
    /// Nobody is being served at present.
    pause: AtomicBool,
    /// Everybody ends.
    break_up: AtomicBool,
    /// What is wrong is found at the end anyhow; this is to end sooner.
    is_wrong: AtomicBool,
    found: Mutex<Found>,
}

/// What the crowd saw.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub seen: Seen,
    pub wrong: Vec<String>,
    /// Who had not got everything when the time was up.
    pub unfinished: Vec<String>,
}

impl Crowd {
    /// As many peers as there are plans. Whose conversation is over begins another.
    pub fn gather(plans: Vec<Plan>, seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || run(&plans, &shared, seed)
        });
        Self { shared, thread: Some(thread) }
    }

    /// Says whether there is a pause: some leave then.
    pub fn pause(&self, pause: bool) {
        self.shared.pause.store(pause, Ordering::Relaxed);
    }

    /// Whether somebody heard something wrong.
    pub fn is_wrong(&self) -> bool {
        self.shared.is_wrong.load(Ordering::Relaxed)
    }

    pub fn seen(&self) -> Seen {
        self.shared.found().seen
    }

    /// Everybody ends, and gets all that is owed.
    pub fn break_up(mut self) -> Found {
        self.shared.break_up.store(true, Ordering::Relaxed);
        self.thread.take().expect("it breaks up once").join().expect("the crowd is well");
        self.shared.found().clone()
    }
}

impl Shared {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(plans: &[Plan], shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    let mut peers: Vec<Option<Peer>> = Vec::new();
    for plan in plans {
        let peer = Peer::connect(plan.clone(), random.next());
        peers.push(Some(peer.expect("the listener's queue has room")));
    }
    let mut deadline = None;
    loop {
        let now = Instant::now();
        let break_up = shared.break_up.load(Ordering::Relaxed);
        let pause = shared.pause.load(Ordering::Relaxed);
        if break_up && (peers.iter().all(Option::is_none)) {
            return;
        }
        if break_up && *deadline.get_or_insert(now + PATIENCE) < now {
            let left = peers.iter().flatten().map(|peer| format!("{:?}", peer.plan));
            shared.found().unfinished = left.collect();
            return;
        }
        let ready = ready(&peers, now);
        for (slot, (ears, mouth)) in peers.iter_mut().zip(ready) {
            let Some(peer) = slot else { continue };
            let mut found = shared.found();
            let fate = peer.act(ears, mouth, break_up, &mut found.seen);
            let leaves = random.below(if pause { 32 } else { 256 }) == 0;
            let fate = match fate {
                Fate::GoesOn if leaves && peer.may_leave(&mut found.seen) => Fate::Over,
                fate => fate,
            };
            match fate {
                Fate::GoesOn => continue,
                Fate::Over => {}
                Fate::Wrong(what) => {
                    found.wrong.push(what);
                    shared.is_wrong.store(true, Ordering::Relaxed);
                }
            }
            let plan = peer.plan.clone();
            *slot = None;
            if !break_up {
                *slot = Peer::connect(plan, random.next()).ok();
            }
        }
    }
}

/// Who can hear and who can speak, after some time at most.
fn ready(peers: &[Option<Peer>], now: Instant) -> Vec<(bool, bool)> {
    let mut asked = Vec::new();
    let mut places = Vec::new();
    for (place, peer) in peers.iter().enumerate() {
        let Some(peer) = peer else { continue };
        let (ears, mouth) = peer.wants(now);
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, ears);
        flags.set(PollFlags::OUT, mouth);
        if !flags.is_empty() {
            asked.push(PollFd::new(peer.stream(), flags));
            places.push(place);
        }
    }
    let rest = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let _ = poll(&mut asked, Some(&rest));
    let mut ready = vec![(false, false); peers.len()];
    for (place, asked) in places.into_iter().zip(asked) {
        let flags = asked.revents();
        let ended = flags.intersects(PollFlags::ERR | PollFlags::HUP);
        ready[place] = (flags.contains(PollFlags::IN) || ended, flags.contains(PollFlags::OUT));
    }
    ready
}
