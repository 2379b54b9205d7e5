//! The fake manager does with a daemon what systemd would. The daemon here is
//! this very test, started again as a [`stand_in`] that needs little besides
//! `echod::systemd`, so its hand-over and its bags are tested by real kills too.
//!
//! It is long because the stand-in and whoever drives it are one program.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here is the stand-in")]

mod support;

use echod::systemd::{BagNumber, Entry, Hand, NoPlace, Store, Tally, inherit, peek};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use support::manager::Manager;
use support::peer::{connect, echo, echo_all};

fn manager() -> Manager {
    Manager::of(std::env::current_exe().expect("we run"))
}

fn start(manager: &mut Manager, role: &str) {
    manager.start(&["--exact", "stand_in", "--nocapture"], &[(ROLE, role)]);
}

#[test]
fn it_hears_what_the_daemon_says() {
    let mut manager = manager();
    manager.watchdog(Duration::from_secs(7));
    start(&mut manager, "echo");
    manager.wait_ready();
    assert_eq!(manager.wait_status(|_| true), "hand: ; adopted: 0; store: true; watchdog: 7s");
    let heard = manager.notifications();
    assert!(heard.iter().all(|heard| heard.life == 1));
    assert!(heard.iter().any(|heard| heard.value("FDNAME") == Some("echod-bag-1")));
    assert!(heard.iter().any(|heard| heard.value("FDPOLL") == Some("0")));
}

#[test]
fn it_hands_sockets_over_under_their_names() {
    let mut manager = manager();
    manager.listen_tcp("reply");
    manager.listen_udp("rfc862");
    start(&mut manager, "echo");
    manager.wait_ready();
    let status = manager.wait_status(|_| true);
    assert!(status.starts_with("hand: reply:rfc862;"), "{status}");
}

#[test]
fn more_sockets_than_the_shell_has_digits_for_arrive_in_order() {
    let mut manager = manager();
    let names: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
    for name in &names {
        manager.listen_tcp(name);
    }
    start(&mut manager, "echo");
    let status = manager.wait_status(|_| true);
    assert!(status.starts_with(&format!("hand: {};", names.join(":"))), "{status}");
}

/// A manager whose daemon echoes, and where.
fn serving() -> (Manager, SocketAddr) {
    let mut manager = manager();
    let address = manager.listen_tcp("rfc862");
    start(&mut manager, "echo");
    manager.wait_ready();
    (manager, address)
}

#[test]
fn conversations_go_on_after_kills_and_restarts() {
    let (mut manager, address) = serving();
    let mut stream = connect(address);
    echo(&mut stream, b"before");
    manager.kill(Signal::KILL);
    stream.write_all(b"mean").unwrap();
    manager.start_again();
    manager.wait_ready();
    assert!(manager.wait_status(|_| true).contains("; adopted: 1;"));
    stream.read_exact(&mut [0; 4]).unwrap();
    echo(&mut stream, b"after");
    manager.restart();
    echo(&mut stream, b"again");
    let life = manager.notifications().last().unwrap().life;
    assert_eq!(life, 3);
    // The second life had nobody new, so its own bag was empty and went.
    assert_eq!(manager.stored(), ["echod-memory", "echod-bag-1", "echod-bag-3"]);
}

#[test]
fn a_conversation_that_ended_leaves_the_store_with_the_next_life() {
    let (mut manager, address) = serving();
    let mut stream = connect(address);
    echo(&mut stream, b"hello");
    manager.kill(Signal::KILL);
    manager.start_again();
    manager.wait_ready();
    drop(stream);
    manager.wait_stored(|names| names == ["echod-memory", "echod-bag-2"]);
}

#[test]
fn hundreds_of_conversations_fill_several_bags_and_outlive_a_kill() {
    let (mut manager, address) = serving();
    let mut streams: Vec<_> = (0..600)
        .map(|_| {
            let mut stream = connect(address);
            echo(&mut stream, b"before");
            stream
        })
        .collect();
    manager.kill(Signal::KILL);
    let bags = ["echod-memory", "echod-bag-1", "echod-bag-2", "echod-bag-3"];
    assert_eq!(manager.stored(), bags);
    manager.start_again();
    manager.wait_ready();
    assert!(manager.wait_status(|_| true).contains("; adopted: 600;"));
    echo_all(&mut streams, b"after");
}

#[test]
fn after_a_stop_nothing_is_kept() {
    let (mut manager, address) = serving();
    let mut stream = connect(address);
    echo(&mut stream, b"hello");
    manager.stop();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(manager.stored().is_empty());
}

