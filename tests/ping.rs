//! The client against the daemon, which does everything right.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use support::manager::Manager;
use support::pinging::{Pinged, ping, said};

/// A daemon that speaks this protocol over TCP.
fn daemon(protocol: &str, options: &[&str]) -> (Manager, SocketAddr) {
    let mut manager = Manager::new();
    let address = manager.listen_tcp(protocol);
    manager.start(options, &[]);
    manager.wait_ready();
    (manager, address)
}

fn ping_at(address: SocketAddr, words: &[&str]) -> Pinged {
    ping(&[&[&address.to_string()[..]], words].concat())
}

/// All came back, and nothing else.
fn all_back(pinged: &Pinged, count: u64) {
    assert_eq!(pinged.counts(), (0, [count, count, 0, 0, 0, 0]), "{:?}", pinged.objects);
}

#[test]
fn everything_comes_back_in_every_protocol() {
    for protocol in ["rfc862", "reply", "line"] {
        let (_manager, address) = daemon(protocol, &[]);
        for more in [&["-i1ms", "-c50"][..], &["-f", "-c200"], &["-c30", "--rate=1000"]] {
            let pinged = ping_at(address, &[&["--protocol", protocol], more].concat());
            let sent = pinged.number("sent");
            assert!(sent >= 30);
            all_back(&pinged, sent);
        }
    }
}

#[test]
fn datagrams_come_back_in_every_protocol() {
    for protocol in ["rfc862", "reply", "line"] {
        let mut manager = Manager::new();
        let target = format!("udp:{}", manager.listen_udp(protocol));
        manager.start(&["--datagram-rate=off"], &[]);
        manager.wait_ready();
        let words = [&target[..], "--protocol", protocol, "--size-sweep=1:200", "-c200"];
        for more in [&["-i1ms"][..], &["-f", "--connections=5"]] {
            all_back(&ping(&[&words[..], more].concat()), 200);
        }
    }
}

#[test]
fn every_small_size_comes_back() {
    for protocol in ["rfc862", "reply", "line"] {
        let (_manager, address) = daemon(protocol, &[]);
        let words = ["--protocol", protocol, "--size-sweep=1:300", "-c300", "-f"];
        all_back(&ping_at(address, &words), 300);
    }
}

#[test]
fn another_suffix_and_exit_word_can_be_said() {
    let options = ["--suffix=!?", "--exit-word=#"];
    let (_manager, address) = daemon("reply", &options);
    let words = ["--protocol=reply", "--suffix=!?", "--exit-word=#", "-c20", "-f"];
    all_back(&ping_at(address, &words), 20);
}

#[test]
fn large_messages_do_not_lock_up_with_a_server_that_reads_nothing_while_it_writes() {
    let (_manager, address) = daemon("rfc862", &[]);
    all_back(&ping_at(address, &["-s8M", "-c3", "-f", "-W30"]), 3);
}

#[test]
fn a_suffix_is_right_at_any_cut_of_a_message_longer_than_a_segment() {
    let (_manager, address) = daemon("reply", &[]);
    all_back(&ping_at(address, &["--protocol=reply", "-s1M", "-c3", "-f", "-W30"]), 3);
}

#[test]
fn a_suffix_is_right_at_the_cuts_of_a_server_that_reads_little() {
    let (_manager, address) = daemon("reply", &["--message-max=16"]);
    let words = ["--protocol=reply", "-c20", "-f"];
    all_back(&ping_at(address, &[&words[..], &["--message-max=16"]].concat()), 20);
    assert_eq!(ping_at(address, &[&words[..], &["-W1"]].concat()).status, 2);
}

#[test]
fn an_answer_follows_a_half_close() {
    for protocol in ["rfc862", "reply", "line"] {
        let (_manager, address) = daemon(protocol, &[]);
        let words = ["--protocol", protocol, "--half-close", "-c20", "--connections=20", "-f"];
        all_back(&ping_at(address, &words), 20);
    }
}

#[test]
fn unix_sockets_are_spoken_to_by_path_and_by_name() {
    let mut manager = Manager::new();
    let path = manager.place().join("echo.sock").display().to_string();
    let name = format!("@{path}");
    let listen = [&path, &name].map(|it| format!("--listen-stream=rfc862={it}"));
    manager.start(&[&listen[0], &listen[1]], &[]);
    manager.wait_ready();
    for target in [&path, &name] {
        all_back(&ping(&[&format!("unix:{target}"), "-c20", "-f", "--half-close"]), 20);
    }
}

