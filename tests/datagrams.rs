//! Datagrams: whole, unchanged, and only to those who may have them.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]
#![allow(unsafe_code, reason = "only so a socket's options are read")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use support::manager::{Manager, PATIENCE};
use support::peer::{connect, echo, wait_for};
use support::skip::has_mptcp;

const SIZES: [usize; 7] = [0, 1, 512, 1472, 8192, 8193, 65_507];

/// Bytes that are wrong in any other place.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn client(server: SocketAddr) -> UdpSocket {
    let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // From nobody else is an answer heard.
    socket.connect(server).unwrap();
    socket
}

fn ask(client: &UdpSocket, message: &[u8]) -> Vec<u8> {
    client.send(message).unwrap();
    let mut answer = vec![0; 70_000];
    let length = client.recv(&mut answer).unwrap();
    answer.truncate(length);
    answer
}

fn listen_v6(manager: &mut Manager, name: &str) -> SocketAddr {
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let address = socket.local_addr().unwrap();
    manager.listen(socket, name);
    address
}

#[test]
fn every_size_comes_back_whole_and_unchanged_in_rfc862() {
    let mut manager = Manager::new();
    let servers = [manager.listen_udp("rfc862"), listen_v6(&mut manager, "rfc862")];
    let path = manager.place().join("datagrams");
    manager.listen(UnixDatagram::bind(&path).unwrap(), "rfc862");
    manager.start(&[], &[]);
    manager.wait_ready();
    for server in servers {
        let client = client(server);
        for size in SIZES {
            assert!(ask(&client, &pattern(size)) == pattern(size), "{size} bytes over {server}");
        }
    }
    let client = UnixDatagram::bind(manager.place().join("client")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(&path).unwrap();
    for size in SIZES {
        client.send(&pattern(size)).unwrap();
        let mut answer = vec![0; 70_000];
        let length = client.recv(&mut answer).unwrap();
        assert!(answer[..length] == pattern(size), "{size} bytes over Unix");
    }
}

#[test]
fn every_size_comes_back_with_the_suffix_in_reply_or_not_at_all() {
    let mut manager = Manager::new();
    let servers = [manager.listen_udp("reply"), listen_v6(&mut manager, "reply")];
    manager.start(&["--suffix=-S"], &[]);
    manager.wait_ready();
    for server in servers {
        let client = client(server);
        for size in SIZES.into_iter().chain([65_505]) {
            let (message, expected) = (pattern(size), [&pattern(size)[..], b"-S"].concat());
            if expected.len() > 65_507 {
                // Nothing comes back: the next answer is the next message's.
                client.send(&message).unwrap();
            } else {
                assert!(ask(&client, &message) == expected, "{size} bytes over {server}");
            }
        }
    }
    manager.wait_status(|status| status.contains("2 refused (2 too-long)"));
}

/// The first have room in the daemon's memory, and more than an answer may have;
/// of the last the kernel gives a part, and says so.
#[test]
fn a_datagram_too_long_for_an_answer_is_refused_and_counted_and_never_cut() {
    let mut manager = Manager::new();
    let server = listen_v6(&mut manager, "rfc862");
    let path = manager.place().join("datagrams");
    manager.listen(UnixDatagram::bind(&path).unwrap(), "rfc862");
    manager.start(&[], &[]);
    manager.wait_ready();
    let udp = client(server);
    let unix = UnixDatagram::bind(manager.place().join("client")).unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    unix.connect(&path).unwrap();
    let mut heard = [0; 16];
    // Nothing comes back: the next answer is the next message's.
    for length in [65_508, 65_527] {
        udp.send(&pattern(length)).unwrap();
        assert_eq!(ask(&udp, b"udp"), b"udp", "{length} bytes");
    }
    for length in [65_508, 65_792, 65_793, 150_000] {
        unix.send(&pattern(length)).unwrap();
        unix.send(b"unix").unwrap();
        let answer = unix.recv(&mut heard).unwrap();
        assert_eq!(&heard[..answer], b"unix", "{length} bytes");
    }
    manager.wait_status(|status| status.contains("6 datagrams, 6 refused (6 too-long)"));
}

/// Whether the kernel says with each datagram which address was asked.
fn says_asked(socket: &UdpSocket) -> bool {
    let (mut said, mut length) = (0, 4);
    let (level, option) = if socket.local_addr().unwrap().is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    };
    let place = (&raw mut said).cast();
    // SAFETY: four bytes at most are written.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, place, &raw mut length) };
    assert_eq!((result, length), (0, 4));
    said != 0
}

