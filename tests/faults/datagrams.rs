//! Datagram calls that fail.

use crate::fault::{Fault, Tally, ask, bystanders, fail, header};
use crate::stage::Stage;
use crate::tracer::{Pace, Stop};
use echod::conversation::Refusal;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// What a network, a firewall or a kernel short of memory says.
const ERRORS: [i32; 10] = [
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::EPERM,
    libc::ENETUNREACH,
    libc::EHOSTUNREACH,
    libc::ECONNREFUSED,
    libc::EINVAL,
    libc::EIO,
    libc::EMSGSIZE,
    libc::EINTR,
];

fn stage() -> (Stage, UdpSocket) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_nonblocking(true).unwrap();
    let stage = Stage::set_with(&["--datagram-rate=off"], |scene| {
        client.connect(scene.manager.listen_udp("rfc862")).unwrap();
    });
    (stage, client)
}

/// Three datagrams at once, while that call fails: how many were answered, if it
/// did. A fourth, which comes later, is answered in any case.
fn send(stage: &mut Stage, client: &UdpSocket, fault: Fault, number: u64) -> Option<usize> {
    stage.tracee().interrupt();
    for word in [b"1", b"2", b"3"] {
        client.send(word).unwrap();
    }
    let mut heard = Vec::new();
    let mut hear = |all: usize| {
        let mut buffer = [0; 16];
        while let Ok(n) = client.recv(&mut buffer) {
            heard.push(buffer[..n].to_vec());
        }
        heard.len() >= all || heard.last().is_some_and(|word| word == b"4")
    };
    let is_here = fail(stage, fault, number, || hear(3));
    client.send(b"4").unwrap();
    stage.run("answers", || hear(4));
    let words: Vec<_> = heard.iter().flatten().copied().collect();
    assert!(words.is_sorted() && words.ends_with(b"4"), "{fault}: {words:?}");
    is_here.then_some(heard.len() - 1)
}

#[test]
fn an_error_of_one_datagram_loses_at_most_that_one_which_is_counted() {
    let (mut stage, client) = stage();
    let mut others = bystanders(&mut stage);
    let mut tally = Tally::default();
    let mut unsendable = 0;
    for fault in Fault::all(&[libc::SYS_recvmmsg, libc::SYS_sendmmsg], &ERRORS) {
        for number in 0.. {
            let Some(answered) = send(&mut stage, &client, fault, number) else { break };
            tally.count(fault);
            let is_lost = fault.call == libc::SYS_sendmmsg && fault.errno != libc::EINTR;
            assert_eq!(answered, if is_lost { 2 } else { 3 }, "{fault}");
            unsendable += u64::from(is_lost);
            let counted = header(&mut stage).refused_for(Refusal::Unsendable);
            assert_eq!(counted, unsendable, "{fault}");
            ask(&mut stage, &mut others);
        }
        assert!(tally.get(fault) > 0, "{fault}");
    }
    println!("{tally}; {unsendable} counted as unsendable");
}

#[test]
fn a_socket_that_only_says_errors_is_not_asked_for_ever() {
    let (mut stage, client) = stage();
    let mut others = bystanders(&mut stage);
    for errno in [libc::EPERM, libc::EIO, libc::ENOBUFS] {
        let fault = Fault { call: libc::SYS_recvmmsg, errno };
        stage.tracee().interrupt();
        client.send(b"1").unwrap();
        let (began, mut asked) = (Instant::now(), 0);
        // The half second is what is measured.
        while began.elapsed() < Duration::from_millis(500) {
            let is_over = || began.elapsed() >= Duration::from_millis(500);
            let is_asked = |stop| matches!(stop, Stop::Entry { call: libc::SYS_recvmmsg, .. });
            let is_here = stage.tracee().walk(Pace::ToNextCall, is_over, is_asked);
            if is_here {
                asked += 1;
                stage.tracee().fail(errno);
            }
        }
        println!("{fault}: asked {asked} times in half a second");
        // Each of the first may be about one datagram only.
        assert!(asked < 30, "{fault}: {asked}");
        stage.run("the answer", || client.recv(&mut [0; 16]).is_ok());
        ask(&mut stage, &mut others);
    }
}
