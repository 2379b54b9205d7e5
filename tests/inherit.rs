//! The real daemon with what a manager may hand over: as it should be, and not.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use rustix::net::SendFlags;
use rustix::process::Signal;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use support::manager::{Manager, PATIENCE};
use support::peer::{End, ask, connect, half_close, rest};

/// How the start fails: the line that names what is wrong.
fn refusal(mut manager: Manager, environment: &[(&str, &str)]) -> String {
    manager.start(&[], environment);
    assert_eq!(manager.wait_exit().code(), Some(64), "{:?}", manager.stderr());
    assert!(!manager.notifications().iter().any(|heard| heard.value("READY").is_some()));
    manager.stderr().join("\n")
}

fn echo(address: std::net::SocketAddr, word: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(word).unwrap();
    half_close(&stream);
    let (heard, end) = rest(&mut stream);
    assert_eq!(end, End::Eof);
    heard
}

#[test]
fn blocking_listeners_are_served_by_the_protocol_of_their_name() {
    let mut manager = Manager::new();
    let rfc862 = manager.listen_tcp("rfc862");
    let reply = manager.listen_tcp("echo.socket");
    manager.start(&["--suffix=!"], &[]);
    manager.wait_ready();
    assert_eq!(echo(rfc862, b"as it is"), b"as it is");
    assert_eq!(echo(reply, b"hello"), b"hello!");
    assert_eq!(echo(rfc862, b"once more"), b"once more");
}

#[test]
fn listeners_without_names_are_served() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    // An empty value would be one empty name.
    manager.unset("LISTEN_FDNAMES");
    manager.start(&["--suffix=!"], &[]);
    manager.wait_ready();
    assert_eq!(echo(address, b"hello"), b"hello!");
}

/// Before the listener has its options, so that each of these must get its own:
/// else the urgent byte would be counted, and not be read.
#[test]
fn urgent_data_of_who_came_before_the_daemon_is_ordinary() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("line");
    let mut early = [connect(address), connect(address)];
    for stream in &mut early {
        stream.write_all(b"one").unwrap();
        rustix::net::send(&*stream, b"!", SendFlags::OOB).unwrap();
        stream.write_all(b"two\nthr").unwrap();
    }
    manager.start(&["--suffix=-S"], &[]);
    for stream in &mut early {
        assert_eq!(ask(stream, b"", 13), b"one!two-S\nthr");
    }
    manager.wait_ready();
    manager.kill(Signal::KILL);
    manager.start_again();
    for stream in &mut early {
        assert_eq!(ask(stream, b"ee\n", 5), b"ee-S\n");
        half_close(stream);
        assert_eq!(rest(stream), (Vec::new(), End::Eof));
    }
    manager.wait_stderr(|line| {
        line.contains("conversation 2 with")
            && line.contains("ended (end-of-file): 2 messages, 14 bytes received, 18 sent")
    });
}

#[test]
fn what_is_for_another_process_is_ignored() {
    let mut manager = Manager::new();
    manager.listen(File::open("/dev/null").unwrap(), "rfc862");
    let path = manager.place().join("socket");
    let listen = format!("--listen-stream=rfc862={}", path.display());
    manager.start(&[&listen], &[("LISTEN_PID", "1")]);
    manager.wait_ready();
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_count_that_is_no_number_is_named() {
    let text = refusal(Manager::new(), &[("LISTEN_FDS", "some")]);
    assert!(text.contains("LISTEN_FDS is \"some\", not a number"), "{text}");
}

#[test]
fn a_closed_descriptor_is_named() {
    let mut manager = Manager::new();
    manager.listen_tcp("rfc862");
    let environment = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "rfc862:gone")];
    let text = refusal(manager, &environment);
    assert!(text.contains("inherited descriptor 4 (\"gone\") is closed"), "{text}");
}

#[test]
fn a_descriptor_that_is_no_socket_is_named() {
    let mut manager = Manager::new();
    manager.listen_tcp("rfc862");
    manager.listen(File::open("/dev/null").unwrap(), "zero");
    let text = refusal(manager, &[]);
    assert!(text.contains("inherited descriptor 4 (\"zero\") is not a socket"), "{text}");
}

#[test]
fn a_listener_with_the_name_of_something_stored_is_named() {
    let mut manager = Manager::new();
    manager.listen_tcp("echod-bag-1");
    let text = refusal(manager, &[]);
    assert!(text.contains("inherited descriptor 3 is called \"echod-bag-1\""), "{text}");
}
