//! What a daemon leaves behind may be wanting: no place in the store, another
//! layout, other rules, damage. Whoever can go on goes on; nobody is misread.
//!
//! It is long because each kind of damage is done to the same house.

mod ordeal;
mod peers;
mod stage;
mod support;
mod tracer;

use echod::echo::Protocol;
use echod::keep::Memory;
use ordeal::{Scene, stored};
use peers::text::SUFFIX;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Signal;
use stage::{Stage, Talker};
use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use support::manager::PATIENCE;
use support::peer::{allow_many_descriptors, connect, descriptors};
use tracer::{Pace, Stop};

struct House {
    scene: Scene,
    reply: SocketAddr,
    line: SocketAddr,
    rfc862: SocketAddr,
}

fn house(arguments: &[&str]) -> House {
    house_with(arguments, |_| {})
}

fn house_with(arguments: &[&str], prepare: impl FnOnce(&mut Scene)) -> House {
    let mut scene = Scene::new(arguments);
    prepare(&mut scene);
    let [reply, line, rfc862] = Protocol::ALL.map(|protocol| scene.listen(protocol, None));
    scene.start();
    scene.manager.wait_ready();
    House { scene, reply, line, rfc862 }
}

impl House {
    /// Kills the daemon, does something to what it left, and starts the next.
    fn kill(&mut self, meddle: impl FnOnce(&mut Self)) {
        self.scene.manager.kill(Signal::KILL);
        meddle(self);
        self.scene.manager.start_again();
        self.scene.manager.wait_ready();
    }

    /// The memory file, as the next daemon would map it.
    fn memory(&mut self) -> Memory {
        Memory::adopt(self.stored("echod-memory")).expect("it is a memory file")
    }

    fn stored(&mut self, wanted: &str) -> OwnedFd {
        let stored = stored(&mut self.scene.manager);
        let (_, fd) = stored.iter().find(|(name, _)| name == wanted).expect("it is there");
        fd.try_clone().expect("there are descriptors left")
    }

    /// Says something to the manager in the daemon's name, until it is heard.
    fn tell(&mut self, text: &str, fd: Option<&OwnedFd>) {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.connect(self.scene.manager.place().join("notify")).expect("it listens");
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if fd.is_some() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        let text = [IoSlice::new(text.as_bytes())];
        rustix::net::sendmsg(&socket, &text, &mut control, SendFlags::empty()).expect("it hears");
        let _ = self.scene.manager.stored();
    }

    fn stderr(&self, words: &str) -> bool {
        self.scene.manager.stderr().iter().any(|line| line.contains(words))
    }
}

/// Says this, and hears that.
fn ask(stream: &mut TcpStream, words: &str, answer: &str) {
    stream.write_all(words.as_bytes()).expect("it is open");
    hear(stream, answer);
}

fn hear(stream: &mut TcpStream, answer: &str) {
    let mut heard = vec![0; answer.len()];
    stream.read_exact(&mut heard).unwrap_or_else(|error| panic!("{answer:?}: {error}"));
    assert_eq!(String::from_utf8_lossy(&heard), answer);
}

fn ask_line(stream: &mut TcpStream, word: &str) {
    ask(stream, &format!("{word}\n"), &format!("{word}{SUFFIX}\n"));
}

fn ask_all(streams: &mut [TcpStream], word: &str) {
    for stream in streams {
        ask_line(stream, word);
    }
}

