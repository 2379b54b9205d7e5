//! Where it listens when nobody hands it a socket. The ports are those that an
//! operator would name, so each test has a network of its own.

use crate::support::alone::alone;
use crate::support::daemon::Daemon;
use crate::support::peer::{End, connect, echo, half_close, rest};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

fn replies(address: SocketAddr) {
    let mut stream = connect(address);
    stream.write_all(b"hello").unwrap();
    half_close(&stream);
    assert_eq!(rest(&mut stream), ("hello-回传".into(), End::Eof), "{address}");
}

fn echod(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echod"));
    command.args(arguments);
    command
}

/// The exit status and the one line of a daemon that cannot start.
fn failure(command: Command) -> (Option<i32>, String) {
    let (status, mut lines) = Daemon::begin(command, None).wait_exit();
    assert_eq!(lines.len(), 1, "{lines:?}");
    (status.code(), lines.remove(0))
}

const V4: &str = "127.0.0.1:8080";
const V6: &str = "[::1]:8080";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn with_no_socket_it_replies_on_both_loopback_addresses() {
    alone("listening::with_no_socket_it_replies_on_both_loopback_addresses", || {
        let daemon = Daemon::start(&[]);
        assert_eq!(daemon.addresses(), [address(V4), address(V6)]);
        daemon.addresses().iter().for_each(|address| replies(*address));
    });
}

#[test]
fn one_loopback_address_is_enough() {
    alone("listening::one_loopback_address_is_enough", || {
        let taken = TcpListener::bind(V6).unwrap();
        let daemon = Daemon::start(&[]);
        assert_eq!(daemon.addresses(), [address(V4)]);
        replies(address(V4));
        drop((daemon, taken));
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        let daemon = Daemon::start(&[]);
        assert_eq!(daemon.addresses(), [address(V4)]);
    });
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    alone("listening::a_port_in_use_is_said_in_one_line", || {
        let _taken = (TcpListener::bind(V4).unwrap(), TcpListener::bind(V6).unwrap());
        for arguments in [&[][..], &["--listen-stream=127.0.0.1:8080"]] {
            let (code, line) = failure(echod(arguments));
            assert_eq!(code, Some(69));
            assert!(line.starts_with("echod: cannot listen on 127.0.0.1:8080: "), "{line}");
        }
    });
}

#[test]
fn a_port_without_the_privilege_is_said_in_one_line() {
    alone("listening::a_port_without_the_privilege_is_said_in_one_line", || {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-net_bind_service", env!("CARGO_BIN_EXE_echod")]);
        command.arg("--listen-stream=127.0.0.1:80");
        let (code, line) = failure(command);
        assert_eq!(code, Some(77));
        assert!(line.starts_with("echod: cannot listen on 127.0.0.1:80: "), "{line}");
    });
}

#[test]
fn bare_ports_answer_on_both_families_each_in_its_protocol() {
    alone("listening::bare_ports_answer_on_both_families_each_in_its_protocol", || {
        let listen = ["--listen-stream=reply=8080", "--listen-stream=rfc862=7007"];
        let _daemon = Daemon::start(&listen);
        for ip in ["127.0.0.1", "[::1]"] {
            replies(address(&format!("{ip}:8080")));
            echo(&mut connect(address(&format!("{ip}:7007"))), b"hello");
        }
    });
}

#[test]
fn without_ipv6_a_bare_port_answers_on_ipv4() {
    alone("listening::without_ipv6_a_bare_port_answers_on_ipv4", || {
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        let _daemon = Daemon::start(&["--listen-stream=reply=8080"]);
        replies(address(V4));
    });
}

/// What systemd-socket-activate is told, and then the daemon behind it.
fn activate(arguments: &[&str]) -> Daemon {
    let mut command = Command::new("systemd-socket-activate");
    command.args(arguments).arg(env!("CARGO_BIN_EXE_echod"));
    let daemon = Daemon::begin(command, None);
    let count = arguments.iter().filter(|argument| argument.starts_with("-l")).count();
    let last = format!(" as {}.", 2 + count);
    daemon.wait_line(|line| line.contains("Listening on ") && line.ends_with(&last));
    daemon
}

#[test]
fn started_on_demand_it_serves_the_first_and_the_thousandth() {
    alone("listening::started_on_demand_it_serves_the_first_and_the_thousandth", || {
        let daemon = activate(&["-l127.0.0.1:9000"]);
        for _ in 0..1_000 {
            replies(address("127.0.0.1:9000"));
        }
        daemon.wait_line(|line| line.starts_with("echod: ready on tcp 127.0.0.1:9000 (reply)"));
    });
}

#[test]
fn started_on_demand_each_port_speaks_what_its_name_says() {
    alone("listening::started_on_demand_each_port_speaks_what_its_name_says", || {
        let ports = ["-l127.0.0.1:9001", "-l127.0.0.1:9002", "--fdname=reply:rfc862"];
        let _daemon = activate(&ports);
        replies(address("127.0.0.1:9001"));
        echo(&mut connect(address("127.0.0.1:9002")), b"hello");
    });
}
