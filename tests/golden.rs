//! Transcripts of the tutorial's own C program, and what echod says instead
//! where that program loses data, leaks its stack or crashes.
//!
//! The table is driven through [`check`], which does not know who answers.

mod support;

use echod::echo::{self, Protocol, Rule, State};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use support::daemon::Daemon;
use support::peer;

/// The tutorial's buffer, in bytes; a longer step is several reads.
const MESSAGE_MAX: usize = 128;

/// One transcript.
struct Case {
    name: String,
    steps: Vec<Step>,
    /// What the C program sent.
    tutorial: Vec<u8>,
    /// Whether that was right.
    is_tutorial_right: bool,
    reply: Expected,
    rfc862: Expected,
}

/// What the peer does next. It sends one step after it has heard the answer to
/// the one before.
enum Step {
    Say(Vec<u8>),
    /// `shutdown(SHUT_WR)`.
    HalfClose,
    /// Close with a linger of 0.
    Reset,
}

/// What the peer must see.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    heard: Vec<u8>,
    /// Whether the server ends the conversation before the peer does.
    server_closes: bool,
}

fn cases() -> Vec<Case> {
    let text = include_str!("golden/tutorial.json");
    let table: Vec<Value> = serde_json::from_str(text).expect("the table is JSON");
    table.iter().map(case).collect()
}

fn case(row: &Value) -> Case {
    let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}"));
    let flag = |name: &str| row[name].as_bool().unwrap_or_else(|| panic!("no {name} in {row}"));
    let steps = row["steps"].as_array().expect("a case has steps");
    Case {
        name: format!("{} {}", text("id"), text("name")),
        steps: steps.iter().map(|step| self::step(step.as_str().expect("text"))).collect(),
        tutorial: bytes(text("tutorial_received")),
        is_tutorial_right: flag("reply_equals_tutorial"),
        reply: Expected {
            heard: bytes(text("reply_128_expected")),
            server_closes: flag("server_closes"),
        },
        // RFC 862 has no exit word.
        rfc862: Expected { heard: bytes(text("rfc862_expected")), server_closes: false },
    }
}

fn step(word: &str) -> Step {
    match word {
        "HALF" => Step::HalfClose,
        "RST" => Step::Reset,
        hex => Step::Say(bytes(hex)),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |place| u8::from_str_radix(&hex[place..place + 2], 16).expect("two hex digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Has every case answered by `serve`, and holds it to the table.
fn check(protocol: Protocol, serve: impl Fn(&Rule, &Case) -> Expected) {
    let rule = Rule::new("-回传".as_bytes(), b"exit", MESSAGE_MAX).expect("it is in range");
    for case in cases() {
        let expected = match protocol {
            Protocol::Reply => &case.reply,
            Protocol::Rfc862 => &case.rfc862,
            Protocol::Line => unreachable!("the tutorial knows no lines"),
        };
        assert_eq!(serve(&rule, &case), *expected, "{} in {protocol}", case.name);
    }
}

/// The core, without a socket.
fn core(protocol: Protocol) -> impl Fn(&Rule, &Case) -> Expected {
    move |rule, case| {
        let (answers, state) = answers(rule, protocol, case);
        Expected { heard: answers.concat(), server_closes: state.ended() }
    }
}

/// What the core owes for each step: so much a peer awaits before its next.
fn answers(rule: &Rule, protocol: Protocol, case: &Case) -> (Vec<Vec<u8>>, State) {
    let mut state = State::START;
    let mut answer = |step: &Step| match step {
        Step::Say(said) => {
            let mut heard = Vec::new();
            for read in said.chunks(echo::read_max(rule, protocol)) {
                let mut buffer = [read, &[0; echo::SUFFIX_MAX]].concat();
                let mut answer = echo::answer(rule, protocol, state, &mut buffer, read.len());
                heard.extend(answer.by_ref().flatten());
                state = answer.outcome().state;
            }
            heard
        }
        Step::HalfClose => echo::farewell(rule, protocol, state).flatten().copied().collect(),
        Step::Reset => Vec::new(),
    };
    let answers = case.steps.iter().map(&mut answer).collect();
    (answers, state)
}

/// The real daemon, over a real socket.
fn daemon(protocol: Protocol) -> impl Fn(&Rule, &Case) -> Expected {
    let daemon = Daemon::speaking(protocol.name(), &["--message-max=128"]);
    move |rule, case| {
        let mut stream = peer::connect(daemon.address());
        let mut heard = Vec::new();
        let (answers, state) = answers(rule, protocol, case);
        for (step, answer) in case.steps.iter().zip(answers) {
            match step {
                Step::Say(said) => stream.write_all(said).expect("the daemon takes it"),
                Step::HalfClose => break,
                Step::Reset => {
                    peer::reset(stream);
                    return Expected { heard, server_closes: false };
                }
            }
            let begin = heard.len();
            heard.resize(begin + answer.len(), 0);
            stream.read_exact(&mut heard[begin..]).expect("the daemon answers");
        }
        // Whoever need not end, does not: it waits for the daemon to.
        if !state.ended() {
            peer::half_close(&stream);
        }
        let (more, end) = peer::rest(&mut stream);
        assert_eq!(end, peer::End::Eof, "{}", case.name);
        heard.extend(more);
        Expected { heard, server_closes: state.ended() }
    }
}

#[test]
fn the_table_is_whole() {
    assert_eq!(cases().len(), 30);
    assert_eq!(cases().iter().filter(|case| case.is_tutorial_right).count(), 23);
}

#[test]
fn the_core_replies_as_the_table_says() {
    check(Protocol::Reply, core(Protocol::Reply));
}

#[test]
fn the_core_echoes_as_the_table_says() {
    check(Protocol::Rfc862, core(Protocol::Rfc862));
}

#[test]
fn the_daemon_replies_as_the_table_says() {
    check(Protocol::Reply, daemon(Protocol::Reply));
}

#[test]
fn the_daemon_echoes_as_the_table_says() {
    check(Protocol::Rfc862, daemon(Protocol::Rfc862));
}

#[test]
fn reply_is_the_tutorials_answer_wherever_that_is_right() {
    for case in cases() {
        let is_same = case.reply.heard == case.tutorial;
        assert_eq!(is_same, case.is_tutorial_right, "{}", case.name);
    }
}

#[test]
fn the_server_closes_where_the_peer_does_not() {
    for case in cases() {
        let peer_ends = matches!(case.steps.last(), Some(Step::HalfClose | Step::Reset));
        assert_eq!(case.reply.server_closes, !peer_ends, "{}", case.name);
    }
}
