//! A stage for one daemon that is traced, and for peers that do what they are
//! told.
//!
//! It is long because the stage and who stands on it see each other's fields.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod acts;

use crate::ordeal::{Scene, stored};
use crate::peers::place::{Family, Place};
use crate::peers::successor::{Found, Row, Rows, Successor};
use crate::peers::text::SUFFIX;
use crate::support::manager::Manager;
use crate::tracer::{Stop, Tracee};
use echod::echo::Protocol;
use echod::keep::{Header, Record, SLOTS};
use echod::socket::Meter;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::cell::Cell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;

/// A peer that does what it is told, and never waits.
pub struct Talker {
    pub protocol: Protocol,
    stream: TcpStream,
    /// In `reply` without the suffixes, whose number only the daemon knows.
    owed: Vec<u8>,
    heard: Vec<u8>,
    unsaid: Vec<u8>,
    has_ended: bool,
    is_over: bool,
    /// Why the daemon ended it.
    pub broken: Option<ErrorKind>,
    /// Whether it may be reset in the middle of an answer.
    may_be_cut: bool,
}

impl Talker {
    pub fn connect(address: SocketAddr, protocol: Protocol) -> Self {
        Self::connect_to(&address.into(), protocol, false)
    }

    /// To any place. A small one can receive so little that answers get stuck.
    pub fn connect_to(place: &Place, protocol: Protocol, small: bool) -> Self {
        Self::of(place.connect(small).expect("the listener's queue has room"), protocol)
    }

    fn of(stream: TcpStream, protocol: Protocol) -> Self {
        let (owed, heard, unsaid) = (Vec::new(), Vec::new(), Vec::new());
        let (has_ended, is_over, broken, may_be_cut) = (false, false, None, false);
        Self { protocol, stream, owed, heard, unsaid, has_ended, is_over, broken, may_be_cut }
    }

    /// From now on a reset, though no end of file, may cut what it is owed.
    pub fn may_be_cut(&mut self) {
        self.may_be_cut = true;
    }

    /// Says this, for which it is owed that.
    pub fn say(&mut self, words: &[u8], answer: &[u8]) {
        self.unsaid.extend(words);
        self.owed.extend(answer);
        self.speak();
    }

    /// Says a line or a message; the answer is the protocol's.
    pub fn say_message(&mut self, message: &str) {
        let line = format!("{message}\n");
        let answer = match self.protocol {
            Protocol::Line => format!("{message}{SUFFIX}\n"),
            Protocol::Reply | Protocol::Rfc862 => line.clone(),
        };
        self.say(line.as_bytes(), answer.as_bytes());
    }

    /// Ends its side; the last words are answered like that.
    pub fn end(&mut self, words: &[u8], answer: &[u8]) {
        self.say(words, answer);
        assert!(self.unsaid.is_empty(), "it has said everything");
        self.stream.shutdown(Shutdown::Write).expect("it is open");
        self.has_ended = true;
    }

    /// Says what makes the daemon end the conversation.
    pub fn say_exit(&mut self, words: &[u8]) {
        self.say(words, b"");
        self.has_ended = true;
    }

    /// Says what the daemon will die of, and so is owed nothing.
    pub fn say_fatal(&mut self, words: &[u8]) {
        self.unsaid.extend(words);
        self.speak();
    }

    /// How many bytes it could hear.
    pub fn audible(&self) -> u64 {
        rustix::io::ioctl_fionread(self.stream.as_fd()).expect("it is open")
    }

    /// Whether it was reset.
    pub fn is_lost(&mut self) -> bool {
        match self.stream.read(&mut [0; 16]) {
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
            Ok(n) => panic!("it heard {n} bytes"),
        }
    }

    fn speak(&mut self) {
        match self.stream.write(&self.unsaid) {
            Ok(n) => drop(self.unsaid.drain(..n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                self.broken = Some(error.kind());
                self.unsaid.clear();
            }
        }
    }

    /// Hears what is there. Whether it has got all it is owed.
    pub fn is_content(&mut self) -> bool {
        if !self.unsaid.is_empty() {
            self.speak();
        }
        let mut buffer = [0; 16_384];
        while !self.is_over {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.is_over = true,
                Ok(n) => self.heard.extend(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.broken = Some(error.kind());
                    self.is_over = true;
                }
            }
        }
        if self.is_over && (!self.has_ended || self.broken.is_some()) {
            let is_cut = self.may_be_cut && self.broken == Some(ErrorKind::ConnectionReset);
            let is_right = is_cut && self.owed.starts_with(&self.without_suffixes());
            let is_gap = self.heard.is_empty();
            assert!(is_gap || is_right, "{} after {:?}", self.account(), self.broken);
            self.broken = Some(self.broken.unwrap_or(ErrorKind::UnexpectedEof));
            return true;
        }
        let heard = self.without_suffixes();
        let is_whole = heard.len() >= self.owed.len();
        if is_whole || self.is_over {
            assert!(heard == self.owed, "{}", self.account());
        }
        is_whole && self.is_over == self.has_ended && self.ends_well()
    }