#[test]
fn names_and_families_are_resolved() {
    let (_manager, address) = daemon("rfc862", &[]);
    let target = format!("localhost:{}", address.port());
    all_back(&ping(&[&target, "-4", "-c1"]), 1);
    all_back(&ping(&[&target, "-4", "-c1", "--source=127.0.0.9"]), 1);
    // The daemon does not listen there.
    assert_eq!(ping(&[&target, "-6", "-c1", "-W5"]).status, 3);
}

#[test]
fn the_wrong_protocol_is_corruption() {
    let (_manager, address) = daemon("reply", &[]);
    let pinged = ping_at(address, &["-c3", "-f"]);
    assert_eq!(pinged.counts(), (2, [3, 3, 0, 0, 0, 3]));
    let (_manager, address) = daemon("rfc862", &[]);
    let pinged = ping_at(address, &["-c2", "-f", "--protocol=reply", "-W500ms"]);
    assert_eq!(pinged.counts(), (2, [2, 2, 0, 0, 0, 2]));
}

#[test]
fn a_thousand_connections_are_served() {
    let (_manager, address) = daemon("rfc862", &[]);
    let pinged = ping_at(address, &["-f", "--connections=1000", "-c20000", "-q", "-W30"]);
    all_back(&pinged, 20_000);
}

#[test]
fn nobody_there_is_status_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let pinged = ping_at(address, &["-c3"]);
    assert_eq!(pinged.counts(), (3, [0; 6]));
    assert!(pinged.summary["connect_us"].is_null() && pinged.summary["rtt_us"].is_null());
    let reason = pinged.of_type("run")[0]["reason"].as_str().unwrap();
    assert_eq!(reason, format!("cannot connect to tcp:{address}: connection refused"));
    assert_eq!(ping(&["unix:/nonexistent/socket", "-c1"]).status, 3);
}

#[test]
fn wrong_usage_is_status_64_and_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_echo-ping"))
        .args(["-c0", "localhost:7"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "echo-ping: --count: '0' is too small: 1 to 4000000000 are allowed\n"
    );
}

#[test]
fn quiet_is_one_line_for_monitoring() {
    let (_manager, address) = daemon("rfc862", &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_echo-ping"));
    let (status, text) = said(command.args([&address.to_string(), "-q", "-c3", "-i1ms"]));
    assert_eq!(status, 0);
    let words = "ECHO OK: 3 sent, 3 received, 0 lost, 0 duplicated, 0 reordered, 0 corrupted | \
                 loss=0.000%;0;;0;100 sent=3 received=3 lost=0 ";
    assert!(text.starts_with(words), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn the_objects_are_as_documented() {
    let (_manager, address) = daemon("rfc862", &[]);
    let pinged = ping_at(address, &["-c2", "-i1ms"]);
    let answers = pinged.of_type("answer");
    assert_eq!(pinged.sequences("answer"), [1, 2]);
    assert!(answers.iter().all(|it| it["bytes"] == 56 && it["result"] == "intact"));
    assert!(answers.iter().all(|it| it["rtt_us"].as_f64().unwrap() > 0.0));
    let keys: Vec<_> = pinged.summary.as_object().unwrap().keys().cloned().collect();
    let mut wanted = [
        "type",
        "sent",
        "received",
        "lost",
        "duplicated",
        "reordered",
        "corrupted",
        "connect_us",
        "rtt_us",
    ];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    let times = pinged.summary["rtt_us"].as_object().unwrap();
    assert!(["min", "median", "p90", "p99", "max"].iter().all(|key| times.contains_key(*key)));
    assert_eq!(times.len(), 5);
}

#[test]
fn an_interrupt_ends_it_with_a_summary() {
    let (_manager, address) = daemon("rfc862", &[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_echo-ping"))
        .args([&address.to_string(), "-i1ms", "--histogram"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("seq=5 ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0);
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("ECHO OK: ") && rest.contains(" 0 lost"), "{rest}");
    assert!(rest.contains("round trip min/median/p90/p99/max ") && rest.contains('█'), "{rest}");
}