#[test]
fn a_manager_without_a_store_drops_without_a_word() {
    let mut manager = manager();
    manager.store_max(0);
    let address = manager.listen_tcp("rfc862");
    start(&mut manager, "echo");
    manager.wait_ready();
    assert!(manager.wait_status(|_| true).contains("; store: false;"));
    let mut stream = connect(address);
    echo(&mut stream, b"hello");
    manager.kill(Signal::KILL);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_newest_descriptor_is_handed_over_first_and_each_file_once() {
    let mut manager = manager();
    start(&mut manager, "files");
    manager.wait_ready();
    assert_eq!(manager.stored(), ["one", "two", "three"]);
    manager.kill(Signal::KILL);
    manager.start_again();
    manager.wait_ready();
    let status = manager.wait_status(|_| true);
    assert_eq!(status, "three:two:one");
}

#[test]
fn a_watched_descriptor_goes_when_its_other_end_does() {
    let mut manager = manager();
    start(&mut manager, "watched");
    manager.wait_stored(|names| names == ["unwatched", "watched"]);
    manager.kill(Signal::KILL);
    assert_eq!(manager.stored(), ["unwatched"]);
}

#[test]
fn an_end_is_seen_with_its_code_and_its_last_words() {
    let mut manager = manager();
    start(&mut manager, "fail");
    assert_eq!(manager.wait_exit().code(), Some(64));
    assert!(manager.stderr().iter().any(|line| line == "stand-in: cannot go on"));
}

#[test]
fn a_killed_daemon_is_seen_to_be_killed() {
    use std::os::unix::process::ExitStatusExt as _;
    let mut manager = manager();
    start(&mut manager, "echo");
    manager.wait_ready();
    assert_eq!(manager.kill(Signal::KILL).signal(), Some(9));
    manager.start_again();
    manager.wait_ready();
    assert_eq!(manager.terminate().signal(), Some(15));
}

#[test]
#[should_panic(expected = "died before READY=1")]
fn a_daemon_that_dies_first_fails_the_test_at_once() {
    let mut manager = manager();
    start(&mut manager, "fail");
    manager.wait_ready();
}

#[test]
fn more_descriptors_in_flight_than_the_limit_give_no_place_for_a_second() {
    let mut manager = manager();
    manager.descriptors_max(64);
    start(&mut manager, "flight");
    assert_eq!(manager.wait_status(|_| true), "in flight, then resting");
}

/// Not a test but a daemon, when it is told to be one.
#[test]
fn stand_in() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match &role[..] {
        "echo" => echo_and_keep(),
        "files" => files(),
        "watched" => watched(),
        "flight" => flight(),
        "fail" => {
            eprintln!("stand-in: cannot go on");
            std::process::exit(64);
        }
        other => panic!("no such role: {other}"),
    }
}

/// A daemon that echoes what it reads, and notes nothing about it.
fn echo_and_keep() {
    let hand = inherit().unwrap();
    let manager = echod::systemd::Manager::from_env();
    let memory = hand.memory.is_none().then(|| tempfile::tempfile().unwrap());
    let memory = memory.as_ref().map(std::os::fd::AsFd::as_fd);
    let mut store = Store::open(&manager, &hand, memory, 1 << 20, Instant::now());
    let mut talks = Vec::new();
    let adopted = hand.bags.iter().map(|(bag, fd)| {
        let found = peek(fd).unwrap();
        let live = u32::try_from(found.entries.len()).unwrap();
        let tally = Tally { live, total: found.total() };
        talks.extend(found.entries.into_iter().map(|(_, fd)| (Some(*bag), TcpStream::from(fd))));
        (*bag, tally)
    });
    let adopted: Vec<_> = adopted.collect();
    if let Some(store) = &mut store {
        store.resume(adopted);
    }
    let names: Vec<_> = hand.sockets.iter().map(|socket| &socket.name[..]).collect();
    let (names, adopted, has_store) = (names.join(":"), talks.len(), store.is_some());
    let watchdog = manager.watchdog().unwrap_or_default();
    let status =
        format!("hand: {names}; adopted: {adopted}; store: {has_store}; watchdog: {watchdog:?}");
    manager.status(&status).unwrap();
    manager.ready().unwrap();
    serve(&hand, store, talks);
}

