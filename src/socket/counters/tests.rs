//! The kernel's counters, in every state of a connection.

use super::*;
use crate::socket::{Delivery, Reset, delivery, reset_on_close};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, peer)
}

fn expect(ours: &TcpStream, taken: u64, given: u64, phase: Phase) {
    assert_eq!(counters(ours.as_fd()).unwrap(), Counters { taken, given, phase });
}

/// Waits until the kernel has seen the peer's end of file.
fn end_of_file(ours: &mut TcpStream) {
    assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_fresh_connection_has_taken_and_given_nothing() {
    let (ours, _peer) = connection();
    expect(&ours, 0, 0, Phase::Open);
}

#[test]
fn only_what_was_read_counts_as_taken() {
    let (mut ours, mut peer) = connection();
    peer.write_all(&[7; 1000]).unwrap();
    ours.read_exact(&mut [0; 300]).unwrap();
    ours.write_all(&[7; 500]).unwrap();
    expect(&ours, 300, 500, Phase::Open);
}

#[test]
fn the_peers_end_of_file_is_no_byte() {
    let (mut ours, mut peer) = connection();
    peer.write_all(&[7; 100]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    ours.read_exact(&mut [0; 100]).unwrap();
    end_of_file(&mut ours);
    expect(&ours, 100, 0, Phase::PeerEnded);
    ours.write_all(&[7; 50]).unwrap();
    expect(&ours, 100, 50, Phase::PeerEnded);
}

#[test]
fn our_end_of_file_is_no_byte_acknowledged_or_not() {
    let (mut ours, mut peer) = connection();
    ours.write_all(&[7; 50]).unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    expect(&ours, 0, 50, Phase::WeEnded);
    peer.read_exact(&mut [0; 50]).unwrap();
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    expect(&ours, 0, 50, Phase::WeEnded);
}

#[test]
fn a_connection_that_both_ended_is_closed() {
    let (mut ours, peer) = connection();
    drop(peer);
    end_of_file(&mut ours);
    ours.shutdown(Shutdown::Write).unwrap();
    assert_eq!(counters(ours.as_fd()).unwrap().phase, Phase::Closed);
}

#[test]
fn a_reset_loses_what_was_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    );
    let peer = peer.unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&peer, 4096).unwrap();
    rustix::net::connect(&peer, &listener.local_addr().unwrap()).unwrap();
    let (mut ours, _) = listener.accept().unwrap();
    assert_eq!(delivery(ours.as_fd()), Delivery::Done);
    ours.write_all(&vec![7; 100_000]).unwrap();
    assert_eq!(delivery(ours.as_fd()), Delivery::UnderWay);
    reset_on_close(peer.as_fd(), Some(Reset));
    drop(peer);
    assert!(ours.read(&mut [0; 1]).is_err());
    assert_eq!(delivery(ours.as_fd()), Delivery::Lost);
}

#[test]
fn urgent_data_in_line_is_counted_like_any_other() {
    let (mut ours, peer) = connection();
    rustix::net::sockopt::set_socket_oobinline(&ours, true).unwrap();
    rustix::net::send(&peer, b"abc", rustix::net::SendFlags::OOB).unwrap();
    (&peer).write_all(b"def").unwrap();
    ours.read_exact(&mut [0; 6]).unwrap();
    expect(&ours, 6, 0, Phase::Open);
}

#[test]
fn a_listener_with_fast_open_is_not_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(is_counted(listener.as_fd()));
    let queue: libc::c_int = 5;
    // SAFETY: `queue` has the four bytes that are announced.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const queue).cast(),
            4,
        )
    };
    assert_eq!(result, 0);
    assert!(!is_counted(listener.as_fd()));
}

#[test]
fn counters_that_do_not_hold_are_refused() {
    let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(counters(ours.as_fd()).is_err());
}
