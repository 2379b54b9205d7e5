//! The meters that a predecessor left: of each conversation is counted what lies
//! there; then a whole desk is opened on it, and every peer hears what follows
//! from the counts, or a reset. Where nobody tampered with anything, what each
//! hears before and after is its answer, once.
//!
//! It is long because what was left, and what each peer heard of it, is one scene.

use super::bag::{self, open_descriptors};
use super::desk::{self, Heard, Peer};
use super::input::Input;
use super::memory::{SLOTS_AT, put, read, unmap, unmap_at};
use echod::config::Config;
use echod::conversation::{Counters, Phase};
use echod::echo::{self, Protocol, Rule, State};
use echod::endpoint::Transport;
use echod::keep::{Done, Memory, Noted, RULES, SLOT_SIZE, SLOTS, Slot, Terms, Verdict, verdict};
use echod::serve::{self, Counted};
use echod::socket::{METER_SIZE, Meters};
use echod::systemd::Entry;
use rustix::fs::fstat;
use rustix::io::dup;
use std::io::{IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

const METERS_AT: u64 = SLOTS_AT - SLOTS as u64 * METER_SIZE as u64;
const CONVERSATIONS_MAX: usize = 4;

pub fn run(input: &[u8]) {
    desk::prepare();
    let mut input = Input::new(input);
    let open = open_descriptors();
    let mut left = Left::new(&mut input);
    while !input.is_empty() && left.talks.len() < CONVERSATIONS_MAX {
        left.begin(&mut input);
    }
    left.tamper(&mut input);
    let expected = left.expected();
    left.adopt(&expected);
    assert_eq!(open_descriptors(), open, "no descriptor is left open");
}

/// What a predecessor leaves.
struct Left {
    memory: Memory,
    meters: Meters,
    slots: Vec<Slot>,
    rule: Rule,
    talks: Vec<Talk>,
    suspect: Option<u32>,
    is_sound: bool,
}

/// One conversation, and its peer.
struct Talk {
    entry: Entry,
    protocol: Protocol,
    noted: Noted,
    phase: Phase,
    ours: UnixStream,
    peer: UnixStream,
    /// What is due, and how much of it the predecessor gave.
    due: Vec<u8>,
    given: usize,
    /// What the peer says to the successor.
    more: Vec<u8>,
    /// Whether its counts do not pass their ends.
    is_countable: bool,
}

impl Left {
    fn new(input: &mut Input) -> Self {
        let mut memory = Memory::create().expect("there is memory");
        let meters = Meters::new(memory.take_meters().expect("nobody has asked before"));
        let slots = (0..4).map(|number| memory.claim_slot(number).expect("it is free")).collect();
        let rule = input.rule();
        let (talks, suspect) = (Vec::new(), None);
        Self { memory, meters, slots, rule, talks, suspect, is_sound: true }
    }

    /// A conversation that takes a little and gives some of its answer.
    fn begin(&mut self, input: &mut Input) {
        let number = u32::try_from(self.talks.len()).expect("there are few");
        let shape = input.byte();
        let protocol = Protocol::ALL[usize::from(shape) % 3];
        let done = self.done(protocol, input);
        let id = self.memory.header().next_id();
        let meter = self.meters.of(number).expect("there are many");
        let (ours, mut peer) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("it is a socket");
        meter.begin(id.0, done.taken, done.given);
        let slot = &mut self.slots[number as usize];
        let (mut due, mut taken) = (Vec::new(), 0);
        if done.state.last() {
            due.extend(echo::farewell(&self.rule, protocol, done.state).flatten());
        } else if !done.state.ended() {
            let most = echo::read_max(&self.rule, protocol);
            let said = input.field();
            let said = &said[..said.len().min(most)];
            peer.write_all(said).expect("there is room");
            if !said.is_empty() {
                taken = meter.take(ours.as_fd(), &mut slot.bytes()[..most]).expect("it was said");
                assert_eq!(taken, said.len());
            }
            let answer = echo::answer(&self.rule, protocol, done.state, slot.bytes(), taken);
            due.extend(answer.flatten());
        }
        let given = usize::from(u16::from_le_bytes(input.array())) % (due.len() + 1);
        let (first, second) = due[..given].split_at(given / 2);
        for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
            let given = meter.give(ours.as_fd(), &[IoSlice::new(piece)]);
            assert_eq!(given.expect("there is room"), piece.len());
        }
        let rules = self.memory.keep_rule(&self.rule, [true; RULES]);
        let record = self.memory.record(number);
        record.begin(id, Terms { protocol, rule: rules.rule, born: 1 }, &done);
        self.memory.header().reach(number);
        let is_misplaced = shape & 0x80 != 0;
        let places = [0, 1, 2, 3, SLOTS];
        record.place(if is_misplaced { places[usize::from(input.byte()) % 5] } else { number });
        self.is_sound &= !is_misplaced;
        let noted = record.noted();
        let phase = end(shape >> 4 & 7, &ours, &peer);
        if shape & 0x0c == 0x0c {
            self.suspect = Some(number);
            self.memory.header().begin_turn(number);
        }
        self.talks.push(Talk {
            entry: Entry { id: id.0.get(), record: number, protocol: protocol as u8 },
            protocol,
            noted,
            phase,
            ours,
            peer,
            given,
            more: input.field().to_vec(),
            is_countable: is_countable(done.taken, taken) && is_countable(done.given, due.len()),
            due,
        });
    }

    /// What was done by then, of which any counts are possible.
    fn done(&self, protocol: Protocol, input: &mut Input) -> Done {
        let shape = input.byte();
        let mut count = |bit: u8| match shape & bit {
            0 => u64::from(input.byte()),
            _ => u64::from_le_bytes(input.array()),
        };
        let (taken, given) = (count(1), count(2));
        let state = State::from_bits(match shape & 4 {
            0 => 0,
            _ => u16::from_le_bytes(input.array()),
        });
        let is_valid = state.is_valid(protocol, &self.rule);
        let state = if is_valid { state } else { State::START };
        Done { taken, given, state, messages: u64::MAX }
    }

    /// Any bytes in the meters.
    fn tamper(&mut self, input: &mut Input) {
        let size = fstat(self.memory.file()).expect("it is a file").st_size.unsigned_abs();
        while !input.is_empty() {
            let (cell, offset) = (u64::from(input.byte()) % 4, u64::from(input.byte()));
            let at = METERS_AT + cell * METER_SIZE as u64 + offset;
            put(self.memory.file(), size, at, input.field());
            self.is_sound = false;
        }
    }

    /// What a plain account of the bytes says that each peer hears.
    fn expected(&mut self) -> Vec<Heard> {
        let mut slots: Vec<_> = self.slots.iter_mut().map(|slot| slot.bytes().to_vec()).collect();
        let mut free = vec![true; slots.len()];
        let mut expected = Vec::new();
        let mut put_off = None;
        for (number, talk) in self.talks.iter().enumerate() {
            let counters = self.counters(talk);
            let counted = serve::count(&self.memory, &self.meters, &talk.entry, talk.ours.as_fd());
            let known = Counted::Known(Transport::UnixStream, counters);
            assert_eq!(counted.expect("it is a connection"), known);
            let unanswered = talk.noted.unanswered(counters.taken);
            let is_due = unanswered > 0 || talk.noted.state.last();
            let named = talk.noted.slot as usize;
            let needs = unanswered > 0 || is_due && talk.phase == Phase::PeerEnded;
            let claims = needs && talk.phase != Phase::Closed && named < free.len() && free[named];
            if claims {
                free[named] = false;
            }
            let is_open = matches!(talk.phase, Phase::Open | Phase::PeerEnded);
            if is_open && is_due && self.suspect == Some(talk.entry.record) {
                put_off = Some((number, counters, claims));
                expected.push(None);
                continue;
            }
            let slot = claims.then(|| &mut slots[named][..]);
            let (heard, keeps) = talk.hears(&self.rule, &counters, slot);
            if claims && !keeps {
                free[named] = true;
            }
            expected.push(heard);
        }
        if let Some((number, counters, claims)) = put_off {
            let talk = &self.talks[number];
            let slot = claims.then(|| &mut slots[talk.noted.slot as usize][..]);
            expected[number] = talk.hears(&self.rule, &counters, slot).0;
        }
        for (talk, heard) in self.talks.iter().zip(&expected) {
            let is_open = matches!(talk.phase, Phase::Open | Phase::PeerEnded);
            if self.is_sound && talk.is_countable && is_open && !talk.noted.state.last() {
                let heard = heard.as_ref().expect("it contradicts nothing");
                assert!(heard.starts_with(&talk.due[talk.given..]), "the rest of its answer");
            }
        }
        expected
    }

    /// What its meter says, if that one is about it, and else its record.
    fn counters(&self, talk: &Talk) -> Counters {
        let Talk { noted, phase, .. } = talk;
        let cell = METERS_AT + u64::from(noted.slot.min(SLOTS - 1)) * METER_SIZE as u64;
        let bytes = read(self.memory.file(), cell, METER_SIZE);
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight"));
        let half = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
        let note = |at: usize| if half(at) == u32::MAX { 0 } else { u64::from(half(at)) };
        let (taken, given) = if noted.slot >= SLOTS || word(0) != talk.entry.id {
            (noted.c0, noted.w0)
        } else {
            let last = usize::from(half(32) == 1);
            let given = word(16 + 8 * last).saturating_add(note(160 + 64 * last));
            (word(8).saturating_add(note(96)), given)
        };
        Counters { taken, given, phase: *phase }
    }

    /// Opens a desk on all this, and listens.
    fn adopt(self, expected: &[Heard]) {
        let (write, read) = bag::pair();
        let mut peers = Vec::new();
        for talk in self.talks {
            let Entry { id, record, protocol } = talk.entry;
            let text = [&id.to_le_bytes()[..], &record.to_le_bytes(), &[protocol, 1, 0, 0]];
            bag::send(&write, &text.concat(), &[talk.ours.as_fd()]);
            peers.push(Peer {
                stream: talk.peer,
                says: talk.more,
                had: talk.due[..talk.given].to_vec(),
                phase: talk.phase,
            });
        }
        drop(write);
        let file = dup(self.memory.file()).expect("a descriptor");
        unmap(self.memory);
        let memory = Memory::adopt(file).expect("it is ours");
        let base = std::ptr::from_ref(memory.header());
        let config = Config { rule: self.rule, ..Config::default() };
        desk::is_heard(memory, read, &config, peers, expected);
        unmap_at(base);
    }
}

