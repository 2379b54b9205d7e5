//! The client against a server that does everything wrong: each fault is found,
//! and counted exactly.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use support::pinging::{Pinged, ping};

/// What the server does with a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Do {
    Answer,
    Drop,
    Double,
    /// After the next one.
    Later,
    /// This byte is another.
    Corrupt(usize),
    /// Only so many bytes.
    Cut(usize),
    /// And two more bytes.
    Lengthen,
    Delay(Duration),
}

const SIZE: usize = 56;

/// What is given back for each message, in order.
struct Server {
    plan: fn(usize) -> Do,
    number: usize,
    later: Vec<Vec<u8>>,
}

impl Server {
    fn answers(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        self.number += 1;
        let mut message = message.to_vec();
        let mut answers = match (self.plan)(self.number) {
            Do::Answer => vec![message],
            Do::Drop => vec![],
            Do::Double => vec![message.clone(), message],
            Do::Later => {
                self.later.push(message);
                return vec![];
            }
            Do::Corrupt(at) => {
                message[at] ^= 0x55;
                vec![message]
            }
            Do::Cut(len) => vec![message[..len].to_vec()],
            Do::Lengthen => vec![[&message[..], b"\r\n"].concat()],
            Do::Delay(time) => {
                std::thread::sleep(time);
                vec![message]
            }
        };
        answers.append(&mut self.later);
        answers
    }
}

fn udp(plan: fn(usize) -> Do) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut server = Server { plan, number: 0, later: Vec::new() };
        let mut buffer = vec![0; 65_536];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            for answer in server.answers(&buffer[..len]) {
                socket.send_to(&answer, peer).unwrap();
            }
        }
    });
    format!("udp:{address}")
}

fn tcp(plan: fn(usize) -> Do) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut server = Server { plan, number: 0, later: Vec::new() };
        let mut message = [0; SIZE];
        while stream.read_exact(&mut message).is_ok() {
            for answer in server.answers(&message) {
                stream.write_all(&answer).unwrap();
            }
        }
    });
    address.to_string()
}

/// 100 messages to this server, over each transport; so far apart that hardly ever
/// two are under way, between which somebody would have to guess.
fn both(plan: fn(usize) -> Do) -> [Pinged; 2] {
    [udp(plan), tcp(plan)].map(|target| ping(&[&target, "-c100", "-i10ms", "-W2"]))
}

