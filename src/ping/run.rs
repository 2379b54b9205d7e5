//! A run: connections are made, messages sent and awaited, what came of it is said.

use super::event::{Event, Many, What};
use super::pace::Pace;
use super::pacer;
use super::payload::Form;
use super::plan::{MESSAGES_MAX, Plan};
use super::reach::{self, Address, Link, Unreached};
use super::screen::{PICTURES, Screen};
use super::summary::{Load, Summary};
use super::talk::{self, Talk};
use super::tally::Tally;
use super::verdict::Verdict;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

/// How many connections are being made at once, so that a server's queue does
/// not run over.
const CONNECTING: usize = 64;
/// What is read at once, in bytes: more than any datagram.
const BUFFER: usize = 1 << 17;

/// What the connections of a run share.
pub(super) struct Run {
    /// What the operator wants.
    pub(super) plan: Plan,
    /// What messages look like.
    pub(super) form: Form,
    /// The address at the other end.
    pub(super) peer: String,
    /// The figures.
    pub(super) tally: RefCell<Tally>,
    /// Where everything is shown.
    pub(super) screen: RefCell<Screen>,
    /// How far it is.
    pub(super) stage: Cell<Stage>,
    /// Messages not yet sent, in a closed loop.
    pub(super) left: Cell<u64>,
    /// What was read; nothing of it is kept.
    pub(super) buffer: RefCell<Vec<u8>>,
    began: Instant,
    lately: Cell<Duration>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Messages are sent as they are due.
    Sending,
    /// All that shall be sent is on its way.
    Waiting,
    /// Nothing is waited for.
    Over,
}

impl Run {
    /// The time since the run began.
    pub(super) fn now(&self) -> Duration {
        self.lately.set(self.began.elapsed());
        self.lately.get()
    }

    /// The time when it was last asked for: just now, as far as timers care.
    pub(super) fn lately(&self) -> Duration {
        self.lately.get()
    }

    /// The instant at a time of the run.
    pub(super) fn instant(&self, time: Duration) -> tokio::time::Instant {
        (self.began + time).into()
    }

    /// Says what happened on a connection.
    pub(super) fn say(&self, connection: u32, what: What<'_>) {
        let event = Event { connection, peer: &self.peer, what };
        self.screen.borrow_mut().say(&event);
    }
}

/// Does what the plan says.
pub(super) async fn run(plan: Plan) -> io::Result<Verdict> {
    raise_descriptors();
    let many = if plan.connections > 1 { Many::Several } else { Many::One };
    let is_paced = matches!(plan.pace, Pace::Every { gap } if gap >= Duration::from_millis(1));
    let run = Run {
        form: Form::new(plan.sizes, plan.protocol, &plan.rule),
        peer: plan.target.to_string(),
        tally: RefCell::default(),
        screen: RefCell::new(Screen::new(plan.show, many, !is_paced)),
        stage: Cell::new(Stage::Sending),
        left: Cell::new(plan.count.unwrap_or(MESSAGES_MAX)),
        buffer: RefCell::new(vec![0; BUFFER]),
        began: Instant::now(),
        lately: Cell::default(),
        plan,
    };
    // Before the first connection, so that no signal is missed.
    let mut cues = Cues::new()?;
    let mut run = Rc::new(run);
    let connected = tokio::select! {
        connected = connect(&mut run) => connected,
        () = cues.next() => Err(None),
    };
    let (talks, why) = match connected {
        Ok(talks) => (talks, None),
        Err(why) => (Vec::new(), why),
    };
    let begin = (run.now(), processor_time());
    if !talks.is_empty() {
        send(&run, &talks, &mut cues).await?;
    }
    let load = Load {
        connections: talks.len(),
        length: run.now().saturating_sub(begin.0),
        processor: processor_time().saturating_sub(begin.1),
    };
    Ok(conclude(&run, load, why.map(|why| why.to_string())))
}

fn conclude(run: &Run, load: Load, unreached: Option<String>) -> Verdict {
    let tally = run.tally.borrow().clone();
    let verdict = Verdict::of(&tally.counts, load.connections > 0, run.plan.loss_max);
    let is_load =
        run.plan.connections > 1 || run.plan.pace == Pace::Flood || !run.plan.show.answers;
    let loss_max = run.plan.loss_max;
    let summary = Summary { tally, verdict, unreached, loss_max, load };
    run.screen.borrow_mut().finish(&summary, is_load);
    verdict
}

