//! Many peers, driven by one thread.

use super::peer::{Fate, Goodbye, Peer, Plan, Seen};
use super::text::Random;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
    /// Something was found to be wrong.
    wronged: Condvar,
}

/// What the crowd saw.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What each kind of peer saw.
    pub kinds: BTreeMap<&'static str, Seen>,
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

    /// Waits until then, or until somebody heard something wrong; whether that.
    pub fn watch(&self, until: Instant) -> bool {
        let mut found = self.shared.found();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !found.wrong.is_empty() {
                return !found.wrong.is_empty();
            }
            let woken = self.shared.wronged.wait_timeout(found, left);
            found = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everybody ends, and gets all that is owed.
    pub fn break_up(mut self) -> Found {
        self.shared.break_up.store(true, Ordering::Relaxed);
        self.thread.take().expect("it breaks up once").join().expect("the crowd is well");
        self.shared.found().clone()
    }
}

impl Found {
    /// What all of them saw.
    pub fn seen(&self) -> Seen {
        self.kinds.values().fold(Seen::default(), |sum, &seen| sum + seen)
    }
}

impl Shared {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(plans: &[Plan], shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    let mut peers = Vec::new();
    for plan in plans {
        let peer = Peer::connect(plan.clone(), random.next());
        peers.push(Place::Taken(Box::new(peer.expect("the listener's queue has room"))));
    }
    let mut deadline = None;
    loop {
        let now = Instant::now();
        let break_up = shared.break_up.load(Ordering::Relaxed);
        let pause = shared.pause.load(Ordering::Relaxed);
        if break_up && peers.iter().all(|place| place.peer().is_none()) {
            return;
        }
        if break_up && *deadline.get_or_insert(now + PATIENCE) < now {
            let left = peers.iter().filter_map(Place::peer);
            let left = left.map(|peer| format!("{:?}", peer.plan));
            shared.found().unfinished = left.collect();
            return;
        }
        let ready = ready(&peers, now);
        for ((place, (ears, mouth)), plan) in peers.iter_mut().zip(ready).zip(plans) {
            let Place::Taken(peer) = place else {
                place.take_again(plan, break_up, now, &mut random);
                continue;
            };
            let mut found = shared.found();
            let kind = found.kinds.entry(plan.kind()).or_default();
            let fate = peer.act(ears, mouth, break_up, kind);
            let leaves = random.below(if pause { 32 } else { 256 }) == 0;
            let fate = match fate {
                Fate::GoesOn if leaves && peer.may_leave(kind) => Fate::Over,
                fate => fate,
            };
            match fate {
                Fate::GoesOn => continue,
                Fate::Over => {}
                Fate::Wrong(what) => {
                    found.wrong.push(what);
                    shared.is_wrong.store(true, Ordering::Relaxed);
                    shared.wronged.notify_all();
                }
            }
            let rest = if let Goodbye::Vanish = plan.goodbye { random.below(200) } else { 0 };
            *place = Place::Free { until: now + Duration::from_millis(rest) };
            place.take_again(plan, break_up, now, &mut random);
        }
    }
}

/// Where a peer is, or will be.
enum Place {
    Taken(Box<Peer>),
    Free { until: Instant },
}

impl Place {
    fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Taken(peer) => Some(peer),
            Self::Free { .. } => None,
        }
    }

    /// The next takes it, if it is time.
    fn take_again(&mut self, plan: &Plan, break_up: bool, now: Instant, random: &mut Random) {
        let Self::Free { until } = self else { return };
        if *until > now || break_up {
            return;
        }
        if let Ok(peer) = Peer::connect(plan.clone(), random.next()) {
            *self = Self::Taken(Box::new(peer));
        }
    }
}

/// Who can hear and who can speak, after some time at most.
fn ready(peers: &[Place], now: Instant) -> Vec<(bool, bool)> {
    let mut asked = Vec::new();
    let mut places = Vec::new();
    for (place, peer) in peers.iter().enumerate() {
        let Some(peer) = peer.peer() else { continue };
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