#[test]
fn what_is_dropped_is_lost() {
    for pinged in both(|number| if number % 10 == 0 { Do::Drop } else { Do::Answer }) {
        assert_eq!(pinged.counts(), (1, [100, 90, 10, 0, 0, 0]));
        assert_eq!(pinged.sequences("lost"), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    }
}

#[test]
fn what_is_doubled_is_counted_and_no_fault() {
    for pinged in both(|number| if number % 20 == 0 { Do::Double } else { Do::Answer }) {
        assert_eq!(pinged.counts(), (0, [100, 100, 0, 5, 0, 0]));
        assert_eq!(pinged.sequences("duplicate"), [20, 40, 60, 80, 100]);
    }
}

#[test]
fn another_order_is_counted_and_no_fault() {
    for pinged in both(|number| if number % 25 == 7 { Do::Later } else { Do::Answer }) {
        assert_eq!(pinged.counts(), (0, [100, 100, 0, 0, 4, 0]));
        assert_eq!(pinged.sequences("reordered"), [7, 32, 57, 82]);
    }
}

#[test]
fn every_altered_byte_is_found_and_shown() {
    // Each byte of the message once.
    for pinged in both(|number| if number <= SIZE { Do::Corrupt(number - 1) } else { Do::Answer }) {
        let (status, [sent, _, _, _, _, corrupted]) = pinged.counts();
        assert_eq!((status, sent, corrupted), (2, 100, 56));
        let shown = pinged.objects.iter().filter(|object| object["result"] == "corrupted");
        assert_eq!(shown.clone().count(), SIZE);
        for (object, number) in shown.zip(1_u64..) {
            if (11..=18).contains(&number) {
                // There its number is altered, and whose it is can only be guessed.
                continue;
            }
            assert_eq!(object["sequence"], number);
            assert_eq!((&object["at"], &object["differing"]), (&(number - 1).into(), &1.into()));
            let byte = |key: &str| u8::from_str_radix(&object[key].as_str().unwrap()[..2], 16);
            assert_eq!(byte("found").unwrap(), byte("expected").unwrap() ^ 0x55);
        }
    }
}

#[test]
fn what_is_cut_or_longer_is_corrupted() {
    let plan = |number| match number {
        10 => Do::Cut(55),
        20 => Do::Cut(1),
        30 | 100 => Do::Lengthen,
        40 => Do::Cut(28),
        _ => Do::Answer,
    };
    for pinged in both(plan) {
        assert_eq!(pinged.counts(), (2, [100, 100, 0, 0, 0, 5]), "{:?}", pinged.objects);
    }
}

#[test]
fn the_last_answer_may_be_cut_too() {
    for pinged in both(|number| if number == 100 { Do::Cut(55) } else { Do::Answer }) {
        assert_eq!(pinged.counts(), (2, [100, 100, 0, 0, 0, 1]));
        assert_eq!(pinged.sequences("corrupted"), [100]);
    }
}

#[test]
fn everything_at_once_is_told_apart() {
    let plan = |number| match number {
        10 | 20 | 30 => Do::Drop,
        5 | 15 => Do::Double,
        40 | 50 => Do::Later,
        60 => Do::Corrupt(40),
        61 => Do::Corrupt(3),
        62 => Do::Cut(50),
        63 => Do::Lengthen,
        _ => Do::Answer,
    };
    for pinged in both(plan) {
        assert_eq!(pinged.counts(), (2, [100, 97, 3, 2, 2, 4]), "{:?}", pinged.objects);
        assert_eq!(pinged.sequences("lost"), [10, 20, 30]);
        assert_eq!(pinged.sequences("duplicate"), [5, 15]);
        assert_eq!(pinged.sequences("reordered"), [40, 50]);
    }
}

#[test]
fn a_delay_is_in_the_times() {
    const DELAY: Duration = Duration::from_millis(300);
    for serve in [udp, tcp] {
        let target = serve(|number| if number == 5 { Do::Delay(DELAY) } else { Do::Answer });
        let pinged = ping(&[&target, "-c10", "-f", "-W20"]);
        assert_eq!(pinged.counts(), (0, [10, 10, 0, 0, 0, 0]));
        assert!(pinged.summary["rtt_us"]["max"].as_f64().unwrap() >= 300_000.0);
    }
}

#[test]
fn what_waited_for_a_delayed_answer_counts_from_when_it_was_due() {
    // One message is outstanding in `reply`; the other 9 are due while the first
    // is delayed, and left out they would make the median look good.
    const DELAY: Duration = Duration::from_millis(600);
    let target = tcp(|number| if number == 1 { Do::Delay(DELAY) } else { Do::Answer });
    let words = ["-c10", "-i10ms", "--protocol=reply", "--suffix=", "-W20"];
    let pinged = ping(&[&[&target[..]], &words[..]].concat());
    assert_eq!(pinged.counts(), (0, [10, 10, 0, 0, 0, 0]));
    assert!(pinged.summary["rtt_us"]["min"].as_f64().unwrap() >= 500_000.0, "{}", pinged.summary);
}

#[test]
fn a_delay_beyond_the_timeout_is_a_loss_and_what_comes_then_is_late() {
    for serve in [udp, tcp] {
        // In a closed loop the next is sent only when this one was given up.
        let target = serve(|number| if number == 5 { Do::Later } else { Do::Answer });
        let pinged = ping(&[&target, "-c10", "-f", "-W2"]);
        assert_eq!(pinged.counts(), (1, [10, 9, 1, 0, 0, 0]));
        assert_eq!(pinged.sequences("late"), [5]);
        assert_eq!(pinged.of_type("run")[0]["late"], 1);
    }
}

#[test]
fn so_much_loss_is_allowed() {
    let ping = |allowed: &str| {
        let target = udp(|number| if number % 10 == 0 { Do::Drop } else { Do::Answer });
        ping(&[&target, "-c50", "-i1ms", "-W1", "--loss-max", allowed]).status
    };
    assert_eq!([ping("10%"), ping("9.9")], [0, 1]);
}

/// A server that answers so many messages and then ends the connection.
fn ends_after(count: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut message = [0; SIZE];
        for _ in 0..count {
            stream.read_exact(&mut message).unwrap();
            stream.write_all(&message).unwrap();
        }
        // The one that is not answered.
        stream.read_exact(&mut message).unwrap();
    });
    address
}

#[test]
fn what_is_outstanding_when_the_server_ends_is_lost() {
    let pinged = ping(&[&ends_after(3).to_string(), "-c10", "-f"]);
    assert_eq!(pinged.counts(), (1, [4, 3, 1, 0, 0, 0]));
    assert_eq!(pinged.sequences("lost"), [4]);
    assert_eq!(pinged.of_type("run")[0]["missing"], 6);
    let ended = pinged.of_type("ended")[0]["reason"].as_str().unwrap();
    assert_eq!(ended, "the server ended the connection; 1 not answered");
    // Without a count, nobody knows how many are missing.
    assert_eq!(ping(&[&ends_after(3).to_string(), "-f"]).status, 1);
}

#[test]
fn nobody_behind_a_port_of_datagrams_is_a_loss() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp:{}", socket.local_addr().unwrap());
    drop(socket);
    let pinged = ping(&[&target, "-c3", "-i1ms", "-W200ms"]);
    assert_eq!(pinged.counts(), (1, [3, 0, 3, 0, 0, 0]));
}

#[test]
fn datagrams_of_every_size_come_back() {
    let target = udp(|_| Do::Answer);
    for words in [&["--size-sweep=0:200", "-c201"][..], &["-s65507", "-c20"]] {
        let pinged = ping(&[&[&target[..], "-f"], words].concat());
        let (status, [sent, received, lost, ..]) = pinged.counts();
        assert_eq!((status, sent, lost), (0, received, 0));
        assert_eq!(pinged.number("corrupted"), 0);
    }
}