fn serve(hand: &Hand, mut store: Option<Store>, mut talks: Vec<(Option<BagNumber>, TcpStream)>) {
    let listener: Option<TcpListener> =
        hand.sockets.first().map(|socket| socket.fd.try_clone().unwrap().into());
    let mut id = 0;
    loop {
        let mut asked: Vec<_> =
            talks.iter().map(|(_, stream)| PollFd::new(stream, PollFlags::IN)).collect();
        asked.extend(listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        poll(&mut asked, None).unwrap();
        let ready: Vec<_> = asked.iter().map(|asked| !asked.revents().is_empty()).collect();
        for index in (0..talks.len()).rev().filter(|index| ready[*index]) {
            let mut buffer = [0; 4096];
            let (bag, stream) = &mut talks[index];
            match stream.read(&mut buffer) {
                Ok(length) if length > 0 => stream.write_all(&buffer[..length]).unwrap(),
                _ => {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    if let (Some(store), Some(bag)) = (&mut store, *bag) {
                        store.remove(bag);
                    }
                    talks.swap_remove(index);
                }
            }
        }
        let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) else { continue };
        id += 1;
        let entry = Entry { id, record: 0, protocol: 3 };
        let bag = store.as_mut().map(|store| store.add(stream.as_fd(), entry, Instant::now()));
        talks.push((bag.transpose().unwrap(), stream));
    }
}

/// Stores a few files, one of them twice, and says what it was handed.
fn files() {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let one = tempfile::tempfile().unwrap().into();
    let two = tempfile::tempfile().unwrap().into();
    let three = tempfile::tempfile().unwrap().into();
    if names.is_empty() {
        for (name, fd) in [("one", &one), ("two", &two), ("one again", &one), ("three", &three)] {
            keep(name, fd, "FDPOLL=0");
        }
    }
    sd_notify::notify(&[sd_notify::NotifyState::Status(&names)]).unwrap();
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).unwrap();
    sleep_until_killed();
}

fn watched() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (ours_too, theirs_too) = UnixStream::pair().unwrap();
    keep("unwatched", &theirs.into(), "FDPOLL=0");
    keep("watched", &theirs_too.into(), "FDPOLL=1");
    sleep_until_killed();
    drop((ours, ours_too));
}

/// Fills bags until the kernel has had enough. It counts for those only who may
/// not exceed their limits.
fn flight() {
    renounce_privileges();
    let manager = echod::systemd::Manager::from_env();
    let hand = Hand::default();
    let mut now = Instant::now();
    let mut store = Store::open(&manager, &hand, None, 64, now).unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut outcome = |now| store.add(ours.as_fd(), Entry { id: 1, record: 1, protocol: 1 }, now);
    let refused = (0..4096).find_map(|_| outcome(now).err());
    assert!(refused.as_ref().is_some_and(is_in_flight), "{refused:?}");
    assert!(matches!(outcome(now), Err(NoPlace::Resting)));
    now += Duration::from_secs(1);
    assert!(outcome(now).is_err_and(|error| is_in_flight(&error)));
    manager.status("in flight, then resting").unwrap();
    sleep_until_killed();
}

/// Whether the kernel itself says so: that is recorded with its words.
fn is_in_flight(no_place: &NoPlace) -> bool {
    let (NoPlace::Kernel(error) | NoPlace::Manager(error)) = no_place else { return false };
    error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

fn keep(name: &str, fd: &OwnedFd, watch: &str) {
    use sd_notify::NotifyState::{Custom, FdName, FdStore};
    sd_notify::notify_with_fds(&[FdStore, FdName(name), Custom(watch)], &[fd.as_fd()]).unwrap();
}

fn sleep_until_killed() {
    while poll(&mut [], None).is_err() {}
}

/// Gives up what exempts root from the limit of descriptors in flight, and takes
/// a real user of its own, for the kernel adds up all that a user has in flight.
#[allow(unsafe_code, reason = "rustix has this behind a feature that nothing else needs")]
fn renounce_privileges() {
    // _LINUX_CAPABILITY_VERSION_3, of this thread; two sets of three words.
    let header = [0x2008_0522_u32, 0];
    let none = [0_u32; 6];
    let own = 1_000_000 + std::process::id();
    // SAFETY: Plain numbers; the arrays outlive the call and have the lengths
    // that version 3 asks for.
    let done = unsafe {
        // Who is not root cannot do this and has no privileges to give up.
        libc::syscall(libc::SYS_setreuid, own, -1);
        libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr())
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

const ROLE: &str = "STAND_IN";
