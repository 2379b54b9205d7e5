//! A manager that is gone for a while, a process that is stopped, and clocks.

use crate::support::manager::Manager;
use crate::support::peer::{End, connect, cpu_time, echo, half_close, hears, rest, wait_for};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn a_manager_that_does_not_hear_for_a_while_costs_nobody_anything() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    manager.start(&[], &[]);
    manager.wait_ready();
    let mut before = connect(address);
    echo(&mut before, b"hello");
    let (here, away) = (manager.place().join("notify"), manager.place().join("away"));
    std::fs::rename(&here, &away).unwrap();
    // More than a bag holds, so that the daemon would have to ask for another.
    let mut meanwhile: Vec<_> = (0..300).map(|_| connect(address)).collect();
    let spent = cpu_time(manager.pid());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        for stream in meanwhile.iter_mut().step_by(50) {
            echo(stream, b"is anybody there?");
        }
        // It answers, and does nothing besides.
        assert!(!hears(&before, Duration::from_millis(100)));
    }
    let spent = cpu_time(manager.pid()).checked_sub(spent).unwrap();
    println!("{spent:?} of two seconds on a processor, with nobody to notify");
    assert!(spent < Duration::from_secs(1));
    std::fs::rename(&away, &here).unwrap();
    let mut served = 1 + meanwhile.len();
    let mut after = wait_for("another bag", || {
        // Whoever comes next finds a place again.
        let mut after = connect(address);
        echo(&mut after, b"hello");
        served += 1;
        (manager.stored().len() > 2).then_some(after)
    });
    manager.wait_status(|status| status.contains(&format!(" {served} served")));
    manager.kill(Signal::KILL);
    manager.start_again();
    manager.wait_ready();
    echo(&mut before, b"still here");
    echo(&mut after, b"and I");
}

#[test]
fn who_is_not_heard_to_be_ready_serves_and_can_be_asked_to_leave() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    // Nobody reads here, and the queue is full.
    let deaf = manager.place().join("deaf");
    let _reader = UnixDatagram::bind(&deaf).unwrap();
    let others = UnixDatagram::unbound().unwrap();
    others.set_nonblocking(true).unwrap();
    while others.send_to(b"STATUS=many words", &deaf).is_ok() {}
    manager.start(&[], &[("NOTIFY_SOCKET", deaf.to_str().unwrap())]);
    echo(&mut connect(address), b"hello");
    assert!(manager.terminate().success());
}

#[test]
fn who_spoke_while_the_process_was_stopped_is_answered_and_not_idle() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    let datagrams = manager.listen_udp("rfc862");
    manager.start(&["--idle-timeout=1s"], &[]);
    manager.wait_ready();
    let (mut speaks, mut silent) = (connect(address), connect(address));
    echo(&mut speaks, b"hello");
    echo(&mut silent, b"hello");
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    manager.signal(Signal::STOP);
    speaks.write_all(b"are you asleep?").unwrap();
    client.send_to(b"and you?", datagrams).unwrap();
    let mut comes = connect(address);
    comes.write_all(b"good morning").unwrap();
    // Longer than the idle timeout.
    assert!(!hears(&speaks, Duration::from_millis(1_500)));
    manager.signal(Signal::CONT);
    let mut heard = [0; 15];
    speaks.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"are you asleep?");
    let mut heard = [0; 12];
    comes.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"good morning");
    assert_eq!(client.recv(&mut [0; 16]).unwrap(), 8);
    assert_eq!(rest(&mut silent), (Vec::new(), End::Eof));
    // By now it may be idle itself: the kernel heard it before the process did.
    half_close(&speaks);
    assert_eq!(rest(&mut speaks), (Vec::new(), End::Eof));
}

/// The time of day may jump: nothing in the daemon asks for it. What is left are
/// clocks that only go on: monotonic for deadlines, and the time since boot for
/// what the next process must understand.
#[test]
fn nothing_asks_for_the_time_of_day() {
    let mut files = vec![std::path::PathBuf::from("src")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        read += 1;
        // The client may say when something happened.
        if path.starts_with("src/ping") || path.ends_with("ping.rs") {
            continue;
        }
        for clock in ["SystemTime", "UNIX_EPOCH", "Realtime", "CLOCK_REALTIME", "ClockId::Tai"] {
            assert!(!text.contains(clock), "{} names {clock}", path.display());
        }
    }
    println!("{read} files");
    assert!(read > 60);
}
