//! Clocks that jump between two processes: the next one has others than the one
//! whose notes it reads, as on a machine that slept, or was moved.

use crate::lives::Lives;
use crate::stuck::Stuck;
use crate::support::peer::{End, connect, echo, echo_all, half_close, hears, rest, wait_for};
use crate::support::skip::skip;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Clocks of one's own, of which that since boot and the monotonic one are so many
/// seconds ahead, or behind. They go on for as long as this is kept.
struct Clocks(Child);

impl Clocks {
    /// None where that is not allowed: the test is skipped.
    fn ahead(seconds: i64) -> Option<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--time"]);
        command.args(["boottime", "monotonic"].map(|clock| format!("--{clock}={seconds}")));
        command.args(["sh", "-c", "echo here; exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("util-linux is installed");
        let mut heard = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut heard).unwrap();
        if heard == "here\n" {
            return Some(Self(keeper));
        }
        skip(format_args!("unshare --time is not allowed: {}", keeper.wait().unwrap()));
        None
    }

    /// As much behind as clocks can be that have not gone on for longer.
    fn behind() -> i64 {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: i64 = text.split('.').next().unwrap().parse().unwrap();
        -(seconds - 1).min(DAY)
    }

    /// What a shell does to become something that has them.
    fn way(&self) -> String {
        let place = format!("/proc/{}/ns/time_for_children", self.0.id());
        format!("exec nsenter --time={place} \"$@\"")
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn clocks_that_jump_end_nobody_and_cost_no_byte() {
    let mut lives = Lives::new();
    let address = lives.manager.listen_tcp("rfc862");
    lives.begin(&["--idle-timeout=1h", "--stall-timeout=1h"]);
    let mut peers: Vec<_> = (0..20).map(|_| connect(address)).collect();
    echo_all(&mut peers, b"hello");
    let stuck = Stuck::at(address);
    let mut jumps = 0;
    for ahead in [HOUR, Clocks::behind(), 90 * DAY, 0, -1, 1, 3_650 * DAY, Clocks::behind()] {
        let Some(clocks) = Clocks::ahead(ahead) else { return };
        lives.kill(&clocks.way());
        echo_all(&mut peers, b"what time is it?");
        // Each of them can begin, too.
        peers.push(connect(address));
        echo_all(&mut peers, b"and now?");
        jumps += 1;
    }
    let said = stuck.hear();
    let conversations = peers.len() + 1;
    for stream in &mut peers {
        half_close(stream);
        assert_eq!(rest(stream), (Vec::new(), End::Eof));
    }
    // Its clock is behind those by which they began, or hardly ahead.
    let ended = wait_for("the end of all", || {
        let told = lives.manager.stderr().into_iter();
        let ended: Vec<_> = told.filter(|line| line.contains("ended (end-of-file)")).collect();
        (ended.len() == conversations).then_some(ended)
    });
    let is_short = |line: &String| line.ends_with(" s") && !line.contains(" min ");
    assert!(ended.iter().all(is_short), "{ended:#?}");
    println!("{jumps} jumps, {conversations} conversations, none ended, {said} bytes were owed");
}

/// What becomes of one conversation whose peer says nothing after the jump.
fn end_after(option: &str, ahead: i64) -> Option<(Duration, String)> {
    let clocks = Clocks::ahead(ahead)?;
    let mut lives = Lives::new();
    let address = lives.manager.listen_tcp("rfc862");
    lives.begin(&[option]);
    let mut stream = connect(address);
    echo(&mut stream, b"hello");
    lives.kill(&clocks.way());
    let began = Instant::now();
    assert_eq!(rest(&mut stream), (Vec::new(), End::Eof));
    let lasted = began.elapsed();
    drop(stream);
    Some((lasted, lives.manager.wait_stderr(|line| line.contains(" ended ("))))
}

#[test]
fn a_limit_of_time_holds_however_the_clocks_jumped() {
    let behind = Clocks::behind();
    for (option, ahead, ending, words) in [
        // Begun in what is the future now: no older than the process that has it.
        ("--lifetime-max=2s", behind, "lifetime", "in 0.000 s"),
        // By what the clock says it has lasted for longer than it may, as it has on
        // a machine that slept.
        ("--lifetime-max=1h", 2 * HOUR, "lifetime", "in 2 h 0 min"),
        ("--lifetime-max=52w", 3_650 * DAY, "lifetime", "in 3650 d 0 h"),
        // When the peer was last heard is the kernel's to say, which has one clock.
        ("--idle-timeout=2s", behind, "idle", "in 0.000 s"),
        ("--idle-timeout=2s", 90 * DAY, "idle", "in 90 d 0 h"),
    ] {
        let Some((lasted, line)) = end_after(option, ahead) else { return };
        println!("{option}, {ahead} s ahead: after {lasted:.1?}: {line}");
        assert!(line.contains(&format!("ended ({ending})")) && line.ends_with(words), "{line}");
        assert!(lasted < Duration::from_secs(5), "{lasted:?}");
    }
}

#[test]
fn a_limit_of_time_that_is_not_reached_after_a_jump_ends_nobody() {
    let mut tried = 0;
    for (option, ahead) in [
        ("--lifetime-max=1h", HOUR / 2),
        ("--lifetime-max=1h", Clocks::behind()),
        ("--idle-timeout=1h", 90 * DAY),
        ("--idle-timeout=1h", Clocks::behind()),
    ] {
        let Some(clocks) = Clocks::ahead(ahead) else { return };
        let mut lives = Lives::new();
        let address = lives.manager.listen_tcp("rfc862");
        lives.begin(&[option]);
        let mut stream: TcpStream = connect(address);
        echo(&mut stream, b"hello");
        lives.kill(&clocks.way());
        echo(&mut stream, b"still here");
        assert!(!hears(&stream, Duration::from_millis(200)), "{option}, {ahead} s ahead");
        echo(&mut stream, b"and still");
        tried += 1;
    }
    println!("{tried} limits");
}
