//! The reader of the journal: every record that echod can write, one function
//! each.
//!
//! They are called on the serving thread and never wait: a record goes into a
//! bounded queue, from which a second thread writes it – into the journal with
//! fields if standard error is the journal, else as one line for people. What
//! finds the queue full, or a journal that is gone, is counted and told later.
//! Before [`start`], after [`Reporter::finish`] and on other threads nothing is
//! recorded and nothing fails.
//!
//! What a stranger can cause is either paid from the budget (`--record-rate`)
//! or counted and told once a minute; [`tick`] tells what has come due.
//!
//! It is long because whatever can be said has its function here, and no other way.

mod budget;
mod catalog;
mod escape;
mod journal;
mod message;
mod record;
mod summary;
mod writer;

pub use catalog::{FIELDS, MESSAGE_IDS};
pub use escape::{Escaped, escape};

use crate::config::{Level, Records};
use crate::conversation::{Ending, Id, Refusal, Totals};
use crate::echo::Protocol;
use crate::endpoint::{Party, Transport};
use budget::Budget;
use escape::Excerpt;
use record::{Event, Record};
use std::cell::RefCell;
use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use summary::Summaries;
use writer::{Sink, Writer};

/// Records that wait to be written: a burst of `--record-rate` as it is by
/// default, or what a busy debug level brings in a few milliseconds.
pub const QUEUE_MAX: usize = 1024;
/// Bytes of a message that a record shows: the tutorial's own buffer.
pub const EXCERPT_MAX: usize = 128;

/// Who talks with whom in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Which conversation.
    pub id: Id,
    /// How its bytes travel.
    pub transport: Transport,
    /// What it speaks.
    pub protocol: Protocol,
    /// Our end.
    pub local: Party,
    /// The peer's end.
    pub peer: Party,
}

/// Who sent a datagram to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// How it travelled.
    pub transport: Transport,
    /// What its socket speaks.
    pub protocol: Protocol,
    /// The address that was asked.
    pub local: Party,
    /// Who asked.
    pub peer: Party,
    /// TTL or hop limit that was left when it came, if known.
    pub hops: Option<u8>,
}

/// Whether a conversation has records of its own; decided when it begins, and
/// to be kept with it until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Begin and end are paid for.
    Single,
    /// It is only counted in the minute's summary.
    Summed,
}

/// What was taken over from a predecessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Those that go on.
    pub conversations: u64,
    /// Those of them that owed an answer.
    pub mid_answer: u64,
    /// Those that could not go on.
    pub reset: u64,
    /// How long nobody served, if that is known.
    pub pause: Option<Duration>,
}

/// What becomes of the conversations when the daemon stops, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The manager keeps them for a successor.
    Keep(u64),
    /// They get what they are owed, and end.
    Drain(u64),
}

thread_local! {
    static OUTBOX: RefCell<Option<Outbox>> = const { RefCell::new(None) };
}

/// The serving thread's side.
struct Outbox {
    level: Level,
    queue: SyncSender<Record>,
    lost: Arc<AtomicU64>,
    budget: Budget,
    summaries: Summaries,
}

/// The writer's thread, for as long as there is one.
#[must_use]
pub struct Reporter {
    done: Receiver<()>,
}

