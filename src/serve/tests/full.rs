//! Every record of the memory file in use, which is as many conversations as there
//! can be. Most of them share one connection here, because hardly any machine lets
//! a process have so many descriptors; those that are looked at have their own.

use super::*;
use crate::conversation::{Ending, Id};
use crate::endpoint::Party;
use crate::keep::{Done, RECORDS, RULES, Terms};
use crate::report::Recording;
use crate::serve::desk::Desk;
use crate::serve::talk::{Rare, Talk};
use crate::systemd::BagNumber;
use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use tokio::task::JoinHandle;

const LAST: u32 = RECORDS - 1;

fn crowd() -> Config {
    let mut config = config();
    config.limits.connections = crate::config::Connections::literal(RECORDS);
    config
}

/// So many conversations, of which nobody hears anything.
fn fill(desk: &mut Desk, count: u32) {
    let (ours, _) = UnixStream::pair().expect("there are sockets");
    let stream = Arc::new(OwnedFd::from(ours));
    let terms = Terms { protocol: Protocol::Rfc862, rule: desk.rule, born: 1 };
    for _ in 0..count {
        let next = || u32::try_from(desk.talks.len()).expect("there are 65,536 records");
        let number = desk.records.pop().unwrap_or_else(next);
        let id = desk.memory.header().next_id();
        desk.memory.record(number).begin(id, terms, &Done::default());
        desk.memory.header().reach(number);
        desk.places.resume(None);
        let talk = Talk {
            stream: Arc::clone(&stream),
            rare: Box::new(rare(id)),
            transport: Transport::UnixStream,
            terms,
            done: Done::default(),
            owed: None,
            heard: Instant::now(),
            until: None,
            alarm: None,
            ending: None,
            parting: false,
        };
        let talks = desk.talks.len().max(number as usize + 1);
        desk.talks.resize_with(talks, || None);
        desk.talks[number as usize] = Some(talk);
    }
}

/// What nobody asks for here.
fn rare(id: Id) -> Rare {
    Rare {
        id,
        local: Party::Unknown,
        peer: Party::Unknown,
        bag: None,
        recording: Recording::Summed,
        task: None,
        waker: None,
    }
}

/// A listener that is accepted from, and where.
pub(super) struct Door {
    place: tempfile::TempDir,
    accepting: JoinHandle<std::io::Error>,
}

impl Door {
    pub(super) fn open() -> Self {
        let place = tempfile::tempdir().expect("there is a temporary directory");
        let socket = UnixListener::bind(place.path().join("door")).expect("it is free");
        socket.set_nonblocking(true).expect("it is a socket");
        let socket = Arc::new(OwnedFd::from(socket));
        let (transport, protocol) = (Transport::UnixStream, Protocol::Rfc862);
        let listener = Listener { socket, transport, protocol, counted: true };
        Self { place, accepting: tokio::spawn(accept_all(listener)) }
    }