    fn without_suffixes(&self) -> Vec<u8> {
        if self.protocol != Protocol::Reply {
            return self.heard.clone();
        }
        let suffix = SUFFIX.as_bytes();
        let mut rest = &self.heard[..];
        let mut heard = Vec::new();
        while let Some((&first, behind)) = rest.split_first() {
            match rest.strip_prefix(suffix) {
                Some(behind) => rest = behind,
                None if suffix.starts_with(rest) => break,
                None => {
                    heard.push(first);
                    rest = behind;
                }
            }
        }
        heard
    }

    fn ends_well(&self) -> bool {
        self.protocol != Protocol::Reply
            || self.owed.is_empty()
            || self.heard.ends_with(SUFFIX.as_bytes())
    }

    pub fn account(&self) -> String {
        let tail =
            |bytes: &[u8]| bytes[bytes.len().saturating_sub(80)..].escape_ascii().to_string();
        format!(
            "{} owed {} bytes, …{}; heard {} bytes, …{}",
            self.protocol,
            self.owed.len(),
            tail(&self.owed),
            self.heard.len(),
            tail(&self.heard)
        )
    }
}

/// The daemon, stopped before its first instruction or running freely.
pub struct Stage {
    /// Goes before its manager does.
    pub tracee: Option<Tracee>,
    pub manager: Manager,
    pub successor: Successor,
    fifo: PathBuf,
    pub kills: u64,
    /// How the last life ended.
    pub status: Option<ExitStatus>,
    pub rows: Rows,
    /// Of protocol `P`: with buffers of the usual size, and with small ones.
    addresses: Vec<(Protocol, Place, Place)>,
}

impl Stage {
    pub fn set(arguments: &[&str]) -> Self {
        Self::set_over(Family::Tcp, arguments)
    }

    /// The same, with connections of any family.
    pub fn set_over(family: Family, arguments: &[&str]) -> Self {
        Self::set_over_all(&[family], arguments, |_| {})
    }

    /// With something that is prepared before the daemon starts.
    pub fn set_with(arguments: &[&str], prepare: impl FnOnce(&mut Scene)) -> Self {
        Self::set_over_all(&[Family::Tcp], arguments, prepare)
    }

    /// Both, with connections of these families.
    pub fn set_over_all(
        families: &[Family],
        arguments: &[&str],
        prepare: impl FnOnce(&mut Scene),
    ) -> Self {
        let mut scene = Scene::of("/bin/sh", &[]);
        prepare(&mut scene);
        let all = families.iter().flat_map(|&family| Protocol::ALL.map(|it| (family, it)));
        let addresses = all.map(|(family, protocol)| {
            let mut listen = |buffer| scene.listen_over(family, protocol, buffer);
            (protocol, listen(None), listen(Some(1)))
        });
        let addresses = addresses.collect();
        let fifo = scene.manager.place().join("go");
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a place of our own");
        let script = r#"read go < "$0"; exec "$@""#;
        let path = fifo.to_str().expect("it is text");
        let echod = env!("CARGO_BIN_EXE_echod");
        let own = ["-c", script, path, echod, "--record-rate", "0"];
        scene.arguments = [&own, arguments].concat().into_iter().map(str::to_owned).collect();
        scene.start();
        let mut stage = Self {
            manager: scene.manager,
            successor: Successor::default(),
            tracee: None,
            fifo,
            kills: 0,
            status: None,
            rows: Rows::default(),
            addresses,
        };
        stage.seize();
        stage
    }

    /// A new peer; `small` gets stuck if it does not listen.
    pub fn talker(&self, protocol: Protocol, small: bool) -> Talker {
        self.talker_over(self.family(), protocol, small)
    }

    /// The same, of any family that it was set over.
    pub fn talker_over(&self, family: Family, protocol: Protocol, small: bool) -> Talker {
        let is_own =
            |place: &(Protocol, Place, Place)| place.0 == protocol && place.1.family() == family;
        let own = self.addresses.iter().find(|place| is_own(place));
        let (_, usual, tiny) = own.expect("all are there");
        Talker::connect_to(if small { tiny } else { usual }, protocol, small)
    }

