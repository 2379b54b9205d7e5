//! One peer: says its text, checks what it hears, and says goodbye.
//!
//! It is long because what a peer plans, says and checks is one state.

use super::place::Place;
use super::text::{Random, SUFFIX, Text, text};
use echod::echo::Protocol;
use rustix::net::sockopt;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::ops::Add;
use std::time::{Duration, Instant};

/// What kind of peer.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: Place,
    pub protocol: Protocol,
    pub load: Load,
    pub goodbye: Goodbye,
    /// As small as the kernel allows, so that answers get stuck.
    pub small_buffer: bool,
    /// `--message-max`: no message may be longer.
    pub message_max: usize,
}

/// How much it says before it has heard the answer.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// One message of at most so many bytes (in `line` a few lines), and no more
    /// before it is answered.
    Turns { most: u64 },
    /// So many bytes under way.
    Window { bytes: u64 },
    /// The same, but it hears so few bytes at once, and then rests.
    Slow { bytes: u64, bite: usize, rest: Duration },
    /// One byte at a time, and then it rests.
    Drip { rest: Duration },
    /// As much as goes, and it hears nothing: once an answer has waited for the
    /// stall timeout, but no sooner, it may be reset.
    Deaf { stall: Duration },
}

/// How it ends, after it has said about so much.
#[derive(Clone, Copy, Debug)]
pub enum Goodbye {
    /// Ends its side, and must get all it is owed. Every peer does that when the
    /// crowd breaks up.
    HalfClose { after: u64 },
    /// Leaves without waiting for anything, with a reset or an end of file.
    Leave { after: u64 },
    /// Says the exit word, and must get all it is owed before it.
    Exit { after: u64 },
    /// Leaves at once, some with a few words that nobody waits for.
    Vanish,
}

impl Plan {
    /// What one calls such a peer.
    pub fn kind(&self) -> &'static str {
        match (self.load, self.goodbye) {
            (_, Goodbye::Vanish) => "vanishers",
            (_, Goodbye::Leave { .. }) => "resetters",
            (_, Goodbye::Exit { .. }) => "exit-sayers",
            (Load::Drip { .. }, _) => "drippers",
            (Load::Deaf { .. }, _) => "never-readers",
            (Load::Slow { .. }, _) => "slow readers",
            (Load::Window { bytes }, _) if bytes >= 1 << 20 => "flooders",
            (Load::Window { .. }, _) => "full windows",
            (Load::Turns { .. }, Goodbye::HalfClose { after }) if after < 10_000 => "half-closers",
            (Load::Turns { .. }, _) => "talkers",
        }
    }
}

/// What a peer saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub bytes: u64,
    pub conversations: u64,
    /// Messages of those that wait for each answer, and the suffixes they heard
    /// beyond one for each: a kill inside a read makes two messages of one.
    pub messages: u64,
    pub splits: u64,
    pub left: u64,
    pub resets: u64,
    pub exits: u64,
    /// Who never reads was reset for it.
    pub stalled: u64,
    /// Conversations that ended before a byte of theirs was answered.
    pub gaps: u64,
}

impl Add for Seen {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            conversations: self.conversations + other.conversations,
            messages: self.messages + other.messages,
            splits: self.splits + other.splits,
            left: self.left + other.left,
            resets: self.resets + other.resets,
            exits: self.exits + other.exits,
            stalled: self.stalled + other.stalled,
            gaps: self.gaps + other.gaps,
        }
    }
}

/// What came of letting it act.
pub enum Fate {
    GoesOn,
    Over,
    /// What it heard was wrong.
    Wrong(String),
}

pub struct Peer {
    pub plan: Plan,
    stream: TcpStream,
    pub port: u16,
    text: &'static Text,
    random: Random,
    began: (u64, u64),
    /// Places in the texts: what was said and heard up to there.
    said: u64,
    heard: u64,
    /// To where the present message goes, of those that wait for answers.
    until: u64,
    /// In `reply`: bytes of this message so far, and of its suffix.
    message: usize,
    suffix: usize,
    suffixes: u64,
    /// What is owed at the end instead of the text from this place on.
    tail: Option<(u64, Vec<u8>)>,
    goodbye_at: u64,
    farewell: Vec<u8>,
    is_ending: bool,
    rests_until: Option<Instant>,
    silent_until: Option<Instant>,
    is_breaking_up: bool,
    connected: Instant,
    /// What speaking came to, if it was worse than no room.
    broken: Option<ErrorKind>,
}

