//! Datagrams: one task for each socket, one batch for all of them.

use super::buckets::Buckets;
use super::desk::{Desk, with};
use super::guard::Guard;
use crate::config::{Level, Limits, Ports};
use crate::conversation::Refusal;
use crate::echo::{Insertion, Protocol, answer_datagram};
use crate::endpoint::{Party, Source, Transport};
use crate::keep::{self, Memory, RULES, RuleIndex};
use crate::report::{self, Envelope};
use crate::socket::{self, Arrived, BATCH, Batch, Owner, Sender, Watch};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A socket that datagrams arrive on.
#[derive(Debug)]
pub struct Mailbox {
    /// The socket: non-blocking.
    pub socket: Arc<OwnedFd>,
    /// How its datagrams travel.
    pub transport: Transport,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What the desk has for datagrams.
#[derive(Debug)]
pub(super) struct Mail {
    batch: Batch,
    /// The batch in which a predecessor died, until its socket is found.
    left: Option<Owner>,
    buckets: Option<Buckets>,
    refused_ports: Ports,
    /// Where the buckets' time begins.
    start: Instant,
}

/// A mailbox that is watched.
#[derive(Debug)]
pub struct Post {
    watch: Watch,
    transport: Transport,
    protocol: Protocol,
    cookie: u64,
    local: Party,
    /// Nobody outside this machine can send to a Unix socket.
    guard: Option<Guard>,
}

impl Mail {
    pub(super) fn open(memory: &mut Memory, limits: &Limits) -> Self {
        let area = memory.take_datagrams().expect("nobody has asked before");
        let mut batch = Batch::new(area);
        Self {
            left: batch.left(),
            batch,
            buckets: limits.datagram_rate.map(Buckets::new),
            refused_ports: limits.refused_source_ports.clone(),
            start: Instant::now(),
        }
    }
}

impl Mail {
    /// Says by which rule the batch is answered in which a predecessor died.
    pub(super) fn use_rule(&self, in_use: &mut [bool; RULES]) {
        if let Some(used) = self.rule().and_then(|rule| in_use.get_mut(usize::from(rule))) {
            *used = true;
        }
    }

    fn rule(&self) -> Option<RuleIndex> {
        self.left.and_then(|left| read_terms(left.terms)).map(|(_, rule)| rule)
    }

    /// Gives that batch up, if it needs this rule.
    pub(super) fn drop_rule(&mut self, rule: RuleIndex) {
        if self.rule() == Some(rule) {
            self.left = None;
        }
    }
}

impl Post {
    /// Begins to watch a mailbox. If a predecessor died over a batch from it, the
    /// rest of that batch is answered now: so open all before [`answer_all`] has
    /// the first.
    pub fn open(mailbox: Mailbox) -> io::Result<Self> {
        let Mailbox { socket, transport, protocol } = mailbox;
        let cookie = socket::cookie(socket.as_fd())?;
        let local = socket::local(socket.as_fd());
        let guard = match local {
            Party::Ip(own) => with(|desk| Some(Guard::new(own, desk.mail.refused_ports.clone()))),
            _ => None,
        };
        let watch = Watch::listener(socket)?;
        let post = Self { watch, transport, protocol, cookie, local, guard };
        with(|desk| desk.finish_batch(&post));
        Ok(post)
    }

    fn envelope(&self, arrived: &Arrived<'_>) -> Envelope {
        let local = match (self.local, arrived.control.asked) {
            (Party::Ip(own), Some(asked)) => Party::new_ip((asked, own.port()).into()),
            (local, _) => local,
        };
        Envelope {
            transport: self.transport,
            protocol: self.protocol,
            local,
            peer: arrived.peer(),
            hops: arrived.control.hops,
        }
    }
}

/// How long nothing is taken after memory ran out, or when there are only errors.
const PAUSE: Duration = Duration::from_millis(100);

/// So many errors in a row may each be about one datagram that was sent before,
/// which the network says once. A sandbox that denies the call says it for ever.
const ERRORS: u32 = 16;

/// Answers for as long as the socket lives; returns what it died of.
pub async fn answer_all(post: Post) -> io::Error {
    let mut errors = 0;
    loop {
        post.watch.readable().await;
        match with(|desk| desk.answer_batch(&post)) {
            Err(error) if is_gone(&error) => return error,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => errors = 0,
            Err(error) if errors < ERRORS && !is_shortage(&error) => errors += 1,
            Err(_) => tokio::time::sleep(PAUSE).await,
            Ok(taken) => {
                errors = 0;
                // A batch is a turn like any other, however many wait.
                if taken == BATCH {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOBUFS | Errno::NOMEM))
}

/// Whether there is no socket any more. Unlike a listener's, any other error can
/// be about one datagram.
fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::BADF | Errno::NOTSOCK))
}

