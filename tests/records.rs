//! Records as they arrive: in the journal's native protocol, and as lines.
//!
//! Each test has two roles. The parent is the journal; the child, the same test
//! started again, records what the parent expects.
//!
//! It is long because the two roles are the same for every kind of record.

mod support;

use echod::config::{Level, Rate, Records};
use echod::conversation::{Ending, Id, Refusal, Totals};
use echod::echo::Protocol;
use echod::endpoint::{Party, Transport};
use echod::report::{self, Adopted, Envelope, Finish, Introduction, Parting, Recording};
use echod::socket;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use support::journal::{Entry, Journal};
use support::peer::{ask, connect};

const ROLE: &str = "RECORDS_TEST_CHILD";
/// Nothing here takes long, but nothing depends on how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);
const DEBUG: Records = Records { level: Level::Debug, rate: Rate::literal(20, 1000) };

fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// The other role of a test, started and talked to by lines. Ends with it.
struct Other {
    child: Option<Child>,
    said: Receiver<String>,
}

impl Other {
    fn with_journal(journal: &Journal, test: &str) -> Self {
        Self::run(journal.command(std::env::current_exe().expect("this program")), test)
    }

    fn run(mut command: Command, test: &str) -> Self {
        command.args(["--exact", test, "--nocapture"]).env(ROLE, "yes");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (say, said) = mpsc::channel();
        // To the end, also when nobody waits any more: the child must not find
        // its pipe broken.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        Self { child: Some(child), said }
    }

    /// Waits until the child has come to a point.
    fn wait_for(&self, point: &str) {
        let next = || self.said.recv_timeout(PATIENCE).expect("the child comes to the point");
        while !next().ends_with(point) {}
    }

    fn go_on(&mut self) {
        let child = self.child.as_mut().expect("the child was not handed over yet");
        child.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("the child listens");
    }

    /// For whoever waits for its end.
    fn child(mut self) -> Child {
        self.child.take().expect("a child is handed over once")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().and_then(|()| child.wait()).expect("our child can be killed");
        }
    }
}

/// The child's side of [`Other::wait_for`] and [`Other::go_on`].
fn pause_at(point: &str) {
    println!("{point}");
    std::io::stdin().read_line(&mut String::new()).expect("the parent answers");
}

fn id(number: u64) -> Id {
    Id(NonZeroU64::new(number).expect("ids begin at 1"))
}

fn party(text: &str) -> Party {
    Party::Ip(text.parse().expect("an address"))
}

fn introduction(number: u64) -> Introduction {
    Introduction {
        id: id(number),
        transport: Transport::Tcp,
        protocol: Protocol::Reply,
        local: party("127.0.0.1:8080"),
        peer: party("[2001:db8::1]:54321"),
    }
}

fn message_id(name: &str) -> &'static str {
    let found = report::MESSAGE_IDS.iter().find(|(known, _)| *known == name);
    found.expect("a kind of record").1
}

fn entry<'a>(fields: &[(&'a str, &'a str)]) -> BTreeMap<&'a str, &'a str> {
    let always = [("SYSLOG_IDENTIFIER", "echod")];
    fields.iter().copied().chain(always).collect()
}

fn hold_a_conversation() {
    let recording = report::began(&introduction(5));
    report::received(id(5), "你好".as_bytes());
    report::sent(id(5), &["你好".as_bytes(), "-回传".as_bytes()]);
    let totals = Totals {
        received: 6,
        sent: 13,
        messages: Some(1),
        duration: Duration::from_micros(1_234_567),
    };
    report::ended(&introduction(5), recording, Ending::EndOfFile, &totals);
}

