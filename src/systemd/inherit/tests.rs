//! What is handed over, rightly and wrongly.

use super::*;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{SocketFlags, socketpair};
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

const PID: u32 = 4711;

fn offered(environment: &[(&str, &str)]) -> Result<Option<Vec<String>>, InheritError> {
    let find = |name: &str| {
        environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    };
    names(find, PID)
}

fn complaint(environment: &[(&str, &str)]) -> String {
    offered(environment).expect_err("this environment is wrong").to_string()
}

#[test]
fn descriptors_for_another_process_are_ignored_whatever_else_is_said() {
    let foreign = [("LISTEN_PID", "4712"), ("LISTEN_FDS", "junk")];
    assert_eq!(offered(&foreign).unwrap(), None);
    assert_eq!(offered(&[("LISTEN_PID", "x"), ("LISTEN_FDS", "1")]).unwrap(), None);
    assert_eq!(offered(&[("LISTEN_PID", "4711")]).unwrap(), None);
    assert_eq!(offered(&[]).unwrap(), None);
}

#[test]
fn names_come_in_the_order_of_descriptors() {
    let environment =
        [("LISTEN_PID", "4711"), ("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "reply::echo.socket")];
    assert_eq!(offered(&environment).unwrap().unwrap(), ["reply", "", "echo.socket"]);
}

#[test]
fn a_manager_that_names_nothing_leaves_them_nameless() {
    let environment = [("LISTEN_PID", "4711"), ("LISTEN_FDS", "2")];
    assert_eq!(offered(&environment).unwrap().unwrap(), ["unknown", "unknown"]);
}

#[test]
fn no_descriptors_are_no_mistake() {
    let environment = [("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")];
    assert_eq!(offered(&environment).unwrap(), None);
}

#[test]
fn a_count_that_is_no_number_or_absurd_is_named() {
    for value in ["many", "", "-1", "65537", "4294967299", "3 "] {
        let text = complaint(&[("LISTEN_PID", "4711"), ("LISTEN_FDS", value)]);
        assert_eq!(text, format!("LISTEN_FDS is {value:?}, not a number from 0 to 65536"));
    }
}

#[test]
fn the_first_descriptor_is_never_a_standard_stream() {
    let text = complaint(&[("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "2")]);
    assert_eq!(text, "LISTEN_FDS_FIRST_FD is \"2\", not a number from 3 to 65536");
}

#[test]
fn more_or_fewer_names_than_descriptors_are_a_mistake() {
    let text = complaint(&[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "a:b:c")]);
    assert_eq!(text, "LISTEN_FDNAMES has 3 names, but LISTEN_FDS says 2 descriptors");
}

fn handed(given: impl IntoIterator<Item = (&'static str, OwnedFd)>) -> Result<Hand, String> {
    let mut hand = Hand::default();
    for (name, fd) in given {
        let number = fd.as_raw_fd();
        if let Err(error) = hand.take(fd, number, name.to_owned()) {
            return Err(error.to_string().replace(&number.to_string(), "N"));
        }
    }
    Ok(hand)
}

fn listener() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

fn file() -> OwnedFd {
    tempfile::tempfile().unwrap().into()
}

fn bag_end() -> OwnedFd {
    let kind = (AddressFamily::UNIX, SocketType::SEQPACKET);
    socketpair(kind.0, kind.1, SocketFlags::empty(), None).unwrap().0
}

#[test]
fn what_was_stored_is_told_from_what_is_to_be_served_by_its_name() {
    let given = [
        ("echod-bag-12", bag_end()),
        ("reply", listener()),
        ("echod-memory", file()),
        ("echod-bag-x", listener()),
        ("echod-bag-007", bag_end()),
    ];
    let hand = handed(given).unwrap();
    assert!(hand.memory.is_some());
    assert_eq!(hand.bags[0].0, BagNumber(12));
    assert_eq!(hand.bags.len(), 1);
    let names: Vec<_> = hand.sockets.iter().map(|socket| &socket.name[..]).collect();
    assert_eq!(names, ["reply", "echod-bag-x", "echod-bag-007"]);
}

#[test]
fn the_newest_memory_counts() {
    let newest = file();
    let inode = fstat(&newest).unwrap().st_ino;
    let hand = handed([("echod-memory", newest), ("echod-memory", file())]).unwrap();
    assert_eq!(fstat(hand.memory.unwrap()).unwrap().st_ino, inode);
    assert_eq!(hand.memories_dropped, 1);
}

#[test]
fn a_listener_with_the_name_of_something_stored_is_a_mistake() {
    for name in ["echod-memory", "echod-bag-1"] {
        let text = handed([(name, listener())]).unwrap_err();
        assert!(text.starts_with("inherited descriptor N is called"), "{text}");
    }
    assert!(handed([("echod-bag-1", file())]).is_err());
}

#[test]
fn a_file_is_not_served() {
    let text = handed([("echo.socket", file())]).unwrap_err();
    assert_eq!(text, "inherited descriptor N (\"echo.socket\") is not a socket");
}

#[test]
fn sockets_become_non_blocking_and_stay_out_of_children() {
    let fd = listener();
    fcntl_setfd(&fd, FdFlags::empty()).unwrap();
    let hand = handed([("reply", fd)]).unwrap();
    let fd = &hand.sockets[0].fd;
    assert!(fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC));
    assert!(rustix::fs::fcntl_getfl(fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
}

#[test]
fn a_closed_descriptor_is_named() {
    let highest = fcntl_dupfd_cloexec(File::open("/dev/null").unwrap(), 900).unwrap();
    let number = highest.as_raw_fd();
    drop(highest);
    let text = open(number, "rfc862").unwrap_err().to_string();
    assert_eq!(text, format!("inherited descriptor {number} (\"rfc862\") is closed"));
}

#[test]
fn the_environment_is_taken_once() {
    let environment = crate::systemd::fake::environment();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let number = fcntl_dupfd_cloexec(&ours, 600).unwrap().into_raw_fd().to_string();
    environment.set("LISTEN_FDS", "1");
    environment.set("LISTEN_FDS_FIRST_FD", &number);
    environment.set("LISTEN_FDNAMES", "line");
    let hand = inherit().unwrap();
    assert_eq!(hand.sockets[0].name, "line");
    assert_eq!(hand.sockets[0].fd.as_raw_fd().to_string(), number);
    assert!(inherit().unwrap().sockets.is_empty());
}