fn has_ended(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(length) => length == 0,
        // Nothing within our patience is no end.
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn is_reset(mut stream: TcpStream) -> bool {
    let end = stream.read(&mut [0; 16]);
    end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn an_answer_that_kills_three_times_is_reset_and_nobody_else_is() {
    /// By its length the fatal answer is known.
    const FATAL: usize = 777;
    let mut stage = Stage::set(&["--record-rate", "20/s"]);
    let mut others = Protocol::ALL.map(|protocol| stage.talker(protocol, false));
    let mut fatal = stage.talker(Protocol::Rfc862, false);
    for talker in others.iter_mut().chain([&mut fatal]) {
        talker.say_message("hello");
    }
    stage.run("answers", || others.iter_mut().chain([&mut fatal]).all(Talker::is_content));
    stage.tracee().interrupt();
    fatal.say_fatal(&[b'x'; FATAL]);
    let mut deaths = 0;
    loop {
        let is_fatal = |stop: Stop| {
            matches!(stop, Stop::Entry { call: libc::SYS_sendto, arguments: [_, _, length, ..] }
                if length == FATAL as u64)
        };
        let is_over = || fatal.is_lost();
        if !stage.tracee().walk(Pace::ToNextCall, is_over, is_fatal) {
            break;
        }
        stage.kill();
        deaths += 1;
        assert!(deaths < 9, "it dies for ever");
    }
    println!("{deaths} deaths over one answer");
    assert_eq!(deaths, 4, "the first is nobody's fault, and three are strikes");
    for talker in &mut others {
        talker.say_message("we go on");
    }
    stage.run("the others", || others.iter_mut().all(Talker::is_content));
    let stderr = stage.manager.stderr();
    for words in ["died too often", "ended (strikes)"] {
        assert!(stderr.iter().any(|line| line.contains(words)), "{stderr:#?}");
    }
}

#[test]
fn who_finds_no_place_is_served_all_the_same_and_ends_with_the_process() {
    let mut house = house_with(&[], |scene| scene.manager.store_max(2));
    // The memory file and one bag, which takes 250.
    let mut kept: Vec<_> = (0..250).map(|_| connect(house.line)).collect();
    ask_all(&mut kept, "kept");
    let mut not_kept: Vec<_> = (0..10).map(|_| connect(house.line)).collect();
    ask_all(&mut not_kept, "not kept");
    house.kill(|_| {});
    assert!(not_kept.into_iter().all(has_ended));
    ask_all(&mut kept, "still kept");
    // It is counted, and summed up at the latest when the daemon leaves.
    let mut next: Vec<_> = (0..10).map(|_| connect(house.line)).collect();
    ask_all(&mut next, "not kept");
    house.scene.manager.terminate();
    assert!(house.stderr("the manager's store is full"), "{:#?}", house.scene.manager.stderr());
    assert!(next.into_iter().all(has_ended));
}

/// Whoever needs no record goes on, others are reset: none is misread.
fn without_memory(words: &str, meddle: impl FnOnce(&mut House)) {
    let mut house = house(&[]);
    let mut plain = connect(house.rfc862);
    ask(&mut plain, "hello", "hello");
    let mut new: Vec<_> =
        [house.reply, house.line, house.rfc862].into_iter().map(connect).collect();
    let mut typing = connect(house.line);
    ask_line(&mut typing, "hello");
    let mut replied = connect(house.reply);
    ask(&mut replied, "hello", &format!("hello{SUFFIX}"));
    let mut ending = connect(house.line);
    ask_line(&mut ending, "bye");
    house.kill(meddle);
    ask(&mut plain, "on", "on");
    ask(&mut new[0], "new", &format!("new{SUFFIX}"));
    ask_line(&mut new[1], "new");
    ask(&mut new[2], "new", "new");
    for stream in [typing, replied, ending] {
        assert!(is_reset(stream), "what came before cannot be known");
    }
    house.scene.manager.wait_stderr(|line| line.contains(words));
    // And what is new outlives the next.
    house.kill(|_| {});
    ask(&mut plain, "on", "on");
    ask_line(&mut new[1], "again");
}

#[test]
fn another_layout_is_not_read() {
    without_memory("it has layout 9", |house| {
        let memory = house.stored("echod-memory");
        // The number of the layout is in the part that never changes.
        rustix::io::pwrite(memory, &9_u32.to_ne_bytes(), 8).expect("it is writable");
    });
}

#[test]
fn damaged_memory_is_not_read() {
    without_memory("it is no memory file", |house| {
        let memory = house.stored("echod-memory");
        rustix::io::pwrite(memory, b"damage", 0).expect("it is writable");
    });
}

#[test]
fn missing_memory_is_replaced() {
    without_memory("reset", |house| house.tell("FDSTOREREMOVE=1\nFDNAME=echod-memory", None));
}

#[test]
fn a_connection_whose_record_is_lost_goes_on_only_if_it_needs_none() {
    let mut house = house(&[]);
    let mut plain = connect(house.rfc862);
    ask(&mut plain, "hello", "hello");
    let mut typing = connect(house.line);
    ask_line(&mut typing, "hello");
    let mut unharmed = connect(house.line);
    ask_line(&mut unharmed, "hello");
    house.kill(|house| {
        let memory = house.memory();
        for number in 0..2 {
            memory.record(number).end();
        }
    });
    ask(&mut plain, "on", "on");
    assert!(is_reset(typing));
    ask_line(&mut unharmed, "on");
}

#[test]
fn who_is_out_of_reach_for_one_life_is_not_closed() {
    let mut house = house(&[]);
    let mut streams: Vec<_> = (0..80).map(|_| connect(house.rfc862)).collect();
    for stream in &mut streams {
        ask(stream, "hello", "hello");
    }
    house.scene.manager.descriptors_max(64);
    house.kill(|_| {});
    house.scene.manager.descriptors_max(20_000);
    house.kill(|_| {});
    for stream in &mut streams {
        ask(stream, "again", "again");
    }
}

#[test]
fn a_record_whose_connection_is_lost_is_used_again() {
    let mut house = house(&[]);
    let mut lost = connect(house.line);
    ask_line(&mut lost, "hello");
    house.kill(|house| house.tell("FDSTOREREMOVE=1\nFDNAME=echod-bag-1", None));
    assert_eq!(lost.read(&mut [0; 16]).expect("it is closed in order"), 0);
    let mut next = connect(house.line);
    ask_line(&mut next, "hello");
    let memory = house.memory();
    assert_eq!(memory.header().reached(), 1);
    assert_eq!(memory.record(0).id().map(|id| id.0.get()), Some(2));
}

#[test]
fn a_connection_in_two_bags_is_one_conversation() {
    let mut house = house(&[]);
    let mut streams: Vec<_> = (0..3).map(|_| connect(house.line)).collect();
    ask_all(&mut streams, "hello");
    house.kill(|house| {
        let bag = house.stored("echod-bag-1");
        let (ours, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair");
        for (entry, stream) in echod::systemd::peek(&bag).expect("it is a bag").entries {
            let mut text = [0; 16];
            text[..8].copy_from_slice(&entry.id.to_le_bytes());
            text[8..12].copy_from_slice(&entry.record.to_le_bytes());
            text[12..14].copy_from_slice(&[entry.protocol, 1]);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let fds = [stream.as_fd()];
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
            let text = [IoSlice::new(&text)];
            rustix::net::sendmsg(&ours, &text, &mut control, SendFlags::empty()).expect("room");
        }
        house.tell("FDSTORE=1\nFDNAME=echod-bag-9\nFDPOLL=0", Some(&theirs));
    });
    ask_all(&mut streams, "on");
    // The bag in which none of them counts goes, and they stay.
    house.scene.manager.wait_stored(|names| names.len() == 3);
    ask_all(&mut streams, "and on");
    house.kill(|_| {});
    ask_all(&mut streams, "and on and on");
    streams.clear();
    house.scene.manager.wait_stored(|names| names.len() == 2);
}

#[test]
fn a_conversation_keeps_its_rule_and_the_ninth_rule_ends_the_oldests() {
    let mut house = house(&["--suffix", "-0"]);
    let mut streams = Vec::new();
    for rule in 0..8 {
        let mut stream = connect(house.line);
        ask(&mut stream, "a\n", &format!("a-{rule}\n"));
        streams.push(stream);
        house.kill(|house| {
            house.scene.arguments = vec!["--suffix".to_owned(), format!("-{}", rule + 1)];
            house.scene.start();
            house.scene.manager.kill(Signal::KILL);
        });
    }
    // The eighth's start displaced the first.
    let mut streams = streams.into_iter();
    assert!(is_reset(streams.next().expect("there are eight")));
    let mut stream = connect(house.line);
    ask(&mut stream, "a\n", "a-8\n");
    for (rule, mut stream) in (1..).zip(streams) {
        ask(&mut stream, "b\n", &format!("b-{rule}\n"));
    }
    // The first had begun without a record, so its end is in the sum.
    house.scene.manager.terminate();
    assert!(house.stderr(" 1 ended with "), "{:#?}", house.scene.manager.stderr());
}

#[test]
fn a_stop_resets_stuck_answers_and_a_restart_nobody() {
    for is_restart in [true, false] {
        let mut house = house(&[]);
        let mut idle = connect(house.line);
        ask_line(&mut idle, "hello");
        let words = vec![b'x'; 32 << 20];
        let mut stuck = connect(house.rfc862);
        stuck.set_nonblocking(true).expect("it is a socket");
        let said = fill(&mut stuck, &words);
        if is_restart {
            house.scene.manager.restart();
            ask_line(&mut idle, "again");
            stuck.set_nonblocking(false).expect("it is a socket");
            stuck.shutdown(Shutdown::Write).expect("it is open");
            let mut heard = Vec::new();
            stuck.read_to_end(&mut heard).expect("nothing is cut");
            assert!(heard == words[..said], "{} of {said}", heard.len());
        } else {
            house.scene.manager.stop();
            assert_eq!(idle.read(&mut [0; 16]).expect("an end of file"), 0);
            stuck.set_nonblocking(false).expect("it is a socket");
            let end = stuck.read_to_end(&mut Vec::new());
            assert_eq!(end.expect_err("cut").kind(), ErrorKind::ConnectionReset);
        }
    }
}

/// Says as much as the sockets take while nobody listens; how much.
fn fill(stream: &mut TcpStream, words: &[u8]) -> usize {
    let (mut said, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        match stream.write(&words[said..]) {
            Ok(n) => (said, since) = (said + n, Instant::now()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                std::thread::yield_now();
            }
        }
    }
    said
}

#[test]
fn who_never_reads_does_not_stop_who_talks() {
    allow_many_descriptors();
    let house = house(&[]);
    let mut talker = connect(house.line);
    ask_line(&mut talker, "hello");
    let words = vec![b'x'; 32 << 20];
    let mut deaf: Vec<_> = (0..1_100)
        .map(|_| {
            let stream = connect(house.rfc862);
            stream.set_nonblocking(true).expect("it is a socket");
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 1).expect("smaller");
            (stream, 0)
        })
        .collect();
    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    let mut turns = 0;
    while begin.elapsed() < Duration::from_secs(6) {
        for (stream, said) in &mut deaf {
            *said += stream.write(&words[*said..]).unwrap_or(0);
        }
        let asked = Instant::now();
        ask_line(&mut talker, "and how are you?");
        longest = longest.max(asked.elapsed());
        turns += 1;
    }
    println!("{turns} turns beside 1,100 who do not read; the longest took {longest:?}");
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

/// `ECHOD_TEST_VISITS` sets how many.
#[test]
fn visits_leave_nothing_behind() {
    let visits = std::env::var("ECHOD_TEST_VISITS").ok();
    let visits: u32 = visits.map_or(20_000, |visits| visits.parse().expect("it is a number"));
    let mut house = house(&[]);
    let mut faithful = connect(house.line);
    ask_line(&mut faithful, "hello");
    let before = descriptors(house.scene.manager.pid());
    for visit in 0..visits {
        let mut stream = connect(house.rfc862);
        ask(&mut stream, "hello", "hello");
        if visit % 3 == 0 {
            stream.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(stream.read(&mut [0; 1]).expect("an end of file"), 0);
        }
        if visit % 1_000 == 0 {
            ask_line(&mut faithful, "still here");
        }
    }
    // Dead entries are worth a move once there are five hundred more than living.
    let stored = stored(&mut house.scene.manager);
    let bags = stored.iter().filter(|(name, _)| name.starts_with("echod-bag-"));
    let entries: usize =
        bags.map(|(_, bag)| echod::systemd::peek(bag).expect("it is a bag").entries.len()).sum();
    println!("{visits} visits; {entries} entries in {} stored", stored.len());
    assert!(stored.len() <= 6 && entries <= 1_000, "{entries} in {}", stored.len());
    house.kill(|_| {});
    ask_line(&mut faithful, "still here");
    // Visits whose end the predecessor did not live to see are still seen off.
    let (begin, mut after) = (Instant::now(), descriptors(house.scene.manager.pid()));
    while after != before && begin.elapsed() < PATIENCE {
        ask_line(&mut faithful, "still here");
        after = descriptors(house.scene.manager.pid());
    }
    println!("{} descriptors before, {} after", before.len(), after.len());
    assert_eq!(before, after);
    drop(faithful);
    house.scene.manager.wait_stored(|names| names.len() == 2);
}