#[test]
fn a_conversation_arrives_with_all_its_fields() {
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        hold_a_conversation();
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let entries = journal
        .rest(Other::with_journal(&journal, "a_conversation_arrives_with_all_its_fields").child());
    let who = [
        ("ECHO_CONVERSATION", "5"),
        ("ECHO_TRANSPORT", "tcp"),
        ("ECHO_PROTOCOL", "reply"),
        ("ECHO_LOCAL", "127.0.0.1:8080"),
        ("ECHO_PEER", "[2001:db8::1]:54321"),
        ("ECHO_PEER_ADDRESS", "2001:db8::1"),
        ("ECHO_PEER_PORT", "54321"),
        ("PRIORITY", "6"),
    ];
    let mut began = entry(&who);
    began.extend([
        ("MESSAGE_ID", message_id("began")),
        ("MESSAGE", "conversation 5 with [2001:db8::1]:54321 began"),
    ]);
    let mut ended = entry(&who);
    ended.extend([
        ("MESSAGE_ID", message_id("ended")),
        (
            "MESSAGE",
            "conversation 5 with [2001:db8::1]:54321 ended (end-of-file): \
             1 message, 6 bytes received, 13 sent in 1.234 s",
        ),
        ("ECHO_BYTES_RECEIVED", "6"),
        ("ECHO_BYTES_SENT", "13"),
        ("ECHO_MESSAGES", "1"),
        ("ECHO_DURATION_USEC", "1234567"),
        ("ECHO_ENDING", "end-of-file"),
    ]);
    let seen: Vec<_> = entries.iter().map(Entry::fields).collect();
    assert_eq!([&seen[0], &seen[3]], [&began, &ended]);
    let received = [("ECHO_BYTES_RECEIVED", "6"), ("MESSAGE", "received: |你好|")];
    let sent = [("ECHO_BYTES_SENT", "13"), ("MESSAGE", "sent: [你好-回传]")];
    let turn = [received, sent].map(|told| {
        let always = [("ECHO_CONVERSATION", "5"), ("PRIORITY", "7")];
        entry(&[told, always].concat())
    });
    assert_eq!(seen[1..3], turn);
}

#[test]
fn what_does_not_apply_is_absent() {
    let mut who = introduction(6);
    (who.transport, who.protocol) = (Transport::UnixStream, Protocol::Rfc862);
    (who.local, who.peer) = (Party::Unknown, Party::Process { pid: 42, uid: 1000 });
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        let recording = report::began(&who);
        report::ended(&who, recording, Ending::Reset, &Totals::default());
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let entries =
        journal.rest(Other::with_journal(&journal, "what_does_not_apply_is_absent").child());
    let ended = entries[1].fields();
    let names = [
        "ECHO_BYTES_RECEIVED",
        "ECHO_BYTES_SENT",
        "ECHO_CONVERSATION",
        "ECHO_DURATION_USEC",
        "ECHO_ENDING",
        "ECHO_PEER",
        "ECHO_PEER_PID",
        "ECHO_PEER_UID",
        "ECHO_PROTOCOL",
        "ECHO_TRANSPORT",
    ];
    assert_eq!(echo_fields(&entries[1..]), names.into());
    assert_eq!((ended["ECHO_PEER_PID"], ended["ECHO_PEER_UID"]), ("42", "1000"));
    assert_eq!((ended["ECHO_PROTOCOL"], ended["ECHO_TRANSPORT"]), ("rfc862", "unix-stream"));
}

#[test]
fn a_forged_record_stays_one_harmless_record() {
    let zeros = vec![0; 1 << 20];
    let forged: [&[u8]; 3] = [b"x\nPRIORITY=0\nMESSAGE=owned", b"\x1b]0;owned\x07", &zeros];
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        for message in forged {
            report::received(id(7), message);
        }
        let envelope = Envelope {
            transport: Transport::Udp,
            protocol: Protocol::Rfc862,
            local: party("127.0.0.1:7"),
            peer: party("127.0.0.1:40000"),
            hops: Some(64),
        };
        report::datagram_received(&envelope, forged[0]);
        report::datagram_sent(&envelope, &[forged[0]]);
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let entries = journal
        .rest(Other::with_journal(&journal, "a_forged_record_stays_one_harmless_record").child());
    let messages: Vec<_> = entries.iter().map(|e| e.get("MESSAGE").expect("words")).collect();
    assert_eq!(
        messages,
        [
            r"received: |x\nPRIORITY=0\nMESSAGE=owned|",
            r"received: |\x1b]0;owned\x07|",
            &format!("received: |{}… (1048576 bytes)|", r"\x00".repeat(128)),
            r"received from 127.0.0.1:40000 (64 hops left): |x\nPRIORITY=0\nMESSAGE=owned|",
            r"sent to 127.0.0.1:40000: [x\nPRIORITY=0\nMESSAGE=owned]",
        ]
    );
    assert!(entries.iter().all(|entry| entry.get("PRIORITY") == Some("7")));
}

