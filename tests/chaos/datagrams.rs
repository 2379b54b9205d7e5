//! Who sends datagrams: those that talk and miss no answer, those that forge
//! their source and get none, and one that floods.

use crate::peers::text::{Random, SUFFIX};
use crate::support::manager::{Manager, PATIENCE};
use echod::echo::Protocol;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TALKERS: u8 = 36;
const SPOOFERS: u8 = 21;

/// How many come.
pub(crate) const WRITERS: usize = TALKERS as usize + SPOOFERS as usize + 1;

/// What the daemon answers of one source, at once and in each second.
const RATE: u64 = 1_000;

/// Where the daemon takes datagrams.
pub(crate) struct Mail {
    servers: Vec<(Protocol, SocketAddr)>,
    flooded: SocketAddr,
}

impl Mail {
    pub(crate) fn address(manager: &mut Manager) -> Self {
        let servers = Protocol::ALL.map(|protocol| (protocol, manager.listen_udp(protocol.name())));
        // A flood fills the queue, in which then others have no room.
        Self { servers: servers.to_vec(), flooded: manager.listen_udp("rfc862") }
    }

    pub(crate) fn begin(self, seed: u64) -> Mailing {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || Crowd::new(&self, seed).run(&stop)
        });
        Mailing { stop, thread }
    }
}

/// All of them at work.
pub(crate) struct Mailing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Letters>,
}

impl Mailing {
    /// Ends it, once everybody has got what they are owed.
    pub(crate) fn end(self) -> Letters {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("they are well")
    }
}

/// What became of all datagrams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letters {
    answered: u64,
    bytes: u64,
    pub(crate) spoofed: u64,
    flooded: u64,
    flood_answered: u64,
    seconds: u64,
    wrong: Vec<String>,
}

impl Letters {
    /// `lives` are how many daemons there were: each knows nothing of what the
    /// one before had granted.
    pub(crate) fn assert_right(&self, lives: u64, is_exact: bool) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert!(self.answered > 0 && self.spoofed > 0 && self.flood_answered > 0);
        let most = RATE * (lives + self.seconds + 1);
        assert!(self.flood_answered <= most, "{} of at most {most}", self.flood_answered);
        assert!(!is_exact || self.flooded > self.flood_answered, "that was no flood");
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, bytes, spoofed, flooded, flood_answered, .. } = self;
        writeln!(f, "{TALKERS:4} who send datagrams: {answered} answered, {bytes} bytes")?;
        writeln!(f, "{SPOOFERS:4} who forge their source: {spoofed} sent, 0 answered")?;
        write!(f, "   1 who floods: {flooded} sent, {flood_answered} answered")
    }
}

struct Talker {
    socket: UdpSocket,
    protocol: Protocol,
    /// What it waits for.
    owed: Option<Vec<u8>>,
    /// When it said something, or will.
    at: Instant,
    answers: u64,
}

struct Spoofer {
    socket: UdpSocket,
    /// Who sends to the same socket, and how many answers it had by then.
    beside: usize,
    answers: Option<u64>,
}

struct Crowd {
    talkers: Vec<Talker>,
    spoofers: Vec<Spoofer>,
    flooder: UdpSocket,
    /// Which of its datagrams were answered.
    flood: Vec<bool>,
    random: Random,
    letters: Letters,
}

