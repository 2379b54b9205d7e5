//! Unix sockets of every kind, vsock and Multipath TCP: inherited and bound.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketType};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use support::manager::{Manager, PATIENCE};
use support::peer::connect;
use support::skip::{has_mptcp, skip_for_kernel};

fn packets(address: &SocketAddrUnix) -> OwnedFd {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
    rustix::net::connect(&socket, address).unwrap();
    socket
}

fn at(path: &Path) -> SocketAddrUnix {
    SocketAddrUnix::new(path).unwrap()
}

fn say(packets: &OwnedFd, message: &[u8]) {
    rustix::net::send(packets, message, SendFlags::NOSIGNAL).unwrap();
}

/// The next message, or none at the end.
fn hear(packets: &OwnedFd) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let (length, _) = rustix::net::recv(packets, &mut buffer[..], RecvFlags::empty()).unwrap();
    buffer.truncate(length);
    buffer
}

/// A daemon that has bound a socket itself, and where.
fn bound(option: &str, arguments: &[&str]) -> (Manager, std::path::PathBuf) {
    let mut manager = Manager::new();
    let path = manager.place().join("bound");
    let option = format!("{option}={}", path.display());
    manager.start(&[&[&option[..]], arguments].concat(), &[]);
    manager.wait_ready();
    (manager, path)
}

#[test]
fn each_sequential_packet_has_its_answer() {
    let (_manager, path) = bound("--listen-sequential-packet", &["--suffix=-S"]);
    let peer = packets(&at(&path));
    for message in [&b"one"[..], b"two\n", b"", &vec![7; 60_000]] {
        say(&peer, message);
        assert!(hear(&peer) == [message, b"-S"].concat());
    }
}

#[test]
fn an_empty_packet_is_no_end() {
    let mut manager = Manager::new();
    let path = manager.place().join("inherited");
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&socket, &at(&path)).unwrap();
    rustix::net::listen(&socket, 8).unwrap();
    manager.listen(socket, "rfc862");
    // Both messages and the end wait before the daemon could set an option.
    let peer = packets(&at(&path));
    say(&peer, b"");
    say(&peer, b"more");
    rustix::net::shutdown(&peer, Shutdown::Write).unwrap();
    manager.start(&[], &[]);
    assert_eq!(hear(&peer), b"");
    assert_eq!(hear(&peer), b"more");
    // Not an empty message: from here on there is nothing but the end.
    assert_eq!(hear(&peer), b"");
    assert_eq!(hear(&peer), b"");
    manager.wait_status(|status| status.starts_with("0 conversations, 1 served"));
}

#[test]
fn the_exit_word_ends_a_seqpacket_conversation() {
    let (manager, path) = bound("--listen-sequential-packet", &["--suffix=-S"]);
    let peer = packets(&at(&path));
    say(&peer, b"exit now");
    assert_eq!(hear(&peer), b"");
    drop(peer);
    manager.wait_stderr(|line| line.contains("ended (exit-word)"));
}

#[test]
fn a_packet_longer_than_a_message_ends_its_conversation() {
    let (manager, path) = bound("--listen-sequential-packet", &["--message-max=100", "--suffix="]);
    let (peer, other) = (packets(&at(&path)), packets(&at(&path)));
    say(&peer, &[7; 100]);
    assert_eq!(hear(&peer).len(), 100);
    say(&peer, &[7; 101]);
    assert_eq!(hear(&peer), b"");
    manager.wait_stderr(|line| line.contains("ended (too-long)"));
    say(&other, b"other");
    assert_eq!(hear(&other), b"other");
}

#[test]
fn packets_that_are_not_taken_wait_and_nothing_is_lost() {
    let (_manager, path) = bound("--listen-sequential-packet", &["--suffix="]);
    let peer = packets(&at(&path));
    rustix::io::ioctl_fionbio(&peer, true).unwrap();
    let mut said = 0_u32;
    let full = loop {
        let message = [&said.to_ne_bytes()[..], &vec![7; 20_000]].concat();
        match rustix::net::send(&peer, &message, SendFlags::NOSIGNAL) {
            Ok(_) => said += 1,
            Err(Errno::AGAIN) if said > 0 => break said,
            other => panic!("{other:?}"),
        }
    };
    rustix::io::ioctl_fionbio(&peer, false).unwrap();
    for number in 0..full {
        let heard = hear(&peer);
        assert_eq!((heard.len(), &heard[..4]), (20_004, &number.to_ne_bytes()[..]));
    }
}

#[test]
fn who_talks_is_the_process_that_connected() {
    let (manager, path) = bound("--listen-stream=rfc862", &[]);
    let mut peer = UnixStream::connect(path).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(b"x").unwrap();
    peer.read_exact(&mut [0]).unwrap();
    let own = format!("pid {} uid {}", std::process::id(), rustix::process::getuid().as_raw());
    manager.wait_stderr(|line| line.contains(&own));
}

#[test]
fn a_datagram_without_an_address_is_counted_and_the_next_is_answered() {
    let (manager, path) = bound("--listen-datagram=rfc862", &["--log-level=debug"]);
    let nameless = UnixDatagram::unbound().unwrap();
    nameless.send_to(b"nobody", &path).unwrap();
    let named = UnixDatagram::bind(manager.place().join("client")).unwrap();
    named.set_read_timeout(Some(PATIENCE)).unwrap();
    named.send_to(b"somebody", &path).unwrap();
    let mut answer = [0; 64];
    let length = named.recv(&mut answer).unwrap();
    assert_eq!(&answer[..length], b"somebody");
    manager.wait_status(|status| status.contains("1 datagram, 1 refused (1 nameless)"));
    let own = format!("received from pid {} uid ", std::process::id());
    manager.wait_stderr(|line| line.contains(&own) && line.contains("|somebody|"));
}