fn record_everything() {
    let trouble = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    report::ready(&["127.0.0.1:8080 (reply)".to_owned()], 900, Some(15_000));
    report::adopted(Adopted {
        conversations: 1000,
        mid_answer: 12,
        reset: 3,
        pause: Some(Duration::from_millis(150)),
    });
    report::unknown_variable("ECHOD_\x1b[2J".as_ref());
    report::refused(&party("192.0.2.7:999"), Refusal::Source);
    report::cannot_accept(&trouble);
    report::store_full();
    report::not_kept(&trouble);
    report::contradiction(id(8));
    report::struck(id(9), 2);
    report::struck_out(id(9));
    report::listener_failed("127.0.0.1:8080", &trouble);
    report::failed(&trouble);
    report::stopping(Parting::Keep(1000));
}

/// What [`record_everything`] makes of it: kind, priority, words.
const EVERYTHING: [(&str, &str, &str); 13] = [
    (
        "ready",
        "6",
        "ready on 127.0.0.1:8080 (reply); at most 900 conversations instead of 15,000, as far as the limit of descriptors goes",
    ),
    (
        "adopted",
        "6",
        "1,000 conversations continued, 12 in mid-answer, after a pause of 0.150 s; 3 could not be continued and were reset",
    ),
    ("unknown-variable", "4", r"the environment has ECHOD_\x1b[2J, which is no option, continuing"),
    ("refused", "6", "192.0.2.7:999 refused (source)"),
    ("cannot-accept", "4", "cannot accept now: permission denied, continuing"),
    (
        "store-full",
        "4",
        "the manager's store is full: a conversation would not outlive echod, continuing",
    ),
    (
        "not-kept",
        "4",
        "a conversation could not be put into the manager's store: permission denied, continuing",
    ),
    (
        "contradiction",
        "4",
        "conversation 8 reset: its notes contradict the kernel's counters, continuing",
    ),
    ("struck", "4", "conversation 9 was in its turn when echod died (2 strikes), continuing"),
    ("struck-out", "4", "conversation 9 reset: echod died too often in its turn, continuing"),
    ("listener-failed", "3", "127.0.0.1:8080 is dead: permission denied"),
    ("failed", "3", "permission denied"),
    ("stopping", "6", "stopping; left for a successor: 1,000 conversations"),
];

#[test]
fn every_record_has_its_priority_and_its_catalogue_entry() {
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        record_everything();
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let test = "every_record_has_its_priority_and_its_catalogue_entry";
    let entries = journal.rest(Other::with_journal(&journal, test).child());
    let name = |id: Option<&str>| {
        report::MESSAGE_IDS.iter().find(|known| Some(known.1) == id).expect("in the table").0
    };
    let seen: Vec<_> = entries
        .iter()
        .map(|e| {
            (
                name(e.get("MESSAGE_ID")),
                e.get("PRIORITY").expect("one"),
                e.get("MESSAGE").expect("one"),
            )
        })
        .collect();
    assert_eq!(seen, EVERYTHING);
    assert_eq!(entries[3].get("ECHO_REFUSAL"), Some("source"));
    assert_eq!(entries[3].get("ECHO_PEER_ADDRESS"), Some("192.0.2.7"));
}

