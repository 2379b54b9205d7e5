//! What peers can do to the journal, and the journal to them: nothing.

use crate::support::journal::{Entry, Journal};
use crate::support::peer::{ask, connect, echo, half_close, rest};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

/// A daemon whose standard error is the journal, and where it listens. It dies
/// with this thread.
fn daemon(journal: &Journal, arguments: &[&str]) -> (Child, SocketAddr) {
    let mut command = journal.command("setpriv");
    command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_echod"), "--log-level=debug"]);
    command.args(arguments);
    let child = command.spawn().unwrap();
    let ready = journal.next().unwrap();
    let mut words = message(&ready).split([' ', ',', ';']);
    let address = words.find_map(|word| word.parse().ok());
    (child, address.unwrap_or_else(|| panic!("{ready:?}")))
}

fn message(entry: &Entry) -> &str {
    entry.get("MESSAGE").expect("every record has words")
}

fn terminate(child: &Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
}

#[test]
fn whatever_a_peer_says_stays_one_harmless_record() {
    let Some(journal) = Journal::new() else { return };
    let listen = "--listen-stream=reply=127.0.0.1:0";
    let (child, address) = daemon(&journal, &[listen, "--suffix=!"]);
    let mut stream = connect(address);
    for said in [&b"x\nPRIORITY=0\nMESSAGE=owned"[..], b"\x1b]0;owned\x07\x1b[2J", &[0; 9_000]] {
        ask(&mut stream, said, said.len() + 1);
    }
    half_close(&stream);
    rest(&mut stream);
    terminate(&child);
    let entries = journal.rest(child);
    let said: Vec<_> =
        entries.iter().filter(|entry| entry.get("PRIORITY") == Some("7")).map(message).collect();
    let zeros = r"\x00".repeat(128);
    assert_eq!(
        said,
        [
            r"received: |x\nPRIORITY=0\nMESSAGE=owned|",
            r"sent: [x\nPRIORITY=0\nMESSAGE=owned!]",
            r"received: |\x1b]0;owned\x07\x1b[2J|",
            r"sent: [\x1b]0;owned\x07\x1b[2J!]",
            &format!("received: |{zeros}… (9000 bytes)|"),
            &format!("sent: [{zeros}… (9001 bytes)]"),
        ]
    );
    // Begin, end and stop besides.
    assert_eq!(entries.len(), 6 + 3);
}

#[test]
fn a_journal_that_does_not_read_for_five_seconds_delays_no_echo_and_the_loss_is_told() {
    let Some(journal) = Journal::new() else { return };
    let (child, address) = daemon(&journal, &["--listen-stream=rfc862=127.0.0.1:0"]);
    let mut stream = connect(address);
    let (began, mut slowest, mut echoes) = (Instant::now(), Duration::ZERO, 0_u64);
    // Nobody reads the journal meanwhile.
    while began.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        echo(&mut stream, b"hello");
        slowest = slowest.max(asked.elapsed());
        echoes += 1;
    }
    half_close(&stream);
    rest(&mut stream);
    // Each echo has two records; begin and end have one each.
    let all = 2 * echoes + 2;
    let (mut written, mut told) = (0, 0);
    while written + told < all {
        match lost(message(&journal.next().unwrap())) {
            Some(count) => told += count,
            None => written += 1,
        }
    }
    println!("{echoes} echoes, the slowest in {slowest:?}; {written} records, {told} lost");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(told > 0);
    // One that was taken at the last moment may count as lost too.
    assert!(written + told <= all + 1, "of {all} records");
    terminate(&child);
    journal.rest(child);
}

/// How many records this one says were lost.
fn lost(message: &str) -> Option<u64> {
    let (count, rest) = message.split_once(" record")?;
    rest.ends_with("not written, continuing").then(|| count.replace(',', "").parse().unwrap())
}
