//! Every error message that a user can meet is in the manual's DIAGNOSTICS, and
//! every row there is met by running the real program; a row that cannot be met
//! here says why.

mod support;

use rustix::net::{AddressFamily, Shutdown, SocketType};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, ExitStatus};
use support::daemon::Daemon;
use support::manager::Manager;

/// Rows that no test of this file meets: status, a part of the message, and why.
const UNMET: [(i32, &str, &str); 3] = [
    (69, "self-binding.conf", "it takes a sandbox; tests/system/cases/examples.py has one"),
    (71, "cannot prepare", "it takes a kernel out of memory"),
    (71, "cannot write records", "without standard error nobody reads it"),
];

/// What a row has where messages differ.
const PLACEHOLDERS: [&str; 5] = ["NAME", "TEXT", "NUMBER", "LIMITS", "REASON"];

/// A row of the manual: the exit status, and the message with placeholders.
type Row = (i32, String);

fn rows() -> Vec<Row> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/man/echod.8");
    let page = fs::read_to_string(page).expect("there is a manual");
    let (_, section) = page.split_once(".Sh DIAGNOSTICS\n").expect("it has the section");
    let (section, _) = section.split_once("\n.Sh ").expect("it is not the last");
    let mut status = None;
    let mut rows = Vec::new();
    for line in section.lines() {
        if let Some(heading) = line.strip_prefix(".Ss Exit status ") {
            let number = heading.split(':').next().expect("there is a first");
            status = Some(number.parse().expect("a number"));
        } else if let Some(message) = line.strip_prefix(".It ") {
            let message = message.replace("\\(dq", "\"").replace("\\(aq", "'");
            rows.push((status.expect("a row stands below a status"), message));
        }
    }
    rows
}

/// What a row says literally, between its placeholders.
fn literals(row: &str) -> Vec<String> {
    let mut literals = vec![String::new()];
    for word in row.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let is_name_of_path = literals.last().is_some_and(|text| text.ends_with(['@', '/']));
        if PLACEHOLDERS.contains(&bare) && !is_name_of_path {
            literals.push(word[bare.len()..].to_owned());
        } else {
            literals.last_mut().expect("there is one").push_str(word);
        }
    }
    literals
}

/// Whether a message is one of a row: all that is literal, in order, and where
/// the row begins or ends with it, the message does.
fn fits(row: &str, message: &str) -> bool {
    let literals = literals(row);
    let (first, others) = literals.split_first().expect("there is one");
    let Some(mut rest) = message.strip_prefix(first.as_str()) else { return false };
    let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
    for literal in middle {
        match rest.split_once(literal.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

/// The row of what was said, the one that is most exact.
fn row_of(rows: &[Row], status: ExitStatus, said: &[String]) -> usize {
    let met = rows.iter().enumerate().filter(|(_, (code, row))| {
        let messages = said.iter().filter_map(|line| line.strip_prefix("echod: "));
        Some(*code) == status.code() && messages.into_iter().any(|message| fits(row, message))
    });
    let exact = |(_, (_, row)): &(usize, &Row)| literals(row).concat().len();
    met.max_by_key(exact).unwrap_or_else(|| panic!("{status}, no row has {said:#?}")).0
}

type Outcome = (ExitStatus, Vec<String>);

/// What the program says to these words.
fn say(words: &[&[u8]]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echod"));
    command.args(words.iter().map(|word| OsStr::from_bytes(word)));
    Daemon::begin(command, None).wait_exit()
}

const WORDS: &[&[&str]] = &[
    &["-x"],
    &["loud"],
    &["--backlog"],
    &["--help=yes"],
    &["--backlog=x"],
    &["--backlog=0"],
    &["--connections-max=65537"],
    &["--message-max=0"],
    &["--message-max=1G"],
    &["--message-max=x"],
    &["--stall-timeout=x"],
    &["--stall-timeout=1ms"],
    &["--stall-timeout=2d"],
    &["--record-rate=x"],
    &["--record-rate=1000001"],
    &["--record-rate=1:0"],
    &["--record-rate=1:1000001"],
    &["--record-rate=1:1"],
    &["--datagram-rate=0"],
    &["--protocol=smtp"],
    &["--mptcp=maybe"],
    &["--log-level=loud"],
    &["--refuse-source-ports=0"],
    &["--exit-word=a\n"],
    &["--listen-stream=x"],
    &["--listen-stream=127.0.0.1:x"],
    &["--listen-stream=localhost:1"],
    &["--listen-stream=[::g]:1"],
    &["--listen-stream=[::1]:1%"],
    &["--listen-stream=@"],
    &["--listen-stream=vsock:1"],
    &["--listen-stream=smtp=1"],
    &["--listen-sequential-packet=1"],
    &["--listen-datagram=vsock:1:1"],
];

fn wrong_words() -> Vec<Outcome> {
    let long = |option: &str, length| [option.as_bytes(), &vec![b'x'; length]].concat();
    let mut outcomes = vec![
        say(&[b"--log-level=\xff"]),
        say(&[&long("--suffix=", 257)]),
        say(&[&long("--exit-word=", 256)]),
        say(&[&long("--listen-stream=/", 200)]),
    ];
    outcomes.extend(
        WORDS
            .iter()
            .map(|words| say(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>())),
    );
    outcomes
}

/// What it says to what is handed over.
fn take<T>(prepare: impl FnOnce(&mut Manager) -> T, environment: &[(&str, &str)]) -> Outcome {
    let mut manager = Manager::new();
    prepare(&mut manager);
    manager.start(&[], environment);
    (manager.wait_exit(), manager.stderr())
}

fn wrong_hands() -> Vec<Outcome> {
    let file = || File::open("/dev/null").expect("there is one");
    let socket = |family, kind| rustix::net::socket(family, kind, None).expect("a socket");
    let more = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "rfc862:gone")];
    let names = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "a:b:c")];
    vec![
        take(|_| {}, &[("LISTEN_FDS", "some")]),
        take(|_| {}, &names),
        take(|manager| manager.listen_tcp("rfc862"), &more),
        take(|manager| manager.listen(file(), "zero"), &[]),
        take(|manager| manager.listen_tcp("echod-bag-1"), &[]),
        take(|manager| manager.listen(socket(AddressFamily::INET, SocketType::STREAM), "x"), &[]),
        take(|manager| manager.listen(socket(AddressFamily::NETLINK, SocketType::RAW), "x"), &[]),
    ]
}

