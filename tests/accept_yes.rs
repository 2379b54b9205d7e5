//! `Accept=yes`: the manager accepts, and one process serves each connection.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use support::manager::Manager;
use support::peer::connect;

/// A connection, and a manager that hands its accepted end over as systemd does.
fn accepted(name: &str) -> (TcpStream, Manager) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    let peer = connect(listener.local_addr().expect("loopback works"));
    let mut manager = Manager::new();
    manager.listen(listener.accept().expect("loopback works").0, name);
    (peer, manager)
}

#[test]
fn a_connection_is_served_and_then_the_process_exits() {
    let (mut peer, mut manager) = accepted("connection");
    manager.start(&["--protocol=rfc862"], &[]);
    manager.wait_ready();
    peer.write_all(b"hello").expect("loopback works");
    peer.shutdown(Shutdown::Write).expect("loopback works");
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).expect("loopback works");
    assert_eq!(answer, b"hello");
    assert_eq!(manager.wait_exit().code(), Some(0));
    // Its unit has no store, and a manager complains of descriptors for none.
    assert_eq!(manager.stored(), Vec::<String>::new());
}

#[test]
fn the_exit_word_ends_the_process_too() {
    let (mut peer, mut manager) = accepted("reply");
    manager.start(&[], &[]);
    peer.write_all(b"exit").expect("loopback works");
    assert_eq!(peer.read(&mut [0; 16]).expect("loopback works"), 0);
    drop(peer);
    assert_eq!(manager.wait_exit().code(), Some(0));
}

#[test]
fn with_too_few_descriptors_the_process_says_so() {
    let mut ends = std::collections::BTreeMap::<String, u32>::new();
    // A shell that has fewer cannot start anything, and 24 are enough.
    for most in 6..=24 {
        let (peer, mut manager) = accepted("connection");
        manager.descriptors_max(most);
        manager.start(&["--protocol=rfc862"], &[]);
        peer.shutdown(Shutdown::Write).expect("loopback works");
        let end = manager.wait_exit();
        assert!(matches!(end.code(), Some(0 | 71)), "with {most} descriptors: {end:?}");
        *ends.entry(end.to_string()).or_default() += 1;
    }
    println!("{ends:?}");
    assert_eq!(ends.len(), 2, "{ends:?}");
}