    /// A peer that comes, and speaks at once.
    pub(super) async fn comer(&self) -> Peer {
        let stream = UnixStream::connect(self.place.path().join("door")).expect("it has room");
        stream.set_nonblocking(true).expect("it is a socket");
        let mut peer = Peer(stream);
        peer.say(b"hello");
        now().await;
        peer
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn has_record(number: u32) -> bool {
    with(|desk| desk.memory.record(number).id().is_some())
}

#[tokio::test(start_paused = true)]
async fn at_the_last_record_who_comes_waits_and_takes_the_first_that_is_free() {
    open(&crowd());
    let door = Door::open();
    with(|desk| fill(desk, RECORDS - 2));
    // One below the limit, and at it.
    let mut below = door.comer().await;
    below.hears(b"hello").await;
    let mut at = door.comer().await;
    at.hears(b"hello").await;
    assert!(conversations() == RECORDS && has_record(LAST));
    let mut above = [door.comer().await, door.comer().await, door.comer().await];
    for peer in &mut above {
        peer.is_open();
    }
    assert_eq!(conversations(), RECORDS);
    // Those that are served notice nothing.
    below.say(b"still here");
    below.hears(b"still here").await;
    let [first, second, third] = &mut above;
    drop(at);
    first.hears(b"hello").await;
    assert!(conversations() == RECORDS && has_record(LAST));
    second.is_open();
    with(|desk| desk.close(17, Ending::EndOfFile));
    second.hears(b"hello").await;
    third.is_open();
    // Several at once, of whom each is one that may come.
    with(|desk| (100..200).for_each(|number| desk.close(number, Ending::EndOfFile)));
    third.hears(b"hello").await;
    assert_eq!(conversations(), RECORDS - 99);
    println!("{RECORDS} records, 3 peers waited, 3 served; {} conversations", conversations());
}

/// A bag with one connection, of the conversation with this id and record.
fn bag(id: Id, record: u32, connection: &OwnedFd) -> OwnedFd {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::NONBLOCK,
        None,
    )
    .expect("there are sockets");
    let mut text = [0; 16];
    text[..8].copy_from_slice(&id.0.get().to_le_bytes());
    text[8..12].copy_from_slice(&record.to_le_bytes());
    text[12..14].copy_from_slice(&[Protocol::Rfc862 as u8, 1]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [connection.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    rustix::net::sendmsg(&ours, &[IoSlice::new(&text)], &mut control, SendFlags::empty())
        .expect("there is room");
    theirs
}

/// A predecessor that used every record and died over the answer of the last.
fn died_over_the_last(config: &Config, strikes: u8) -> (Opened, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    let address = listener.local_addr().expect("it is bound");
    let mut peer = TcpStream::connect(address).expect("it listens");
    let (mut ours, _) = listener.accept().expect("it has just come");
    peer.write_all(b"x").expect("it is open");
    ours.read_exact(&mut [0]).expect("it was said");
    let mut memory = Memory::create().expect("there is memory");
    let mut slot = memory.claim_slot(0).expect("nobody has it");
    slot.bytes()[0] = b'x';
    memory.free_slot(slot);
    let rule = memory.keep_rule(&config.rule, [false; RULES]).rule;
    let id = Id(NonZeroU64::MIN);
    let terms = Terms { protocol: Protocol::Rfc862, rule, born: 1 };
    memory.record(LAST).begin(id, terms, &Done::default());
    for _ in 0..strikes {
        memory.record(LAST).strike();
    }
    memory.header().reach(LAST);
    memory.header().begin_turn(LAST);
    let bags = vec![(BagNumber(1), bag(id, LAST, &ours.into()))];
    (open_desk(Opening { memory, store: None, bags }, config), peer)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_record_of_one_that_killed_too_often_gets_it() {
    let config = crowd();
    let (opened, mut fatal) = died_over_the_last(&config, 3);
    let suspect = opened.suspect.expect("it was its turn");
    with(|desk| fill(desk, LAST));
    assert!(has_record(LAST) && conversations() == LAST);
    let door = Door::open();
    // There is a place, and no record for it.
    let mut peer = door.comer().await;
    peer.is_open();
    face(suspect);
    peer.hears(b"hello").await;
    assert_eq!(conversations(), RECORDS);
    let end = fatal.read(&mut [0; 16]).expect_err("nothing was answered");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    println!("{LAST} conversations and a suspect, whose record was waited for by 1 and taken");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_goes_does_not_take_the_record_of_a_suspect_along() {
    let config = crowd();
    let (opened, mut fatal) = died_over_the_last(&config, 0);
    let suspect = opened.suspect.expect("it was its turn");
    with(|desk| {
        fill(desk, 600);
        for number in 0..LAST {
            if desk.talks[number as usize].is_some() {
                desk.close(number, Ending::EndOfFile);
            }
        }
        desk.tidy();
    });
    face(suspect);
    now().await;
    let mut heard = [0; 16];
    let length = fatal.read(&mut heard).expect("it goes on");
    assert_eq!((conversations(), &heard[..length]), (1, &b"x"[..]));
}