impl Talk {
    /// What the peer hears if so much was taken and given, and whether its answer
    /// is given from the slot.
    fn hears(&self, rule: &Rule, counters: &Counters, slot: Option<&mut [u8]>) -> (Heard, bool) {
        let Self { noted, protocol, .. } = self;
        let mut copy = slot.as_ref().map(|slot| slot.to_vec());
        let mut heard: Vec<u8> = Vec::new();
        let has_slot = copy.is_some();
        let mut state = noted.state;
        let mut keeps = false;
        match verdict(noted, counters, *protocol, rule, slot) {
            Verdict::Gone | Verdict::Contradiction => return (None, false),
            Verdict::Finish => return (Some(heard), false),
            Verdict::Idle => {}
            Verdict::Answered(done) => state = done.state,
            Verdict::Resume { taken, skip } => {
                let bytes = copy.as_mut().expect("it was needed");
                let mut rest = echo::answer(rule, *protocol, state, bytes, taken);
                assert!(rest.skip_bytes(skip));
                heard.extend(rest.by_ref().flatten());
                (state, keeps) = (rest.outcome().state, true);
            }
            Verdict::Farewell { .. } if !has_slot => return (None, false),
            Verdict::Farewell { skip } => {
                let mut rest = echo::farewell(rule, *protocol, state);
                assert!(rest.skip_bytes(skip));
                return (Some(rest.flatten().copied().collect()), true);
            }
        }
        let more = if self.phase == Phase::Open { &self.more[..] } else { &[] };
        for read in more.chunks(echo::read_max(rule, *protocol)) {
            let mut buffer = vec![0; SLOT_SIZE];
            buffer[..read.len()].copy_from_slice(read);
            let mut answer = echo::answer(rule, *protocol, state, &mut buffer, read.len());
            heard.extend(answer.by_ref().flatten());
            state = answer.outcome().state;
        }
        heard.extend(echo::farewell(rule, *protocol, state).flatten());
        (Some(heard), keeps)
    }
}

/// Whether so many bytes more can be counted; beyond it all is a contradiction.
fn is_countable(before: u64, more: usize) -> bool {
    before.checked_add(more as u64).is_some_and(|sum| sum < 1 << 63)
}

/// Ends a conversation on one side, on both, or not at all.
fn end(shape: u8, ours: &UnixStream, peer: &UnixStream) -> Phase {
    let (phase, ended) = match shape {
        0 => (Phase::WeEnded, ours.shutdown(Shutdown::Write)),
        1 => (Phase::Closed, peer.shutdown(Shutdown::Both)),
        2 | 3 => (Phase::PeerEnded, peer.shutdown(Shutdown::Write)),
        _ => (Phase::Open, Ok(())),
    };
    ended.expect("it is a socket");
    phase
}