#[test]
fn what_the_budget_does_not_cover_is_summed_up() {
    if is_child() {
        let rate = Rate::literal(1, 2);
        let reporter = report::start(&Records { level: Level::Info, rate }, socket::live_apart)
            .expect("a reporter");
        let recordings: Vec<_> = (1..=100).map(|n| report::began(&introduction(n))).collect();
        assert_eq!(recordings[0], Recording::Single);
        assert!(report::due().is_some());
        let totals = Totals { received: 10, sent: 20, ..Totals::default() };
        for (number, recording) in (1..).zip(&recordings) {
            report::ended(&introduction(number), *recording, Ending::EndOfFile, &totals);
        }
        let single = recordings.iter().filter(|r| **r == Recording::Single).count();
        println!("single: {single}");
        pause_at("recorded");
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let mut other = Other::with_journal(&journal, "what_the_budget_does_not_cover_is_summed_up");
    other.wait_for("recorded");
    other.go_on();
    let entries = journal.rest(other.child());
    let of = |name: &str| {
        let wanted = Some(message_id(name));
        entries.iter().filter(|entry| entry.get("MESSAGE_ID") == wanted).collect::<Vec<_>>()
    };
    assert_eq!(of("began").len(), of("ended").len(), "none has only half");
    let summed = of("summed");
    let bytes = |field: &str| -> u64 {
        let entries = of("ended").into_iter().chain(summed.iter().copied());
        entries
            .map(|entry| entry.get(field).expect("a count").parse::<u64>().expect("a count"))
            .sum()
    };
    assert_eq!((bytes("ECHO_BYTES_RECEIVED"), bytes("ECHO_BYTES_SENT")), (1000, 2000));
    assert_eq!(summed.len(), 1);
}

#[test]
fn a_journal_that_does_not_read_delays_nobody_and_the_loss_is_told() {
    const MESSAGES: u64 = 20_000;
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        (1..=MESSAGES).for_each(|number| report::received(id(number), b"hello"));
        // Nobody has read a single record yet, and we are through.
        pause_at("recorded");
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let test = "a_journal_that_does_not_read_delays_nobody_and_the_loss_is_told";
    let mut other = Other::with_journal(&journal, test);
    other.wait_for("recorded");
    other.go_on();
    let (mut written, mut lost) = (0, 0);
    for entry in journal.rest(other.child()) {
        if entry.get("MESSAGE_ID") == Some(message_id("lost")) {
            assert_eq!(entry.get("PRIORITY"), Some("4"));
            lost += lost_count(entry.get("MESSAGE").expect("words"));
        } else {
            written += 1;
        }
    }
    assert!(lost > 0);
    assert_eq!(written + lost, MESSAGES);
}

fn lost_count(message: &str) -> u64 {
    let (count, rest) = message.split_once(' ').expect("words");
    assert!(
        ["records were not written, continuing", "record was not written, continuing"]
            .contains(&rest)
    );
    count.replace(',', "").parse().expect("a count")
}

#[test]
fn a_journal_that_never_reads_is_not_waited_for_at_the_end() {
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        (1..=20_000).for_each(|number| report::received(id(number), b"hello"));
        assert_eq!(reporter.finish(Duration::from_millis(1)), Finish::Late);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let test = "a_journal_that_never_reads_is_not_waited_for_at_the_end";
    let mut child = Other::with_journal(&journal, test).child();
    assert!(child.wait().expect("a child").success());
}

#[test]
fn a_journal_that_went_away_is_found_back_and_the_loss_is_told() {
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        pause_at("first");
        (1..=10).for_each(|number| report::received(id(number), b"meanwhile"));
        let late = Instant::now() + PATIENCE;
        while report::unwritten() < 10 {
            assert!(Instant::now() < late, "the loss went unnoticed");
            std::thread::yield_now();
        }
        pause_at("second");
        report::received(id(11), b"after");
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(mut journal) = Journal::new() else { return };
    let test = "a_journal_that_went_away_is_found_back_and_the_loss_is_told";
    let mut other = Other::with_journal(&journal, test);
    other.wait_for("first");
    journal.go_away();
    other.go_on();
    other.wait_for("second");
    journal.come_back();
    other.go_on();
    let entries = journal.rest(other.child());
    let messages: Vec<_> = entries.iter().map(|e| e.get("MESSAGE").expect("words")).collect();
    let [after, loss] = messages[..] else { panic!("{messages:?}") };
    assert_eq!(after, "received: |after|");
    // A record is asked after once it is sent; the first one may have been read,
    // and the journal have gone, in between.
    let losses = [10, 11].map(|count| format!("{count} records were not written, continuing"));
    assert!(losses.iter().any(|one| one == loss), "{loss}");
}

#[test]
fn without_a_journal_to_reach_the_lines_carry_their_priority() {
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        report::received(id(1), b"x\nPRIORITY=0");
        report::stopping(Parting::Drain(1));
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(mut journal) = Journal::new() else { return };
    journal.go_away();
    let test = "without_a_journal_to_reach_the_lines_carry_their_priority";
    let mut child = Other::with_journal(&journal, test).child();
    assert!(child.wait().expect("a child").success());
    let stderr = journal.stderr();
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with('<')).collect();
    assert_eq!(
        lines,
        [
            "<4>the journal's socket cannot be reached (No such file or directory (os error 2)), \
             writing to standard error without fields, continuing",
            r"<7>received: |x\nPRIORITY=0|",
            "<6>stopping; to be answered and ended: 1 conversation",
        ]
    );
}

