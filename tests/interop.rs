//! The tools that look for an echo service find one.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use support::manager::Manager;
use support::skip::skip;

/// A daemon with TCP and UDP on one port of 127.0.0.1, as on port 7.
fn echo() -> (Manager, u16) {
    let (stream, datagram) = loop {
        let stream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = stream.local_addr().unwrap();
        // Somebody may have the other.
        if let Ok(datagram) = UdpSocket::bind(address) {
            break (stream, datagram);
        }
    };
    let port = stream.local_addr().unwrap().port();
    let mut manager = Manager::new();
    manager.listen(stream, "rfc862");
    manager.listen(datagram, "rfc862");
    manager.start(&[], &[]);
    manager.wait_ready();
    (manager, port)
}

/// What a tool prints; none where it is not installed: the test is skipped.
fn output(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {error}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            skip(format_args!("{}: {error}", command.get_program().to_string_lossy()));
            None
        }
    }
}

#[test]
fn perls_net_ping_hears_an_echo() {
    let (_manager, port) = echo();
    for protocol in ["tcp", "udp", "stream"] {
        let script = r#"
            use Net::Ping;
            my ($protocol, $port) = @ARGV;
            my $ping = Net::Ping->new($protocol, 5, 56);
            $ping->port_number($port);
            $ping->service_check(1);
            print $ping->ping("127.0.0.1") ? "echo" : "silence";
        "#;
        let port = port.to_string();
        let heard = output(Command::new("perl").args(["-e", script, protocol, &port]));
        let Some(heard) = heard else { return };
        assert_eq!(heard, "echo", "{protocol}");
    }
}

#[test]
fn nmap_recognises_the_stream() {
    // Its first two steps of effort are enough, and take half the time.
    expect_echo(&["-sT", "-sV", "--version-intensity=2"]);
}

#[test]
fn nmap_recognises_the_datagrams() {
    if rustix::process::geteuid().is_root() {
        expect_echo(&["-sU", "-sV"]);
    } else {
        skip("nmap looks at datagrams only as root");
    }
}

fn expect_echo(scan: &[&str]) {
    let (_manager, port) = echo();
    let ports = port.to_string();
    let arguments = ["-Pn", "-n", "-p", &ports, "127.0.0.1"];
    let Some(text) = output(Command::new("nmap").args(scan).args(arguments)) else { return };
    let line = text.lines().find(|line| line.starts_with(&format!("{port}/")));
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.get(1..3), Some(&["open", "echo"][..]), "{text}");
}