#[test]
fn the_kernel_says_which_address_was_asked_only_where_there_are_several() {
    let mut manager = Manager::new();
    let cases = [("127.0.0.1", false), ("[::1]", false), ("0.0.0.0", true), ("[::]", true)];
    let sockets = cases.map(|(address, _)| UdpSocket::bind(format!("{address}:0")).unwrap());
    for socket in &sockets {
        manager.listen(socket.try_clone().unwrap(), "rfc862");
    }
    manager.start(&[], &[]);
    manager.wait_ready();
    for (socket, (address, expected)) in sockets.iter().zip(cases) {
        assert!(says_asked(socket), "{address}");
        let mut server = socket.local_addr().unwrap();
        if server.ip().is_unspecified() {
            let own = if server.is_ipv4() { "127.0.0.1" } else { "::1" };
            server.set_ip(own.parse().unwrap());
        }
        let client = client(server);
        assert_eq!(ask(&client, b"first"), b"first");
        assert_eq!(ask(&client, b"second"), b"second");
        assert_eq!(says_asked(socket), expected, "{address}");
    }
}

#[test]
fn streams_have_their_turns_while_datagrams_pour_in() {
    let mut manager = Manager::new();
    let (stream, datagrams) = (manager.listen_tcp("rfc862"), manager.listen_udp("rfc862"));
    manager.start(&[], &[]);
    manager.wait_ready();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // What its own queue does not take, nobody misses.
                    let _ = flood.send_to(&[7; 1_400], datagrams);
                }
            });
        }
        let mut peer = connect(stream);
        let begin = Instant::now();
        for _ in 0..200 {
            echo(&mut peer, b"turn");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        // A batch is some 100 µs of work; without turns it would be minutes.
        let each = begin.elapsed() / 200;
        assert!(each < Duration::from_millis(100), "{each:?} for one turn");
    });
}

#[test]
fn a_source_that_sends_too_much_is_answered_at_its_rate() {
    let mut manager = Manager::new();
    let server = manager.listen_udp("rfc862");
    manager.start(&["--datagram-rate=1/s:5"], &[]);
    manager.wait_ready();
    let client = client(server);
    for number in 0..5_u8 {
        assert_eq!(ask(&client, &[number]), [number]);
    }
    // On a machine that is slow enough the next is not too much.
    wait_for("a refusal", || {
        client.send(b"too much").unwrap();
        let is_rated = |status: &str| status.contains(" rate)");
        manager.wait("anything", |known| {
            let mut statuses = known.present().filter_map(|heard| heard.value("STATUS"));
            Some(statuses.any(is_rated).then_some(()))
        })
    });
    // Its bucket fills again.
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    wait_for("another answer", || {
        client.send(b"again").unwrap();
        let mut heard = [0; 16];
        let length = client.recv(&mut heard).ok()?;
        (&heard[..length] == b"again").then_some(())
    });
}

#[test]
fn a_socket_that_echod_binds_is_answered_on_both_families() {
    let mut manager = Manager::new();
    manager.start(&["--listen-datagram=rfc862=0"], &[]);
    manager.wait_ready();
    let line = manager.wait_stderr(|line| line.contains("ready on udp [::]:"));
    let port = line.split("[::]:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    for host in ["127.0.0.1", "[::1]"] {
        let server = format!("{host}:{port}").parse().unwrap();
        assert_eq!(ask(&client(server), b"hello"), b"hello", "{server}");
    }
}

#[test]
fn debug_records_show_each_datagram_with_its_ttl() {
    let mut manager = Manager::new();
    let server = manager.listen_udp("reply");
    manager.start(&["--log-level=debug", "--suffix=-S"], &[]);
    manager.wait_ready();
    let client = client(server);
    client.set_ttl(33).unwrap();
    assert_eq!(ask(&client, b"a\nb"), b"a\nb-S");
    let own = client.local_addr().unwrap();
    let received = format!(r"received from {own} (33 hops left): |a\nb|");
    manager.wait_stderr(|line| line.ends_with(&received));
    manager.wait_stderr(|line| line.ends_with(&format!(r"sent to {own}: [a\nb-S]")));
}

#[test]
fn multipath_clients_are_answered() {
    let mut manager = Manager::new();
    manager.start(&["--mptcp", "--listen-stream=rfc862=127.0.0.1:0"], &[]);
    manager.wait_ready();
    let line = manager.wait_stderr(|line| line.contains("ready on "));
    let address = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
    let address: SocketAddr = format!("127.0.0.1:{}", address.unwrap()).parse().unwrap();
    // A kernel without it has neither the one side nor the other.
    let has_mptcp = has_mptcp();
    assert_eq!(line.contains("ready on mptcp "), has_mptcp, "{line}");
    if has_mptcp {
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            Some(rustix::net::ipproto::MPTCP),
        )
        .unwrap();
        rustix::net::connect(&socket, &address).unwrap();
        let mut peer = TcpStream::from(socket);
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.write_all(b"paths").unwrap();
        peer.read_exact(&mut [0; 5]).unwrap();
    }
    echo(&mut connect(address), b"path");
}
