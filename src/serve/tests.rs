//! The loops, over socket pairs with paused time: deadlines to the instant.
//!
//! It is long because every deadline is tried on the same peers.

#[cfg(test)]
mod full;
#[cfg(test)]
mod shortage;

use super::turn::Turn;
use super::*;
use crate::config::{Config, Idle, Lifetime, Stall};
use crate::conversation::Ending;
use crate::echo::{Protocol, Rule};
use crate::endpoint::Transport;
use crate::keep::{Memory, SLOTS};
use rustix::net::sockopt;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep_until};

fn open(config: &Config) {
    let memory = Memory::create().expect("there is memory");
    open_desk(Opening { memory, store: None, bags: Vec::new() }, config);
    tokio::spawn(keep_time());
}

fn config() -> Config {
    Config { rule: Rule::new(b"!", b"exit", 65_536).expect("it is in range"), ..Config::default() }
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const MOMENT: Duration = Duration::from_millis(1);

/// Lets everybody do what can be done at this instant: whoever yields is busy,
/// so the paused clock stands still.
async fn now() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// Lets time pass until just before `instant`, and then until then.
async fn until(instant: Instant, before: impl FnOnce()) {
    sleep_until(instant - MOMENT).await;
    now().await;
    before();
    sleep_until(instant).await;
    now().await;
}

/// The other end of a conversation, which never waits.
struct Peer(UnixStream);

impl Peer {
    fn begin(protocol: Protocol) -> Self {
        let (ours, peer) = UnixStream::pair().expect("there are sockets");
        // Room for a small answer, so that one of 64 KiB is owed.
        sockopt::set_socket_send_buffer_size(&ours, 4_096).expect("it is a socket");
        ours.set_nonblocking(true).expect("it is a socket");
        peer.set_nonblocking(true).expect("it is a socket");
        let transport = Transport::UnixStream;
        begin(Connection { stream: ours.into(), transport, protocol }).expect("there is room");
        Self(peer)
    }

    fn say(&mut self, said: &[u8]) {
        self.0.write_all(said).expect("the kernel has room for it");
    }

    /// What has come, at most so many bytes; none at an end of file.
    fn hear(&mut self, most: usize) -> Option<Vec<u8>> {
        let mut heard = vec![0; most];
        match self.0.read(&mut heard) {
            Ok(0) => None,
            Ok(n) => Some(heard[..n].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(Vec::new()),
            Err(_) => None,
        }
    }

    async fn hears(&mut self, expected: &[u8]) {
        now().await;
        assert_eq!(self.hear(65_536).as_deref(), Some(expected));
    }

    fn is_open(&mut self) {
        assert_eq!(self.hear(1), Some(Vec::new()));
    }

    fn is_ended(&mut self) {
        assert_eq!(self.hear(1), None);
    }
}

/// A desk that waits so long, a peer at it, and when that one came.
fn begin_patiently(idle: Idle, stall: Stall) -> (Peer, Instant) {
    let mut config = config();
    (config.patience.idle, config.patience.stall) = (Some(idle), stall);
    open(&config);
    (Peer::begin(Protocol::Rfc862), Instant::now())
}

fn conversations() -> u32 {
    with(|desk| desk.conversations())
}

#[tokio::test(start_paused = true)]
async fn who_was_not_heard_for_the_idle_timeout_is_ended_to_the_instant() {
    let mut config = config();
    config.patience.idle = Some(Idle::literal(5_000));
    open(&config);
    let mut peer = Peer::begin(Protocol::Rfc862);
    let began = Instant::now();
    until(began + seconds(5), || peer.is_open()).await;
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn who_was_heard_has_the_idle_timeout_again() {
    let mut config = config();
    config.patience.idle = Some(Idle::literal(5_000));
    open(&config);
    let mut peer = Peer::begin(Protocol::Rfc862);
    let began = Instant::now();
    sleep_until(began + seconds(3)).await;
    peer.say(b"hello");
    peer.hears(b"hello").await;
    until(began + seconds(8), || peer.is_open()).await;
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn whose_words_were_not_read_yet_is_not_idle() {
    let mut config = config();
    config.patience.idle = Some(Idle::literal(5_000));
    open(&config);
    let mut peer = Peer::begin(Protocol::Rfc862);
    advance(seconds(1)).await;
    let is_late = || {
        with(|desk| {
            desk.talk(0).heard -= seconds(5);
            desk.lateness(0)
        })
    };
    peer.say(b"hello");
    assert_eq!(is_late(), Turn::Answered);
    peer.hears(b"hello").await;
    assert_eq!(is_late(), Turn::Over(Ending::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_life_ends_to_the_instant_whatever_is_said() {
    let mut config = config();
    config.patience.lifetime = Some(Lifetime::literal(10_000));
    config.patience.idle = Some(Idle::literal(5_000));
    open(&config);
    let mut peer = Peer::begin(Protocol::Rfc862);
    let began = Instant::now();
    for second in 1..10 {
        sleep_until(began + seconds(second)).await;
        peer.say(b"hello");
        peer.hears(b"hello").await;
    }
    until(began + seconds(10), || peer.is_open()).await;
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_be_taken_whole_within_the_stall_timeout_however_it_trickles() {
    // Who is owed an answer is not idle.
    let (mut peer, began) = begin_patiently(Idle::literal(5_000), Stall::literal(10_000));
    peer.say(&vec![7; 65_536]);
    now().await;
    for second in 1..10 {
        sleep_until(began + seconds(second)).await;
        assert_eq!(peer.hear(100).map(|heard| heard.len()), Some(100));
        now().await;
    }
    until(began + seconds(10), || assert_eq!(conversations(), 1)).await;
    assert_eq!(conversations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_sooner_than_the_one_that_was_waited_for_is_kept_to_the_instant() {
    let (mut peer, began) = begin_patiently(Idle::literal(20_000), Stall::literal(5_000));
    sleep_until(began + seconds(3)).await;
    peer.say(&vec![7; 65_536]);
    until(began + seconds(8), || assert_eq!(conversations(), 1)).await;
    assert_eq!(conversations(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_took_its_answer_in_the_end_is_idle_from_then_on() {
    let (mut peer, began) = begin_patiently(Idle::literal(5_000), Stall::literal(10_000));
    peer.say(&vec![7; 65_536]);
    now().await;
    sleep_until(began + seconds(2)).await;
    while let Some(1..) = peer.hear(65_536).map(|heard| heard.len()) {
        now().await;
    }
    until(began + seconds(7), || peer.is_open()).await;
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn a_conversation_has_one_alarm_however_its_deadline_moves_and_none_at_the_end() {
    let alarms = || with(|desk| desk.alarms.count());
    let mut config = config();
    config.patience.idle = Some(Idle::literal(5_000));
    open(&config);
    let mut peer = Peer::begin(Protocol::Rfc862);
    let began = Instant::now();
    for second in 1..20 {
        sleep_until(began + seconds(second)).await;
        peer.say(b"hello");
        peer.hears(b"hello").await;
        assert_eq!(alarms(), 1);
    }
    drop(peer);
    now().await;
    assert_eq!((conversations(), alarms()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_heard_out_after_the_end_is_so_for_two_seconds() {
    open(&config());
    let mut peer = Peer::begin(Protocol::Reply);
    peer.say(b"exit");
    now().await;
    peer.is_ended();
    let ended = Instant::now();
    sleep_until(ended + seconds(1)).await;
    peer.say(b"what?");
    until(ended + seconds(2), || assert_eq!(conversations(), 1)).await;
    assert_eq!(conversations(), 0);
    assert!(peer.0.write_all(b"hello?").is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_says_too_much_after_the_end_is_cut_off() {
    open(&config());
    let mut peer = Peer::begin(Protocol::Reply);
    peer.say(b"exit");
    now().await;
    peer.say(&vec![7; 65_535]);
    now().await;
    assert_eq!(conversations(), 1);
    peer.say(b"x");
    now().await;
    assert_eq!(conversations(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_ends_too_is_not_waited_for() {
    open(&config());
    let mut peer = Peer::begin(Protocol::Reply);
    peer.say(b"exit");
    now().await;
    drop(peer);
    now().await;
    assert_eq!(conversations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leaving_daemon_answers_what_has_arrived_and_the_end_of_file_too() {
    open(&config());
    let mut peer = Peer::begin(Protocol::Line);
    peer.say(b"one\ntwo");
    peer.0.shutdown(Shutdown::Write).expect("it is open");
    drain(Who::All, seconds(1)).await;
    assert_eq!(peer.hear(64).as_deref(), Some(&b"one!\ntwo!"[..]));
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn a_leaving_daemon_sees_an_end_of_file_before_which_all_was_read() {
    open(&config());
    let mut peer = Peer::begin(Protocol::Line);
    peer.say(b"one");
    peer.hears(b"one").await;
    peer.0.shutdown(Shutdown::Write).expect("it is open");
    drain(Who::All, seconds(1)).await;
    assert_eq!(peer.hear(64).as_deref(), Some(&b"!"[..]));
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn a_leaving_daemon_waits_for_no_peer_longer_than_it_may() {
    open(&config());
    let mut peer = Peer::begin(Protocol::Rfc862);
    peer.say(&vec![7; 65_536]);
    let began = Instant::now();
    drain(Who::All, seconds(3)).await;
    assert_eq!(began.elapsed(), seconds(3));
    while let Some(1..) = peer.hear(65_536).map(|heard| heard.len()) {}
    peer.is_ended();
}

#[tokio::test(start_paused = true)]
async fn when_every_slot_is_stuck_one_peer_loses_its_own_after_a_second() {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("it is allowed");
    open(&config());
    let order = tokio::spawn(keep_order());
    let mut stuck = Vec::new();
    for number in 0..u64::from(SLOTS) {
        if number == 1 {
            // The first is the one that has not moved for longest.
            advance(MOMENT).await;
        }
        let mut peer = Peer::begin(Protocol::Rfc862);
        peer.say(&vec![7; 65_536]);
        now().await;
        stuck.push(peer);
    }
    let full = Instant::now();
    let mut other = Peer::begin(Protocol::Rfc862);
    other.say(b"hello");
    until(full + seconds(1) - MOMENT, || assert_eq!(conversations(), SLOTS + 1)).await;
    assert_eq!(conversations(), SLOTS);
    other.hears(b"hello").await;
    while let Some(1..) = stuck[0].hear(65_536).map(|heard| heard.len()) {}
    stuck[0].is_ended();
    // There is room now, so nobody else is in danger.
    sleep_until(full + seconds(9)).await;
    now().await;
    assert_eq!(conversations(), SLOTS);
    order.abort();
}
