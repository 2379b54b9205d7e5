//! Datagrams: whole, unchanged, and only to those who may have them.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use support::manager::{Manager, PATIENCE};

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