#[test]
fn a_client_that_does_not_listen_loses_datagrams_and_holds_up_nobody() {
    let (manager, path) = bound("--listen-datagram=rfc862", &[]);
    let deaf = UnixDatagram::bind(manager.place().join("deaf")).unwrap();
    let other = UnixDatagram::bind(manager.place().join("other")).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 64];
    // More than any queue of Unix datagrams holds by default, 512 at most.
    for _ in 0..1_000 {
        deaf.send_to(b"deaf", &path).unwrap();
        other.send_to(b"other", &path).unwrap();
        assert_eq!(other.recv(&mut answer).unwrap(), 5);
    }
    manager.wait_status(|status| status.contains("unsendable"));
}

#[test]
fn abstract_sockets_are_bound_in_every_kind() {
    let mut manager = Manager::new();
    let name = |kind: &str| format!("echod-test-{}-{kind}", std::process::id());
    let [stream, datagram, packet] = ["stream", "datagram", "packet"].map(name);
    manager.start(
        &[
            &format!("--listen-stream=@{stream}"),
            &format!("--listen-datagram=@{datagram}"),
            &format!("--listen-sequential-packet=@{packet}"),
            "--protocol=rfc862",
        ],
        &[],
    );
    manager.wait_ready();
    let mut answer = [0; 5];
    let mut peer =
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(&stream).unwrap()).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(b"hello").unwrap();
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    let own = SocketAddr::from_abstract_name(name("client")).unwrap();
    let client = UnixDatagram::bind_addr(&own).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect_addr(&SocketAddr::from_abstract_name(&datagram).unwrap()).unwrap();
    client.send(b"there").unwrap();
    client.recv(&mut answer).unwrap();
    assert_eq!(&answer, b"there");
    let peer = packets(&SocketAddrUnix::new_abstract_name(packet.as_bytes()).unwrap());
    say(&peer, b"again");
    assert_eq!(hear(&peer), b"again");
}

#[test]
fn a_stale_file_is_replaced_in_every_kind_and_removed_at_the_end() {
    for option in ["--listen-stream", "--listen-datagram", "--listen-sequential-packet"] {
        let (mut manager, path) = bound(option, &[]);
        manager.kill(Signal::KILL);
        assert!(path.exists(), "a killed daemon leaves its file");
        manager.start_again();
        manager.wait_ready();
        manager.terminate();
        assert!(!path.exists(), "{option}");
    }
}

#[test]
fn vsock_is_bound_where_the_kernel_has_it() {
    let probe = rustix::net::socket(AddressFamily::VSOCK, SocketType::STREAM, None);
    if let Err(error) = probe {
        return skip_for_kernel(format_args!("this kernel has no vsock: {error}"));
    }
    let mut manager = Manager::new();
    // The kernel chooses no port that could be asked for here.
    let listen = format!("--listen-stream=vsock::{}", 1 << 24 | std::process::id());
    manager.start(&[&listen], &[]);
    manager.wait_ready();
    manager.wait_stderr(|line| line.contains("ready on vsock vsock:"));
}

#[test]
fn what_cannot_be_stored_is_brought_to_its_end() {
    let (mut manager, path) = bound("--listen-sequential-packet=rfc862", &[]);
    let peer = packets(&at(&path));
    say(&peer, b"hello");
    assert_eq!(hear(&peer), b"hello");
    manager.terminate();
    assert_eq!(hear(&peer), b"");
}

#[test]
fn a_plain_peer_of_a_multipath_socket_goes_on_with_its_urgent_data() {
    if !has_mptcp() {
        return;
    }
    let multipath = Some(rustix::net::ipproto::MPTCP);
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, multipath).unwrap();
    rustix::net::bind(&listener, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    let address = rustix::net::getsockname(&listener).unwrap();
    let mut manager = Manager::new();
    manager.listen(listener, "rfc862");
    manager.start(&[], &[]);
    let peer = connect(std::net::SocketAddr::try_from(address).unwrap());
    for _ in 0..2 {
        exchange(&mut &peer, b"ordinary", b"ordinary");
        // In two parts: which byte is urgent may change with the next.
        rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
        exchange(&mut &peer, b"more", b"!more");
        manager.wait_ready();
        manager.kill(Signal::KILL);
        manager.start_again();
    }
    exchange(&mut &peer, b"last", b"last");
}

/// Says something, and hears that.
fn exchange(peer: &mut (impl Read + Write), message: &[u8], answer: &[u8]) {
    peer.write_all(message).unwrap();
    let mut heard = vec![0; answer.len()];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(heard.escape_ascii().to_string(), answer.escape_ascii().to_string());
}

#[test]
fn a_stream_goes_on_through_a_kill_and_a_restart() {
    let mut manager = Manager::new();
    let path = manager.place().join("inherited");
    manager.listen(UnixListener::bind(&path).unwrap(), "line");
    manager.start(&["--suffix=-S"], &[]);
    let mut peer = UnixStream::connect(&path).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(&mut peer, b"first\nhalf a", b"first-S\n");
    manager.wait_ready();
    manager.kill(Signal::KILL);
    peer.write_all(b" line\n").unwrap();
    manager.start_again();
    exchange(&mut peer, b"second\n", b"half a line-S\nsecond-S\n");
    manager.wait_ready();
    manager.terminate();
    manager.start_again();
    exchange(&mut peer, b"third\nlast", b"third-S\n");
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = String::new();
    peer.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last-S");
    manager.wait_status(|status| status.starts_with("0 conversations, 1 served"));
    manager.wait_stderr(|line| line.contains("ended (end-of-file)") && line.contains("35 bytes"));
}
