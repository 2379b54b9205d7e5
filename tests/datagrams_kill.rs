//! Datagrams outlive the process: killed at random instants, it answers each
//! exactly once.
//!
//! `ECHOD_TEST_KILLS` sets how many kills there are.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use rustix::process::Signal;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::manager::{Manager, PATIENCE};

/// How an answer is made of a message.
#[derive(Clone, Copy)]
enum Speech {
    Same,
    Behind,
    BeforeLineEnd,
}

/// A client's socket of either family, connected to the daemon's.
enum Client {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Client {
    fn udp(server: SocketAddr) -> Self {
        let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::Udp(socket)
    }

    fn unix(own: PathBuf, server: &Path) -> Self {
        let socket = UnixDatagram::bind(own).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::Unix(socket)
    }

    fn say(&self, message: &[u8]) {
        match self {
            Self::Udp(socket) => socket.send(message).unwrap(),
            Self::Unix(socket) => socket.send(message).unwrap(),
        };
    }

    fn hear(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer),
            Self::Unix(socket) => socket.recv(buffer),
        }
    }

    fn stop_waiting(&self) {
        match self {
            Self::Udp(socket) => socket.set_nonblocking(true).unwrap(),
            Self::Unix(socket) => socket.set_nonblocking(true).unwrap(),
        }
    }
}

/// Talks until told to stop, one datagram at a time, no two alike. An answer that
/// is lost is waited for in vain; one that comes twice is the next one's.
fn talk(client: Client, speech: Speech, stop: &AtomicBool, answers: &AtomicU64) -> Client {
    let mut buffer = vec![0; 70_000];
    for number in 0_u32.. {
        let length = [0, 100, 1_400, 9_000][number as usize % 4];
        let text = [format!("{number} ").as_bytes(), &vec![b'x'; length]].concat();
        let (message, answer) = match speech {
            Speech::Same => (text.clone(), text),
            Speech::Behind => (text.clone(), [&text[..], b"-S"].concat()),
            Speech::BeforeLineEnd => {
                ([&text[..], b"\r\n"].concat(), [&text[..], b"-S\r\n"].concat())
            }
        };
        client.say(&message);
        let length = client.hear(&mut buffer).expect("an answer was lost");
        assert!(buffer[..length] == answer, "not the answer to message {number}");
        answers.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    client
}

fn kills() -> u32 {
    let kills = std::env::var("ECHOD_TEST_KILLS").ok();
    kills.map_or(300, |kills| kills.parse().expect("it is a number"))
}

#[test]
fn each_datagram_is_answered_exactly_once_however_often_the_daemon_dies() {
    let mut manager = Manager::new();
    let plain = manager.listen_udp("rfc862");
    let v6 = UdpSocket::bind("[::1]:0").unwrap();
    let suffixed = v6.local_addr().unwrap();
    manager.listen(v6, "reply");
    let lines = manager.listen_udp("line");
    let path = manager.place().join("datagrams");
    manager.listen(UnixDatagram::bind(&path).unwrap(), "reply");
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients: Vec<JoinHandle<Client>> = Vec::new();
    for number in 0..8 {
        for (client, speech) in [
            (Client::udp(plain), Speech::Same),
            (Client::udp(suffixed), Speech::Behind),
            (Client::udp(lines), Speech::BeforeLineEnd),
            (Client::unix(manager.place().join(format!("client-{number}")), &path), Speech::Behind),
        ] {
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            clients.push(std::thread::spawn(move || talk(client, speech, &stop, &answers)));
        }
    }
    manager.start(&["--suffix=-S", "--datagram-rate=off"], &[]);
    let random = RandomState::new();
    for kill in 0..kills() {
        // In some lives it does not even begin to serve.
        if kill % 8 != 0 {
            manager.wait_ready();
        }
        std::thread::sleep(Duration::from_micros(random.hash_one(kill) % 12_000));
        manager.kill(Signal::KILL);
        manager.start_again();
    }
    manager.wait_ready();
    stop.store(true, Ordering::Relaxed);
    let clients: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    manager.terminate();
    for client in clients {
        client.stop_waiting();
        let late = client.hear(&mut [0; 16]).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::WouldBlock, "an answer came twice");
    }
    println!("{} kills, {} answers", kills(), answers.load(Ordering::Relaxed));
}