/// Makes the connections. Those that fail are said, and left out; none at all
/// is an error.
async fn connect(run: &mut Rc<Run>) -> Result<Vec<Rc<Talk>>, Option<Unreached>> {
    let (address, first) = reach_one(&run.plan).await.map_err(Some)?;
    if let Some(run) = Rc::get_mut(run) {
        run.peer = address.to_string();
    }
    let key = RandomState::new().hash_one(std::process::id());
    let mut links = vec![(0, first)];
    let free = Rc::new(Semaphore::new(CONNECTING));
    let mut making = JoinSet::new();
    for number in 1..run.plan.connections {
        let (run, address, free) = (Rc::clone(run), address.clone(), Rc::clone(&free));
        making.spawn_local(async move {
            let _place = free.acquire().await;
            (number, reach::connect(&address, &run.plan).await)
        });
    }
    while let Some(made) = making.join_next().await {
        match made.map_err(|_| None)? {
            (number, Ok(link)) => links.push((number, link)),
            (number, Err(why)) => run.say(number, What::Unreached { why: &why.to_string() }),
        }
    }
    links.sort_by_key(|(number, _)| *number);
    let talks = links.into_iter().map(|(number, link)| {
        if let Some(time) = link.time {
            run.tally.borrow_mut().connected(time);
        }
        run.say(number, What::Connected { time: link.time });
        // Each connection has a key of its own, so that answers cannot be taken
        // for those of another.
        let key = (key >> 16).to_le_bytes();
        let key = u32::from_le_bytes([key[0], key[1], key[2], key[3]]);
        Rc::new(Talk::new(number, key.wrapping_add(number), link))
    });
    Ok(talks.collect())
}

/// The first address that answers.
async fn reach_one(plan: &Plan) -> Result<(Address, Link), Unreached> {
    let mut why = None;
    for address in reach::resolve(plan)? {
        match reach::connect(&address, plan).await {
            Ok(link) => return Ok((address, link)),
            Err(error) => why = Some(error),
        }
    }
    Err(why.expect("the resolver gave an address"))
}

/// Sends, until all is sent and back or lost.
async fn send(run: &Rc<Run>, talks: &[Rc<Talk>], cues: &mut Cues) -> io::Result<()> {
    let mut driven = JoinSet::new();
    for talk in talks {
        driven.spawn_local(talk::drive(Rc::clone(talk), Rc::clone(run)));
    }
    let pacer = match run.plan.pace {
        Pace::Flood => None,
        Pace::Every { gap } => {
            let pacer = pacer::pace(Rc::clone(run), talks.to_vec(), gap);
            Some(tokio::task::spawn_local(pacer))
        }
    };
    cues.end_after(run.plan.duration);
    let mut pictures = interval(Duration::from_secs(1) / u32::from(PICTURES));
    pictures.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let event = tokio::select! {
            talk = driven.join_next() => if talk.is_some() { Happened::Left } else { Happened::End },
            () = cues.next() => Happened::Cue,
            _ = pictures.tick() => Happened::Tick,
        };
        match event {
            Happened::End => break,
            Happened::Left => {}
            Happened::Cue => stop(run, talks),
            Happened::Tick => run.screen.borrow_mut().progress(&run.tally.borrow()),
        }
        if run.screen.borrow().is_gone() {
            run.stage.set(Stage::Over);
            talks.iter().for_each(|talk| talk.wake());
        }
    }
    if let Some(pacer) = pacer {
        pacer.abort();
    }
    count_missing(run);
    Ok(())
}

enum Happened {
    Left,
    End,
    Cue,
    Tick,
}

/// The first time, no more is sent; the second time, nothing more is awaited.
fn stop(run: &Run, talks: &[Rc<Talk>]) {
    run.stage.set(match run.stage.get() {
        Stage::Sending => Stage::Waiting,
        Stage::Waiting | Stage::Over => Stage::Over,
    });
    talks.iter().for_each(|talk| talk.wake());
}

/// All connections have ended, and nobody wanted that: what was still to be
/// sent is missing; of a run without end, one message at least.
fn count_missing(run: &Run) {
    if run.stage.get() == Stage::Sending {
        let mut tally = run.tally.borrow_mut();
        let sent = tally.counts.sent;
        tally.counts.missing = run.plan.count.map_or(1, |count| count.saturating_sub(sent));
    }
}

/// What makes a run end before its time.
struct Cues {
    interrupt: Signal,
    terminate: Signal,
    end: Option<tokio::time::Instant>,
}

impl Cues {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()];
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)?, end: None })
    }

    fn end_after(&mut self, duration: Option<Duration>) {
        self.end = duration.map(|duration| tokio::time::Instant::now() + duration);
    }

    async fn next(&mut self) {
        let end = async {
            match self.end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = end => self.end = None,
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// As many descriptors as we may have.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // It may still do for what is wanted.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