/// A folder that one may not write to, and a program that has no privilege to.
fn forbidden() -> Outcome {
    let folder = tempfile::tempdir().expect("there is room");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).expect("it is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_echod"));
    if rustix::process::geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--bounding-set=-dac_override", env!("CARGO_BIN_EXE_echod")]);
    }
    command.arg(format!("--listen-stream={}/socket", folder.path().display()));
    Daemon::begin(command, None).wait_exit()
}

/// So few descriptors that the second, or the third, thing has none.
fn poor(descriptors: u64) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echod"));
    command.arg("--listen-stream=127.0.0.1:0");
    Daemon::begin(command, Some(descriptors)).wait_exit()
}

fn bereft() -> Outcome {
    let mut manager = Manager::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    manager.listen(listener.try_clone().expect("a copy"), "reply");
    manager.start(&[], &[]);
    manager.wait_ready();
    rustix::net::shutdown(&listener, Shutdown::Both).expect("it listens");
    (manager.wait_exit(), manager.stderr())
}

fn taken() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    let address = listener.local_addr().expect("it is bound");
    say(&[format!("--listen-stream={address}").as_bytes()])
}

#[test]
fn every_error_is_in_the_manual_and_every_row_is_met() {
    let rows = rows();
    let mut is_met = vec![false; rows.len()];
    let others = [taken(), poor(4), poor(5), bereft(), forbidden()];
    for (status, said) in wrong_words().into_iter().chain(wrong_hands()).chain(others) {
        is_met[row_of(&rows, status, &said)] = true;
    }
    for ((status, row), is_met) in rows.iter().zip(is_met) {
        let is_excused = UNMET.iter().any(|(code, part, _)| code == status && row.contains(part));
        assert_ne!(is_met, is_excused, "{status}: {row}");
    }
}

#[test]
fn a_message_fits_its_row_only() {
    assert!(fits("it is NAME", "it is me"));
    assert!(!fits("it is NAME", "is it me"));
    assert!(fits(
        "NAME: 'TEXT' is no size: LIMITS are allowed",
        "a: 'b' is no size: c are allowed"
    ));
    assert!(!fits("NAME: 'TEXT' is no size: LIMITS are allowed", "a: 'b' is no size: c"));
    assert!(!fits("no placeholder", "no placeholder here"));
    assert_eq!(literals("/PATH and @NAME: REASON"), ["/PATH and @NAME: ", ""]);
}