#[test]
fn a_terminal_gets_one_line_for_each_record() {
    if is_child() {
        let reporter = report::start(&Records { level: Level::Info, ..DEBUG }, socket::live_apart)
            .expect("a reporter");
        report::received(id(1), b"below the level");
        report::unknown_variable("ECHOD_A\nechod: owned".as_ref());
        report::ready(
            &["127.0.0.1:8080 (reply)".into(), "[::1]:8080 (reply)".into()],
            15_000,
            None,
        );
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        report::stopping(Parting::Keep(0));
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    // Another process's journal, as a shell started from a service has it.
    command.args(["--exact", "a_terminal_gets_one_line_for_each_record", "--nocapture"]);
    let output = command.env(ROLE, "yes").env("JOURNAL_STREAM", "1:1").output().expect("a child");
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).expect("text");
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("echod: ")).collect();
    assert_eq!(
        lines,
        [
            r"echod: the environment has ECHOD_A\nechod: owned, which is no option, continuing",
            "echod: ready on 127.0.0.1:8080 (reply), [::1]:8080 (reply); at most 15,000 conversations",
        ]
    );
}

/// Which `ECHO_…` fields some entries have.
fn echo_fields(entries: &[Entry]) -> BTreeSet<&str> {
    let names = entries.iter().flat_map(|entry| entry.fields().into_keys());
    names.filter(|name| name.starts_with("ECHO_")).collect()
}

#[test]
fn every_field_of_the_interface_is_recorded_and_no_other() {
    if is_child() {
        let reporter = report::start(&DEBUG, socket::live_apart).expect("a reporter");
        hold_a_conversation();
        let mut who = introduction(6);
        who.peer = Party::Process { pid: 42, uid: 1000 };
        report::began(&who);
        record_everything();
        assert_eq!(reporter.finish(PATIENCE), Finish::Whole);
        return;
    }
    let Some(journal) = Journal::new() else { return };
    let test = "every_field_of_the_interface_is_recorded_and_no_other";
    let entries = journal.rest(Other::with_journal(&journal, test).child());
    assert_eq!(echo_fields(&entries), report::FIELDS.iter().copied().collect());
}

/// The daemon itself with a journal of its own, and where it listens.
fn daemon(journal: &Journal) -> (Other, SocketAddr) {
    let mut command = journal.command(env!("CARGO_BIN_EXE_echod"));
    command.args(["--listen-stream", "127.0.0.1:0", "--log-level", "debug"]);
    let child = Some(command.spawn().expect("echod runs"));
    let other = Other { child, said: mpsc::channel().1 };
    let ready = journal.next().expect("the first record");
    assert_eq!(ready.get("MESSAGE_ID"), Some(message_id("ready")));
    let message = ready.get("MESSAGE").expect("words");
    let address = message.split(' ').find_map(|word| word.parse().ok());
    (other, address.expect("the record has the address"))
}

fn stop(daemon: Other) -> Child {
    let child = daemon.child();
    kill_process(Pid::from_child(&child), Signal::TERM).expect("echod is there");
    child
}

fn say(stream: &mut TcpStream, message: &[u8]) {
    let expected = [message, "-回传".as_bytes()].concat();
    assert_eq!(ask(stream, message, expected.len()), expected);
}