impl Desk {
    /// Takes up to a batch from a mailbox, and answers it.
    fn answer_batch(&mut self, post: &Post) -> io::Result<usize> {
        let (batch, rule) = (&mut self.mail.batch, self.rule);
        let owner = Owner { cookie: post.cookie, terms: terms(post.protocol, rule) };
        let receive = |socket: BorrowedFd<'_>| batch.receive(socket, post.transport, owner);
        let taken = post.watch.take_many(BATCH, receive)?;
        self.give_batch(post, post.protocol, rule);
        Ok(taken)
    }

    /// Answers what is left of a batch in which a predecessor died.
    fn finish_batch(&mut self, post: &Post) {
        let Some(left) = self.mail.left.take_if(|left| left.cookie == post.cookie) else { return };
        if let Some((protocol, rule)) = read_terms(left.terms) {
            self.give_batch(post, protocol, rule);
        }
    }

    fn give_batch(&mut self, post: &Post, protocol: Protocol, rule: RuleIndex) {
        let Some(Some(rule)) = self.rules.get(usize::from(rule)) else { return };
        let Mail { batch, buckets, start, .. } = &mut self.mail;
        let (header, now) = (self.memory.header(), start.elapsed());
        let refuse = |arrived: &Arrived<'_>, refusal| {
            header.refuse(refusal);
            report::refused(&arrived.peer(), refusal);
        };
        let decide = |arrived: &Arrived<'_>| {
            let judged = post.judge(arrived, buckets.as_mut(), now);
            let answer = judged.and_then(|()| {
                answer_datagram(rule, protocol, arrived.message, arrived.length)
                    .map_err(|_| Refusal::TooLong)
            });
            answer
                .inspect(|answer| post.record(arrived, answer))
                .map_err(|refusal| refuse(arrived, refusal))
                .ok()
        };
        let failed = |arrived: &Arrived<'_>, _: &io::Error| refuse(arrived, Refusal::Unsendable);
        let given = batch.answer(post.watch.socket(), decide, failed);
        keep::add(&header.datagrams, given.datagrams);
        keep::add(&header.received, given.received);
        keep::add(&header.sent, given.sent);
        self.turns += 1;
        self.stir();
    }
}

impl Post {
    /// Whether a datagram gets an answer.
    fn judge(
        &self,
        arrived: &Arrived<'_>,
        buckets: Option<&mut Buckets>,
        now: Duration,
    ) -> Result<(), Refusal> {
        match (arrived.sender, &self.guard) {
            (Sender::Nameless, _) => Err(Refusal::Nameless),
            (Sender::Ip(source), Some(guard)) => {
                let control = &arrived.control;
                guard.check(source, control.asked, control.is_broadcast)?;
                // Once; from then on nothing is known to have been asked.
                if control.is_own && guard.is_for(control.asked) {
                    socket::stop_saying_asked(self.watch.socket());
                }
                let admitted =
                    buckets.is_none_or(|buckets| buckets.admit(Source::of(source.ip()), now));
                if admitted { Ok(()) } else { Err(Refusal::Rate) }
            }
            _ => Ok(()),
        }
    }

    /// Records a datagram and its answer, as the tutorial prints them.
    fn record(&self, arrived: &Arrived<'_>, answer: &Insertion<'_>) {
        if report::wants(Level::Debug) {
            let envelope = self.envelope(arrived);
            report::datagram_received(&envelope, arrived.message);
            report::datagram_sent(&envelope, &answer.pieces(arrived.message));
        }
    }
}

/// What a batch is answered by, in one number.
fn terms(protocol: Protocol, rule: RuleIndex) -> u64 {
    u64::from(protocol as u8) | u64::from(rule) << 8
}

fn read_terms(terms: u64) -> Option<(Protocol, RuleIndex)> {
    let [protocol, rule, ..] = terms.to_le_bytes();
    Some((Protocol::from_u8(protocol)?, rule))
}