/// A socket with an address of its own, so that each is a source of its own.
fn socket(own: SocketAddr, server: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(own)?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Crowd {
    fn new(mail: &Mail, seed: u64) -> Self {
        // Nobody else's: the port is ours as long as there is a daemon.
        let [high, low] = mail.flooded.port().to_be_bytes();
        let own = |number, port| SocketAddr::from(([127, high, low, number], port));
        let servers = mail.servers.iter().cycle();
        let talkers = (1..=TALKERS).zip(servers.clone()).map(|(number, (protocol, server))| {
            let socket = socket(own(number, 0), *server).expect("loopback is ours");
            Talker { socket, protocol: *protocol, owed: None, at: Instant::now(), answers: 0 }
        });
        let spoofers = (1..=SPOOFERS).zip(servers).map(|(number, (_, server))| {
            let source = |port| socket(own(TALKERS + number, port), *server);
            // An echo's own port takes privilege; that of NFS does not.
            let socket = source(if number % 2 == 0 { 7 } else { 2049 });
            let socket = socket.or_else(|_| source(2049)).expect("loopback is ours");
            Spoofer { socket, beside: usize::from(number) - 1, answers: None }
        });
        let flooder = own(TALKERS + SPOOFERS + 1, 0);
        Self {
            talkers: talkers.collect(),
            spoofers: spoofers.collect(),
            flooder: socket(flooder, mail.flooded).expect("loopback is ours"),
            flood: Vec::new(),
            random: Random::new(seed),
            letters: Letters::default(),
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Letters {
        let began = Instant::now();
        loop {
            let is_over = stop.load(Ordering::Relaxed);
            for number in 0..self.talkers.len() {
                self.talk(number, is_over);
            }
            self.spoof(is_over);
            self.flood(is_over);
            let waits = self.talkers.iter().any(|talker| talker.owed.is_some());
            if !self.letters.wrong.is_empty() || (is_over && !waits) {
                self.letters.seconds = began.elapsed().as_secs();
                return self.letters;
            }
            self.wait();
        }
    }

    /// Waits for an answer, or a moment.
    fn wait(&self) {
        let sockets = self.talkers.iter().map(|talker| &talker.socket).chain([&self.flooder]);
        let mut asked: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        let _ = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 }));
    }

    fn talk(&mut self, number: usize, is_over: bool) {
        let Self { talkers, random, letters, .. } = self;
        let talker = &mut talkers[number];
        let mut buffer = [0; 4_096];
        match talker.socket.recv(&mut buffer) {
            Ok(n) if talker.owed.as_deref() == Some(&buffer[..n]) => {
                letters.answered += 1;
                letters.bytes += n as u64;
                talker.owed = None;
                talker.answers += 1;
                talker.at = Instant::now() + Duration::from_millis(random.below(20));
            }
            Ok(n) => letters.wrong.push(format!(
                "{}: {n} bytes that are not the answer {}",
                talker.protocol, talker.answers
            )),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => letters.wrong.push(format!("{}: {error}", talker.protocol)),
        }
        if talker.owed.is_some() {
            if talker.at.elapsed() > PATIENCE {
                letters.wrong.push(format!("{}: an answer is lost", talker.protocol));
            }
        } else if !is_over && talker.at <= Instant::now() {
            let (message, answer) = message(talker.protocol, random);
            talker.socket.send(&message).expect("there is a queue");
            (talker.owed, talker.at) = (Some(answer), Instant::now());
        }
    }

    /// One for each answer that another gets from the same socket, so that its
    /// queue has room for all.
    fn spoof(&mut self, is_over: bool) {
        for spoofer in &mut self.spoofers {
            if let Ok(n) = spoofer.socket.recv(&mut [0; 64]) {
                self.letters.wrong.push(format!("a forged source got {n} bytes"));
            }
            let answers = Some(self.talkers[spoofer.beside].answers);
            if answers != spoofer.answers && !is_over {
                spoofer.answers = answers;
                spoofer.socket.send(b"for somebody else").expect("there is a queue");
                self.letters.spoofed += 1;
            }
        }
    }

    fn flood(&mut self, is_over: bool) {
        let mut buffer = [0; 64];
        while let Ok(n) = self.flooder.recv(&mut buffer) {
            let number = buffer[..n].try_into().map(u64::from_le_bytes).ok();
            let place = number.and_then(|number| self.flood.get_mut(usize::try_from(number).ok()?));
            match place {
                Some(answered) if !*answered => *answered = true,
                _ => self.letters.wrong.push(format!("a flood's answer {number:?} is wrong")),
            }
            self.letters.flood_answered += 1;
        }
        for _ in 0..if is_over { 0 } else { 16 } {
            let number = self.flood.len() as u64;
            if self.flooder.send(&number.to_le_bytes()).is_err() {
                break;
            }
            self.flood.push(false);
            self.letters.flooded += 1;
        }
    }
}

/// A datagram, and what it is answered with.
fn message(protocol: Protocol, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let length = random.below(1_400);
    let message: Vec<u8> = (0..length).map(|_| b'a' + random.byte() % 26).collect();
    let (said, heard): (&str, _) = match (protocol, random.below(3)) {
        (Protocol::Rfc862, _) => ("\n", "\n".to_owned()),
        (Protocol::Reply, _) => ("\n", format!("\n{SUFFIX}")),
        (Protocol::Line, 0) => ("\n", format!("{SUFFIX}\n")),
        (Protocol::Line, 1) => ("\r\n", format!("{SUFFIX}\r\n")),
        (Protocol::Line, _) => ("", SUFFIX.to_owned()),
    };
    ([&message, said.as_bytes()].concat(), [&message, heard.as_bytes()].concat())
}
