//! Peers that do not take their answers.

use crate::support::daemon::Daemon;
use crate::support::peer::{
    End, connect, connect_narrow, echo, half_close, memory, rest, stuff, unread_by_daemon, wait_for,
};
use rustix::process::Signal;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than the kernel holds for both sides of a narrow connection.
const FLOOD: usize = 16 << 20;

/// So many line ends that the answer is far more than the kernel holds, and so
/// few that one read takes them all.
const LINE_ENDS: usize = 60_000;

fn speaking_long_lines(arguments: &[&str]) -> Daemon {
    let suffix = format!("--suffix={}", "s".repeat(255));
    Daemon::speaking("line", &[&[&suffix[..]], arguments].concat())
}

/// A peer that is owed an answer, which the kernel has no room for, and has nothing
/// more to say; not one byte of it is unread.
pub(crate) fn owed(daemon: &Daemon) -> TcpStream {
    let mut stream = connect_narrow(daemon.address());
    // All of it is there before the daemon reads: while an answer is owed it would
    // not read the rest.
    daemon.signal(Signal::STOP);
    stream.write_all(&vec![b'\n'; LINE_ENDS]).unwrap();
    let unread = |wanted: usize| (unread_by_daemon(&stream) == Some(wanted as u64)).then_some(());
    wait_for("all of it to arrive", || unread(LINE_ENDS));
    daemon.signal(Signal::CONT);
    wait_for("the daemon to read", || unread(0));
    stream
}

#[test]
fn who_never_reads_costs_little_and_disturbs_nobody_and_is_let_go() {
    let daemon = Daemon::speaking("rfc862", &["--stall-timeout=2s"]);
    let mut other = connect(daemon.address());
    echo(&mut other, b"hello");
    let before = memory(daemon.pid());
    let flood = vec![7; FLOOD];
    let mut readers: Vec<_> = (0..3).map(|_| connect_narrow(daemon.address())).collect();
    let began = Instant::now();
    let gone: usize = readers.iter_mut().map(|stream| stuff(stream, &flood)).sum();
    let cost = memory(daemon.pid()).saturating_sub(before);
    println!("{cost} bytes of memory for three, of whom the kernel took {gone} bytes");
    // Each has at most one read's worth; the rest is what the heap rounds up to.
    assert!(cost < 3 * 65_536 + (256 << 10), "{cost} bytes");
    while !daemon.lines().iter().any(|line| line.contains("ended (stalled)")) {
        let asked = Instant::now();
        echo(&mut other, &[8; 1000]);
        assert!(asked.elapsed() < Duration::from_secs(1));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(began.elapsed() >= Duration::from_secs(2));
    daemon.wait_endings("stalled", 3);
    for stream in &mut readers {
        assert_eq!(rest(stream).1, End::Reset, "a truncated answer passes for a whole one");
    }
    echo(&mut other, b"still here");
}

#[test]
fn who_trickles_does_not_win_time() {
    let daemon = speaking_long_lines(&["--stall-timeout=1s"]);
    let mut stream = owed(&daemon);
    let began = Instant::now();
    let mut heard = 0;
    while !daemon.lines().iter().any(|line| line.contains("ended (stalled)")) {
        assert!(began.elapsed() < Duration::from_secs(10), "{heard} bytes keep it alive");
        if let Ok(n) = std::io::Read::read(&mut stream, &mut [0; 2048]) {
            heard += n;
        }
        // A steady reader, only slow.
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(heard > 2048);
}

#[test]
fn who_takes_its_answer_late_but_in_time_gets_it_whole() {
    let daemon = speaking_long_lines(&["--stall-timeout=20s"]);
    let mut stream = owed(&daemon);
    half_close(&stream);
    let (heard, end) = rest(&mut stream);
    assert_eq!((heard.len(), end), (LINE_ENDS * 256, End::Eof));
    daemon.wait_endings("end-of-file", 1);
}

#[test]
fn who_resets_while_it_is_owed_is_gone_at_once() {
    let daemon = speaking_long_lines(&[]);
    crate::support::peer::reset(owed(&daemon));
    daemon.wait_endings("reset", 1);
}

#[test]
fn who_resets_after_its_end_of_file_is_gone_at_once() {
    // All of the answer is in the kernel, and the peer has no room for it.
    let daemon = Daemon::speaking("rfc862", &[]);
    let mut stream = connect_narrow(daemon.address());
    stream.write_all(&vec![7; 1 << 20]).unwrap();
    half_close(&stream);
    wait_for("the daemon's end of file", || is_ended_by_daemon(&stream).then_some(()));
    crate::support::peer::reset(stream);
    daemon.wait_endings("reset", 1);
}

/// Whether the daemon has ended its side too: the state of its socket is
/// `LAST_ACK` then.
fn is_ended_by_daemon(stream: &TcpStream) -> bool {
    crate::support::peer::state_at_daemon(stream) == Some(9)
}
