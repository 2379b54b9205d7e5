//! Peers that the daemon's process namespace does not contain: a container with its
//! socket outside. Their process has the number 0 there.

mod support;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, sockopt};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use support::daemon::Daemon;
use support::manager::PATIENCE;

/// A daemon in a namespace of its own.
fn inside(option: &str, path: &Path) -> Daemon {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg(env!("CARGO_BIN_EXE_echod")).arg(format!("{option}=rfc862={}", path.display()));
    Daemon::run(command, None)
}

#[test]
fn a_stranger_is_told_by_its_user() {
    let place = tempfile::tempdir().expect("there is a temporary directory");
    let path = place.path().join("socket");
    let daemon = inside("--listen-stream", &path);
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.write_all(b"hello").expect("it is open");
    stream.read_exact(&mut [0; 5]).expect("an answer");
    let who = format!("with pid 0 uid {} began", rustix::process::geteuid().as_raw());
    daemon.wait_line(|line| line.contains(&who));
}

#[test]
fn an_empty_packet_of_a_stranger_is_no_end() {
    let place = tempfile::tempdir().expect("there is a temporary directory");
    let path = place.path().join("socket");
    let _daemon = inside("--listen-sequential-packet", &path);
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None);
    let socket = socket.expect("there are descriptors");
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE)).expect("it can");
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).expect("it is short"))
        .expect("it listens");
    for message in [&b""[..], b"not over"] {
        rustix::net::send(&socket, message, SendFlags::NOSIGNAL).expect("it is open");
        let mut heard = [0xff; 16];
        let (length, _) =
            rustix::net::recv(&socket, &mut heard[..], RecvFlags::empty()).expect("an answer");
        assert_eq!(heard[..length], *message);
    }
}