#[test]
fn the_daemon_makes_one_harmless_record_of_a_forged_message() {
    let Some(journal) = Journal::new() else { return };
    let (daemon, address) = daemon(&journal);
    let mut stream = connect(address);
    let from = stream.local_addr().expect("an address").to_string();
    say(&mut stream, b"x\nPRIORITY=0\nMESSAGE=owned");
    stream.shutdown(Shutdown::Write).expect("a connection");
    assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
    let entries: Vec<_> = std::iter::from_fn(|| journal.next()).take(4).collect();
    journal.rest(stop(daemon));
    let told: Vec<_> = entries.iter().map(|e| e.get("MESSAGE").expect("words")).collect();
    assert_eq!(
        told[..3],
        [
            &format!("conversation 1 with {from} began"),
            r"received: |x\nPRIORITY=0\nMESSAGE=owned|",
            r"sent: [x\nPRIORITY=0\nMESSAGE=owned-回传]",
        ]
    );
    let ended = entries[3].fields();
    assert_eq!(ended["MESSAGE_ID"], message_id("ended"));
    assert_eq!((ended["ECHO_ENDING"], ended["ECHO_PEER"]), ("end-of-file", from.as_str()));
    assert_eq!((ended["ECHO_BYTES_RECEIVED"], ended["ECHO_BYTES_SENT"]), ("26", "33"));
    assert_eq!((ended["ECHO_LOCAL"], ended["ECHO_MESSAGES"]), (&*address.to_string(), "1"));
}

#[test]
fn the_daemon_echoes_while_its_journal_does_not_read() {
    let Some(journal) = Journal::new() else { return };
    let (daemon, address) = daemon(&journal);
    let mut stream = connect(address);
    // Many times what the queue and the journal's socket hold.
    for _ in 0..5000 {
        say(&mut stream, b"hello");
    }
    let mut entries = std::iter::from_fn(|| journal.next());
    let lost = entries.find(|entry| entry.get("MESSAGE_ID") == Some(message_id("lost")));
    assert!(lost_count(lost.expect("a loss").get("MESSAGE").expect("words")) > 0);
    drop(stream);
    journal.rest(stop(daemon));
}

/// A thread, as the kernel tells of it: what its descriptors are, and the signals
/// that it does not have.
#[derive(Debug)]
struct Thread {
    links: Vec<String>,
    blocked: u64,
}

/// A process's threads, by their names.
fn threads(pid: u32) -> BTreeMap<String, Thread> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let each = tasks.map(|task| {
        let task = task.expect("a thread").path();
        let name = std::fs::read_to_string(task.join("comm")).expect("it has a name");
        let status = std::fs::read_to_string(task.join("status")).expect("it has a status");
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let blocked = u64::from_str_radix(blocked.expect("a mask").trim(), 16).expect("a number");
        let links = std::fs::read_dir(task.join("fd")).expect("it has descriptors");
        let links = links.map(|link| std::fs::read_link(link.expect("a descriptor").path()));
        let links = links.filter_map(|link| Some(link.ok()?.display().to_string()));
        (name.trim_end().to_owned(), Thread { links: links.collect(), blocked })
    });
    each.collect()
}

#[test]
fn the_thread_that_writes_has_descriptors_of_its_own_and_no_signals() {
    let Some(journal) = Journal::new() else { return };
    let (daemon, address) = daemon(&journal);
    let mut stream = connect(address);
    say(&mut stream, b"hello");
    let pid = daemon.child.as_ref().expect("it runs").id();
    let threads = threads(pid);
    assert_eq!(threads.keys().collect::<Vec<_>>(), ["echod", "records"]);
    let sockets = |thread: &str| {
        let links = threads[thread].links.iter().filter(|link| link.starts_with("socket:"));
        links.cloned().collect::<BTreeSet<_>>()
    };
    // The listener, the conversation and more; the journal's end is the other's.
    assert!(sockets("echod").len() >= 3, "{threads:?}");
    // Standard error is everybody's.
    assert_eq!(sockets("echod").intersection(&sockets("records")).count(), 1, "{threads:?}");
    assert!(threads["records"].links.len() <= 5, "{threads:?}");
    // A handler in it would wake nobody.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let bit = 1 << (signal.as_raw() - 1);
        let blocked = ["echod", "records"].map(|thread| threads[thread].blocked & bit);
        assert_eq!(blocked, [0, bit], "{signal:?}");
    }
    drop(stream);
    journal.rest(stop(daemon));
}