/// Starts the thread that writes records, for the functions called on this
/// thread. Reads `JOURNAL_STREAM`, so it comes before any other thread. The new
/// one does `first` before it opens a descriptor; it will use no other than its own.
///
/// Fails if there is no standard error, or no second thread to be had.
pub fn start(records: &Records, first: impl FnOnce() + Send + 'static) -> io::Result<Reporter> {
    let journal_stream = std::env::var("JOURNAL_STREAM").ok();
    let (opened, opening) = mpsc::sync_channel(0);
    let (queue, records_queue) = mpsc::sync_channel(QUEUE_MAX);
    let (finished, done) = mpsc::sync_channel(0);
    let lost = Arc::new(AtomicU64::new(0));
    let (level, lost_too) = (records.level, Arc::clone(&lost));
    std::thread::Builder::new().name("records".to_owned()).spawn(move || {
        // Dropped when the last record is written, which is how `finish` learns of it.
        let _finished: SyncSender<()> = finished;
        first();
        match Sink::open(journal_stream.as_deref()) {
            Err(error) => drop(opened.send(Err(error))),
            Ok((sink, trouble)) => {
                if opened.send(Ok(trouble)).is_ok() {
                    Writer { sink, lost: &lost_too, level }.run(&records_queue);
                }
            }
        }
    })?;
    let trouble = opening.recv().map_err(io::Error::other)??;
    let (budget, summaries) = (Budget::new(records.rate), Summaries::default());
    OUTBOX.set(Some(Outbox { level, queue, lost, budget, summaries }));
    if let Some(trouble) = trouble {
        say(trouble.level(), || trouble);
    }
    Ok(Reporter { done })
}

impl Reporter {
    /// Tells what was still being counted and waits until everything is
    /// written, but no longer than `at_most`. Whether it was; what was not is
    /// gone. To be called on the thread that called [`start`].
    pub fn finish(self, at_most: Duration) -> Finish {
        outbox(|outbox| while outbox.tell(Summaries::rest) {});
        OUTBOX.set(None);
        match self.done.recv_timeout(at_most) {
            Err(RecvTimeoutError::Timeout) => Finish::Late,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Finish::Whole,
        }
    }
}

/// How [`Reporter::finish`] came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Every record was written or told as lost.
    Whole,
    /// Some were still waiting.
    Late,
}

