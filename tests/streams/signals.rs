//! Leaving without a manager that keeps anything.

use crate::slow::owed;
use crate::support::daemon::Daemon;
use crate::support::peer::{End, ask, connect, echo, rest};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn what_has_arrived_is_answered_before_it_leaves() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let options = ["--message-max=100", "--suffix=!", "--drain-timeout=1min"];
        let daemon = Daemon::speaking("reply", &options);
        let mut stream = connect(daemon.address());
        ask(&mut stream, b"hello", 6);
        daemon.signal(Signal::STOP);
        stream.write_all(&[b'x'; 4_000]).unwrap();
        daemon.signal(signal);
        daemon.signal(Signal::CONT);
        let (heard, end) = rest(&mut stream);
        assert!(heard == [&[b'x'; 100][..], b"!"].concat().repeat(40), "{} bytes", heard.len());
        assert_eq!(end, End::Eof);
        drop(stream);
        let (status, lines) = daemon.wait_exit();
        assert_eq!(status.code(), Some(0));
        let words = "echod: stopping; to be answered and ended: 1 conversation";
        assert!(lines.iter().any(|line| line == words), "{lines:?}");
    }
}

#[test]
fn who_has_ended_gets_its_farewell_before_it_leaves() {
    let daemon = Daemon::speaking("line", &["--suffix=!", "--drain-timeout=1min"]);
    let mut stream = connect(daemon.address());
    ask(&mut stream, b"hello\n", 7);
    daemon.signal(Signal::STOP);
    stream.write_all(b"no line end").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::CONT);
    assert_eq!(rest(&mut stream), (b"no line end!".to_vec(), End::Eof));
    assert_eq!(daemon.wait_exit().0.code(), Some(0));
}

#[test]
fn nobody_begins_any_more_once_it_leaves() {
    let daemon = Daemon::speaking("rfc862", &["--drain-timeout=1min"]);
    let (address, mut stream) = (daemon.address(), connect(daemon.address()));
    echo(&mut stream, b"hello");
    daemon.signal(Signal::TERM);
    daemon.wait_line(|line| line.starts_with("echod: stopping"));
    assert_eq!(rest(&mut stream), (Vec::new(), End::Eof));
    drop(stream);
    assert_eq!(daemon.wait_exit().0.code(), Some(0));
    assert!(TcpStream::connect(address).is_err());
}

/// One whose answers are long.
fn speaking_long_lines(option: &str) -> Daemon {
    Daemon::speaking("line", &[&format!("--suffix={}", "s".repeat(255)), option])
}

#[test]
fn it_waits_no_longer_than_it_may_and_cuts_no_answer_short_unnoticed() {
    let daemon = speaking_long_lines("--drain-timeout=200ms");
    let mut owed = owed(&daemon);
    let asked = Instant::now();
    let (status, _) = daemon.kill(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() >= Duration::from_millis(200));
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(rest(&mut owed).1, End::Reset);
}

#[test]
fn a_second_interrupt_ends_it_at_once_and_cuts_no_answer_short_unnoticed() {
    let daemon = speaking_long_lines("--drain-timeout=1h");
    let mut owed = owed(&daemon);
    daemon.signal(Signal::INT);
    daemon.wait_line(|line| line.starts_with("echod: stopping"));
    let (status, _) = daemon.kill(Signal::INT);
    assert_eq!(status.code(), Some(0));
    assert_eq!(rest(&mut owed).1, End::Reset);
}

#[test]
fn who_takes_its_answer_while_it_leaves_gets_it_whole() {
    let daemon = speaking_long_lines("--drain-timeout=1min");
    let mut owed = owed(&daemon);
    daemon.signal(Signal::TERM);
    daemon.wait_line(|line| line.starts_with("echod: stopping"));
    let mut heard = vec![0; 60_000 * 256];
    owed.read_exact(&mut heard).unwrap();
    assert_eq!(rest(&mut owed), (Vec::new(), End::Eof));
    drop(owed);
    assert_eq!(daemon.wait_exit().0.code(), Some(0));
}

#[test]
fn an_idle_daemon_leaves_at_once() {
    let daemon = Daemon::speaking("rfc862", &["--drain-timeout=1h"]);
    assert_eq!(daemon.kill(Signal::TERM).0.code(), Some(0));
}