    /// How its connections travel, if nothing else is said.
    pub fn family(&self) -> Family {
        self.addresses[0].1.family()
    }

    fn seize(&mut self) {
        let fifo = &self.fifo;
        // Opened when the shell has opened it, and so is in its read.
        let gate = std::fs::OpenOptions::new().write(true).open(fifo).expect("the shell reads");
        self.tracee = Some(Tracee::seize(self.manager.pid(), || drop(gate)));
    }

    pub fn tracee(&mut self) -> &mut Tracee {
        self.tracee.as_mut().expect("it lives")
    }

    /// Runs until it is ready, and everybody has what they are owed.
    pub fn run(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let manager = &self.manager;
        let is_ready = || {
            manager.wait("anything", |known| {
                Some(known.present().any(|heard| heard.value("READY") == Some("1")))
            })
        };
        let mut ready = false;
        self.tracee.as_mut().expect("it lives").run_until(what, || {
            ready = ready || is_ready();
            ready && done()
        });
    }

    /// Kills it where it is, looks at what it left, and starts the next.
    pub fn kill(&mut self) -> Vec<Found> {
        self.status = Some(self.tracee.take().expect("it lives").kill(&mut self.manager));
        self.kills += 1;
        let stored = stored(&mut self.manager);
        let (rows, found) = self.successor.look(&stored);
        for row in [Row::Contradiction, Row::Stranger] {
            assert_eq!(rows.count(row), 0, "{found:#?}");
        }
        self.rows.add(&rows);
        self.manager.start_again();
        self.seize();
        found
    }

    /// Whether every record is free.
    pub fn is_empty(&mut self) -> bool {
        let stored = stored(&mut self.manager);
        let Some(memory) = self.successor.memory(&stored) else { return true };
        (0..memory.header().reached()).all(|number| memory.record(number).id().is_none())
    }
}

impl Stage {
    /// What shows every store into the memory file that a turn can make.
    pub fn watch(&mut self) -> Watch {
        let stored = stored(&mut self.manager);
        let mapped = self.successor.mapped(&stored);
        let (memory, meters) = mapped.expect("it is stored before READY=1");
        let reach = memory.header().reached();
        Watch {
            header: memory.header(),
            records: (0..reach).map(|number| memory.record(number)).collect(),
            meters: (0..SLOTS).filter_map(|slot| meters.of(slot)).collect(),
        }
    }
}

/// The words that are stored in turns.
pub struct Watch {
    header: &'static Header,
    records: Vec<&'static Record>,
    meters: Vec<Meter>,
}

impl Watch {
    /// The slot of the eldest conversation.
    pub fn eldest_slot(&self) -> u32 {
        let known = self.records.iter().filter_map(|record| record.id().zip(Some(record)));
        known.min_by_key(|(id, _)| id.0).expect("there is one").1.noted().slot
    }

    /// What they say now.
    pub fn look(&self) -> Vec<u64> {
        let Header { served, received, sent, .. } = self.header;
        let totals = [served, received, sent].map(|total| total.load(Ordering::Acquire));
        let turn = self.header.turn().map_or(0, |turn| u64::from(turn) + 1);
        let mut words = vec![turn];
        words.extend(totals);
        for record in &self.records {
            let noted = record.noted();
            let id = record.id().map_or(0, |id| id.0.get());
            let state = u64::from(noted.state.bits());
            words.extend([id, noted.c0, state, noted.w0, noted.slot.into(), noted.messages]);
            words.push(record.strikes().into());
            let meter = self.meters.get(noted.slot as usize).zip(record.id());
            let metered = meter.and_then(|(meter, id)| meter.read(id.0));
            words.extend(metered.map_or([0, u64::MAX], |(taken, given)| [taken, given]));
        }
        words
    }
}

/// Counts stops, and knows when the daemon waits.
#[derive(Default)]
pub struct Count {
    pub stops: Cell<u64>,
    waits: Cell<bool>,
}

impl Count {
    /// Whether this is the stop with that number, from 0.
    pub fn is_at(&self, number: u64, stop: Stop) -> bool {
        self.waits.set(stop.is_wait());
        let at = self.stops.get();
        self.stops.set(at + 1);
        at == number
    }

    /// Whether it waits in the kernel for something to happen.
    pub fn waits(&self) -> bool {
        self.waits.get()
    }
}