impl Outbox {
    /// Never waits: what finds the queue full is lost, and counted.
    fn send(&self, record: Record) {
        if record.level() <= self.level && self.queue.try_send(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether there was a summary to tell.
    fn tell(&mut self, next: impl Fn(&mut Summaries) -> Option<Record>) -> bool {
        next(&mut self.summaries).map(|record| self.send(record)).is_some()
    }
}

fn outbox<T>(act: impl FnOnce(&mut Outbox) -> T) -> Option<T> {
    // Whoever still has something to say while the thread ends is not heard.
    OUTBOX.try_with(|outbox| outbox.borrow_mut().as_mut().map(act)).ok().flatten()
}

/// Builds a record only if its level is written.
fn say(level: Level, record: impl FnOnce() -> Record) {
    outbox(|outbox| {
        if level <= outbox.level {
            outbox.send(record());
        }
    });
}

fn count(event: impl FnOnce() -> Event) {
    outbox(|outbox| {
        let now = Instant::now();
        outbox.summaries.count(event(), now);
        while outbox.tell(|summaries| summaries.next(now)) {}
    });
}

/// Whether records of this level are written, for callers who would have to
/// prepare something first.
pub fn wants(level: Level) -> bool {
    outbox(|outbox| level <= outbox.level).unwrap_or(false)
}

/// How many records were lost and not yet told as lost.
pub fn unwritten() -> u64 {
    outbox(|outbox| outbox.lost.load(Ordering::Relaxed)).unwrap_or(0)
}

/// When [`tick`] will have something to tell; none as long as nothing is counted.
pub fn due() -> Option<Instant> {
    outbox(|outbox| outbox.summaries.due()).flatten()
}

/// Tells every summary that has come due by now. Cheap; once a second is enough.
pub fn tick(now: Instant) {
    outbox(|outbox| while outbox.tell(|summaries| summaries.next(now)) {});
}

/// Every socket is being served: each as people write it, with its protocol.
/// `wanted` is what the operator asked for, if the limit of descriptors allows
/// only for `connections`.
pub fn ready(sockets: &[String], connections: u32, wanted: Option<u32>) {
    say(Level::Info, || Record::Ready { sockets: sockets.to_vec(), connections, wanted });
}

/// What was taken over from a predecessor.
pub fn adopted(adopted: Adopted) {
    say(Level::Info, || Record::Adopted(adopted));
}

/// The daemon was told to stop.
pub fn stopping(parting: Parting) {
    say(Level::Info, || Record::Stopping(parting));
}

/// The daemon cannot do what it was started for.
pub fn failed(error: &dyn Error) {
    say(Level::Error, || {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Record::Failed(text)
    });
}

/// A conversation begins. The answer is to be given to [`ended`].
pub fn began(who: &Introduction) -> Recording {
    outbox(|outbox| {
        let now = Instant::now();
        if outbox.level < Level::Info {
            Recording::Summed
        } else if outbox.budget.admit(now) {
            outbox.send(Record::Began(*who));
            Recording::Single
        } else {
            outbox.summaries.began(now);
            Recording::Summed
        }
    })
    .unwrap_or(Recording::Summed)
}

/// A conversation has ended.
pub fn ended(who: &Introduction, recording: Recording, ending: Ending, totals: &Totals) {
    outbox(|outbox| match recording {
        _ if outbox.level < Level::Info => {}
        Recording::Single => outbox.send(Record::Ended(*who, ending, *totals)),
        Recording::Summed => outbox.summaries.ended(totals, Instant::now()),
    });
}

/// What one read of a conversation returned.
pub fn received(id: Id, message: &[u8]) {
    say(Level::Debug, || Record::Received(id, Excerpt::of(&[message], EXCERPT_MAX)));
}

/// The answer to it, in the pieces that it is given in.
pub fn sent(id: Id, answer: &[&[u8]]) {
    say(Level::Debug, || Record::Sent(id, Excerpt::of(answer, EXCERPT_MAX)));
}

/// A datagram that came.
pub fn datagram_received(envelope: &Envelope, message: &[u8]) {
    say(Level::Debug, || Record::DatagramReceived(*envelope, Excerpt::of(&[message], EXCERPT_MAX)));
}

/// The answer to it, in the pieces that it is given in.
pub fn datagram_sent(envelope: &Envelope, answer: &[&[u8]]) {
    say(Level::Debug, || Record::DatagramSent(*envelope, Excerpt::of(answer, EXCERPT_MAX)));
}

/// Somebody was not served. Counted for each reason.
pub fn refused(peer: &Party, refusal: Refusal) {
    count(|| Event::Refused(refusal, *peer));
}

/// There is no descriptor or memory for another conversation. Counted.
pub fn cannot_accept(error: &io::Error) {
    count(|| Event::CannotAccept(error.to_string()));
}

/// A listening socket can no longer be used.
pub fn listener_failed(socket: &str, error: &io::Error) {
    say(Level::Error, || Record::ListenerFailed {
        socket: socket.to_owned(),
        error: error.to_string(),
    });
}

/// The environment has an `ECHOD_…` that is no option.
pub fn unknown_variable(name: &OsStr) {
    say(Level::Warning, || {
        Record::UnknownVariable(escape(name.as_bytes(), EXCERPT_MAX).to_string())
    });
}

/// A predecessor's memory file is damaged, or of a layout that this program does
/// not know.
pub fn memory_unreadable(error: &dyn Error) {
    say(Level::Warning, || Record::MemoryUnreadable(error.to_string()));
}

/// The manager's store takes no more, so a conversation will not outlive the
/// process. Counted.
pub fn store_full() {
    count(|| Event::StoreFull);
}

/// A conversation could not be put into the manager's store. Counted.
pub fn not_kept(error: &io::Error) {
    count(|| Event::NotKept(error.to_string()));
}

/// A predecessor's notes and the kernel's counters do not agree. Counted.
pub fn contradiction(id: Id) {
    count(|| Event::Contradiction(id));
}

/// The predecessor died while it was this conversation's turn; so many strikes
/// it now has. Counted.
pub fn struck(id: Id, strikes: u8) {
    count(|| Event::Struck(id, strikes));
}

/// A conversation was reset because of its strikes. Counted.
pub fn struck_out(id: Id) {
    count(|| Event::StruckOut(id));
}