impl Peer {
    pub fn connect(plan: Plan, seed: u64) -> std::io::Result<Self> {
        let stream = plan.address.connect(plan.small_buffer)?;
        let mut random = Random::new(seed);
        let text = text(plan.protocol);
        let began = text.start(random.next());
        let after = match plan.goodbye {
            Goodbye::HalfClose { after } | Goodbye::Leave { after } | Goodbye::Exit { after } => {
                after
            }
            Goodbye::Vanish => 0,
        };
        Ok(Self {
            // A Unix socket has none.
            port: stream.local_addr().map_or(0, |address| address.port()),
            stream,
            text,
            began,
            said: began.0,
            heard: began.1,
            until: began.0,
            message: 0,
            suffix: 0,
            suffixes: 0,
            tail: None,
            goodbye_at: began.0 + random.below(after.max(1)) + after / 2,
            farewell: Vec::new(),
            is_ending: false,
            rests_until: None,
            silent_until: None,
            is_breaking_up: false,
            connected: Instant::now(),
            broken: None,
            random,
            plan,
        })
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether it would hear something now, and whether it would say something.
    pub fn wants(&self, now: Instant) -> (bool, bool) {
        let rests = self.rests_until.is_some_and(|until| now < until) || self.is_deaf();
        let is_silent = self.is_ending || self.silent_until.is_some_and(|until| now < until);
        (!rests, !self.farewell.is_empty() || (!is_silent && self.room() > 0))
    }

    /// How much it would say now.
    fn room(&self) -> u64 {
        match self.plan.load {
            Load::Turns { .. } if self.said < self.until => self.until - self.said,
            Load::Turns { .. } => u64::from(self.is_answered()),
            Load::Window { bytes } | Load::Slow { bytes, .. } => {
                bytes.saturating_sub(self.under_way())
            }
            Load::Drip { .. } => u64::from(self.under_way() < 1_000),
            Load::Deaf { .. } => 1 << 20,
        }
    }

    fn is_deaf(&self) -> bool {
        matches!(self.plan.load, Load::Deaf { .. }) && !self.is_breaking_up
    }

    /// About how many bytes of what it said are not answered.
    fn under_way(&self) -> u64 {
        let (said, heard) = (self.text.said.len() as u64, self.text.heard.len() as u64);
        (self.said - self.began.0).saturating_sub((self.heard - self.began.1) * said / heard)
    }

    /// Whether all it said is answered. In `line` that can be known between lines.
    fn is_answered(&self) -> bool {
        match self.plan.protocol {
            Protocol::Rfc862 => self.heard == self.said,
            Protocol::Reply => self.heard == self.said && self.message == 0 && self.suffix == 0,
            Protocol::Line => self.text.line_start(self.said) == (self.said, self.heard),
        }
    }

    /// Hears and says what it can. `everybody` ends now, if it is true.
    pub fn act(&mut self, ears: bool, mouth: bool, break_up: bool, seen: &mut Seen) -> Fate {
        if break_up && !self.is_breaking_up {
            self.is_breaking_up = true;
            self.hurry();
        }
        if matches!(self.plan.goodbye, Goodbye::Vanish) && !break_up {
            return self.vanish(seen);
        }
        if ears {
            if let Some(fate) = self.listen(seen) {
                return fate;
            }
        }
        if mouth && !self.is_ending {
            self.talk(seen);
        }
        self.say_goodbye(break_up, seen)
    }

    /// Leaves, if it is of the kind that does.
    pub fn may_leave(&mut self, seen: &mut Seen) -> bool {
        let Goodbye::Leave { .. } = self.plan.goodbye else { return false };
        if self.said < self.goodbye_at || self.is_ending {
            return false;
        }
        self.leave(seen);
        true
    }

    fn leave(&mut self, seen: &mut Seen) {
        seen.left += 1;
        if self.random.below(2) == 0 {
            seen.resets += 1;
            let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }

    fn vanish(&mut self, seen: &mut Seen) -> Fate {
        if self.random.below(2) == 0 {
            let words = self.text.said_at(self.said);
            let most = usize::try_from(self.random.below(5_000)).expect("below 5,000");
            let _ = self.stream.write(&words[..words.len().min(most)]);
        }
        self.leave(seen);
        Fate::Over
    }

    fn say_goodbye(&mut self, break_up: bool, seen: &mut Seen) -> Fate {
        if !self.is_ending && (break_up || self.said >= self.goodbye_at) {
            match self.plan.goodbye {
                Goodbye::Leave { .. } | Goodbye::Vanish if !break_up => {}
                Goodbye::Exit { .. } if !break_up => self.say_exit(seen),
                _ => self.half_close(),
            }
        }
        if !self.farewell.is_empty() {
            match self.stream.write(&self.farewell) {
                Ok(n) => drop(self.farewell.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Who listens will see why.
                Err(_) => self.farewell.clear(),
            }
        }
        Fate::GoesOn
    }

    fn half_close(&mut self) {
        self.is_ending = true;
        let tail = match self.plan.protocol {
            Protocol::Line => {
                let (said, heard) = self.text.line_start(self.said);
                let length = usize::try_from(self.said - said).expect("lines are short");
                let mut tail = self.taken_from(said, length);
                match &tail[..] {
                    b"" => {}
                    b"exit" => tail.clear(),
                    _ => tail.extend(SUFFIX.as_bytes()),
                }
                (heard, tail)
            }
            _ => (self.said, Vec::new()),
        };
        self.tail = Some(tail);
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// What is owed now is to be had soon.
    fn hurry(&mut self) {
        if let Load::Slow { bite, rest, .. } = &mut self.plan.load {
            if self.is_breaking_up {
                (*bite, *rest) = (65_536, Duration::ZERO);
                let _ = sockopt::set_socket_recv_buffer_size(&self.stream, 1 << 20);
            }
        }
        self.silent_until = None;
    }

    fn taken_from(&self, mut at: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let piece = self.text.said_at(at);
            let piece = &piece[..piece.len().min(length - bytes.len())];
            bytes.extend(piece);
            at += piece.len() as u64;
        }
        bytes
    }

    /// Says the exit word where it is one: alone on its line, or in a read of its
    /// own.
    fn say_exit(&mut self, seen: &mut Seen) {
        let word: &[u8] = match self.plan.protocol {
            Protocol::Line if self.text.line_start(self.said).0 == self.said => {
                [&b"exit\n"[..], b"exit\r\n", b"exit\nand more", b"exit\r\nexit\n"]
                    [usize::try_from(self.random.below(4)).expect("below 4")]
            }
            Protocol::Reply if self.is_answered() => b"exit please",
            _ => return,
        };
        seen.exits += 1;
        self.is_ending = true;
        self.farewell = word.to_vec();
        let heard = match self.plan.protocol {
            Protocol::Line => self.text.line_start(self.said).1,
            _ => self.said,
        };
        self.tail = Some((heard, Vec::new()));
    }

    fn talk(&mut self, seen: &mut Seen) {
        if let Load::Turns { most } = self.plan.load {
            if self.said == self.until && self.is_answered() {
                self.until = self.said + 1 + self.random.below(most);
                if self.plan.protocol == Protocol::Line {
                    self.until = self.next_line(self.until);
                }
                seen.messages += 1;
            }
        }
        while self.room() > 0 {
            let piece = self.text.said_at(self.said);
            let mut most = usize::try_from(self.room()).expect("it is not that much");
            match self.plan.load {
                Load::Turns { .. } => {}
                Load::Drip { rest } => {
                    most = 1;
                    self.silent_until = Some(Instant::now() + rest);
                }
                _ => most = most.min(usize::try_from(1 + self.random.below(100_000)).expect("it")),
            }
            if matches!(self.plan.goodbye, Goodbye::Exit { .. })
                && self.plan.protocol == Protocol::Line
            {
                // It can end at the start of a line only.
                let line = self.next_line(self.said + 1) - self.said;
                most = most.min(usize::try_from(line).expect("lines are short"));
            }
            match self.stream.write(&piece[..piece.len().min(most)]) {
                Ok(n) => self.said += n as u64,
                // Who listens will see why, unless this was the one to be told.
                Err(error) => {
                    self.broken = Some(error.kind()).filter(|kind| *kind != ErrorKind::WouldBlock);
                    return;
                }
            }
            let is_slow = matches!(self.plan.load, Load::Turns { .. } | Load::Drip { .. });
            if self.said >= self.goodbye_at || is_slow {
                return;
            }
        }
    }

    /// The first start of a line at or behind this place.
    fn next_line(&self, mut at: u64) -> u64 {
        while self.text.line_start(at).0 != at {
            let bytes = self.text.said_at(at);
            at += match bytes.iter().position(|&byte| byte == b'\n') {
                Some(place) => place as u64 + 1,
                None => bytes.len() as u64,
            };
        }
        at
    }

    fn listen(&mut self, seen: &mut Seen) -> Option<Fate> {
        let mut buffer = vec![0; 65_536];
        let most = match self.plan.load {
            Load::Slow { bite, rest, .. } => {
                self.rests_until = Some(Instant::now() + rest);
                bite
            }
            _ => buffer.len(),
        };
        for _ in 0..16 {
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) if self.broken == Some(ErrorKind::ConnectionReset) => {
                    return Some(self.broken(&ErrorKind::ConnectionReset, seen));
                }
                Ok(0) => return Some(self.over(seen)),
                Ok(n) => {
                    seen.bytes += n as u64;
                    if let Err(error) = self.check(&buffer[..n], seen) {
                        return Some(Fate::Wrong(self.account(&error)));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => {
                    self.broken = Some(error.kind());
                    return Some(self.broken(&error, seen));
                }
            }
            if self.rests_until.is_some() {
                break;
            }
        }
        None
    }

    fn over(&mut self, seen: &mut Seen) -> Fate {
        let is_whole = self.tail.as_ref().is_some_and(|(from, tail)| {
            self.heard == from + tail.len() as u64 && self.message == 0 && self.suffix == 0
        });
        if is_whole {
            seen.conversations += 1;
            return Fate::Over;
        }
        self.broken(&"end of file", seen)
    }

    fn broken(&mut self, error: &dyn fmt::Display, seen: &mut Seen) -> Fate {
        if let Load::Deaf { stall } = self.plan.load {
            if self.broken == Some(ErrorKind::ConnectionReset) && self.connected.elapsed() >= stall
            {
                seen.stalled += 1;
                return Fate::Over;
            }
        }
        if self.heard == self.began.1 && self.message == 0 && self.suffix == 0 {
            seen.gaps += 1;
            return Fate::Over;
        }
        Fate::Wrong(self.account(error))
    }

    fn account(&self, error: &dyn fmt::Display) -> String {
        let Self { port, plan, said, heard, began, tail, .. } = self;
        format!(
            "port {port}: {error}; said {}, heard {}, under way {}, message {} and suffix {}, tail {:?}, {plan:?}",
            said - began.0,
            heard - began.1,
            self.under_way(),
            self.message,
            self.suffix,
            tail.as_ref().map(|(from, tail)| (from.saturating_sub(began.1), tail.len())),
        )
    }

    fn check(&mut self, mut bytes: &[u8], seen: &mut Seen) -> Result<(), String> {
        while !bytes.is_empty() {
            let n = if self.plan.protocol == Protocol::Reply {
                self.check_reply(bytes, seen)?
            } else {
                self.check_text(bytes)?
            };
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Compares with the text, or with its tail; how many bytes were.
    fn check_text(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let owed = match &self.tail {
            Some((from, tail)) if self.heard >= *from => {
                &tail[usize::try_from(self.heard - from).expect("tails are short")..]
            }
            Some((from, _)) => {
                let owed = self.text.heard_at(self.heard);
                let most = usize::try_from(from - self.heard).expect("it is not that much");
                &owed[..owed.len().min(most)]
            }
            None => self.text.heard_at(self.heard),
        };
        if owed.is_empty() {
            return Err(format!("{} bytes too many", bytes.len()));
        }
        let n = owed.len().min(bytes.len());
        if owed[..n] != bytes[..n] {
            let same = owed.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            return Err(self.place(same, &bytes[same..n]));
        }
        self.heard += n as u64;
        if self.plan.protocol == Protocol::Rfc862 && self.heard > self.said {
            return Err("heard what was not said yet".to_owned());
        }
        Ok(n)
    }

    /// Where else in the text the wrong bytes stand tells what happened.
    fn place(&self, same: usize, wrong: &[u8]) -> String {
        let at = self.heard + same as u64;
        let heard = &self.text.heard;
        let here = usize::try_from(at % heard.len() as u64).expect("it is an index");
        let wrong = &wrong[..wrong.len().min(16)];
        let place = heard.windows(wrong.len()).position(|window| window == wrong);
        let index = |place: usize| i64::try_from(place).expect("it is an index");
        let off = place.map(|place| index(place) - index(here));
        format!(
            "wrong bytes at {}, which belong {off:?} bytes further on",
            at.saturating_sub(self.began.1)
        )
    }

    /// Messages with their suffixes, wherever the reads ended.
    fn check_reply(&mut self, bytes: &[u8], seen: &mut Seen) -> Result<usize, String> {
        let suffix = SUFFIX.as_bytes();
        if self.suffix > 0 || bytes[0] == suffix[0] {
            let n = (suffix.len() - self.suffix).min(bytes.len());
            if suffix[self.suffix..][..n] != bytes[..n] {
                return Err(format!("a broken suffix behind {} bytes", self.message));
            }
            if self.message == 0 {
                return Err("a suffix without a message".to_owned());
            }
            self.suffix += n;
            if self.suffix == suffix.len() {
                self.end_message(seen);
            }
            return Ok(n);
        }
        let message = bytes.iter().position(|&byte| byte == suffix[0]).unwrap_or(bytes.len());
        let n = self.check_text(&bytes[..message])?;
        self.message += n;
        if self.message > self.plan.message_max {
            return Err(format!("a message of {} bytes", self.message));
        }
        if self.heard > self.said {
            return Err("heard what was not said yet".to_owned());
        }
        Ok(n)
    }

    fn end_message(&mut self, seen: &mut Seen) {
        (self.message, self.suffix) = (0, 0);
        self.suffixes += 1;
        if matches!(self.plan.load, Load::Turns { .. }) && self.heard != self.until {
            seen.splits += 1;
        }
    }
}
