//! The other end of a conversation, and what can be seen of the daemon from
//! there: what it sends, how it ends, what it costs. Nothing waits for ever.

use super::notify::PATIENCE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How a conversation ended, as its peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Eof,
    Reset,
}

/// Lets the test have as many descriptors as it may: 1,024 are usual, and a crowd
/// wants more.
pub fn allow_many_descriptors() {
    let most = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit { current: most, maximum: most };
    setrlimit(Resource::Nofile, all).expect("up to the maximum all is allowed");
}

/// Connects. Whoever waits on it for too long fails.
pub fn connect(address: SocketAddr) -> TcpStream {
    prepare(TcpStream::connect(address).expect("the daemon listens"))
}

/// Connects from an address of our own.
pub fn connect_from(source: impl Into<IpAddr>, address: SocketAddr) -> TcpStream {
    let socket = socket_for(address);
    let source = SocketAddr::from((source.into(), 0));
    rustix::net::bind(&socket, &source).expect("it is an address of ours");
    rustix::net::connect(&socket, &address).expect("the daemon listens");
    prepare(socket.into())
}

/// Connects with little room for what is not read.
pub fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = socket_for(address);
    sockopt::set_socket_recv_buffer_size(&socket, 4096).expect("it is a socket");
    rustix::net::connect(&socket, &address).expect("the daemon listens");
    prepare(socket.into())
}

fn socket_for(address: SocketAddr) -> OwnedFd {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    rustix::net::socket(family, SocketType::STREAM, None).expect("there are sockets")
}

fn prepare(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("it is a socket");
    stream
}

/// Says something and hears so many bytes.
pub fn ask(stream: &mut TcpStream, said: &[u8], length: usize) -> Vec<u8> {
    stream.write_all(said).expect("the daemon takes it");
    let mut heard = vec![0; length];
    stream.read_exact(&mut heard).expect("the daemon answers");
    heard
}

/// Has something echoed by `rfc862`.
pub fn echo(stream: &mut TcpStream, said: &[u8]) {
    assert!(ask(stream, said, said.len()) == said, "an echo is not what was said");
}

/// Has something echoed by `rfc862` in each conversation.
pub fn echo_all(streams: &mut [TcpStream], said: &[u8]) {
    for stream in streams {
        echo(stream, said);
    }
}

/// Ends our side.
pub fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).expect("it is connected");
}

/// Closes with a reset.
pub fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("it is a socket");
}

/// Hears everything that still comes, and how it ends.
pub fn rest(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => (heard, End::Eof),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (heard, End::Reset),
        Err(error) => panic!("neither an end of file nor a reset: {error}"),
    }
}

/// Says as much as goes until nothing has gone for a moment: the daemon owes an
/// answer then, and has stopped reading. How much went.
pub fn stuff(stream: &mut TcpStream, said: &[u8]) -> usize {
    stream.set_nonblocking(true).expect("it is a socket");
    let mut gone = 0;
    while gone < said.len() {
        match stream.write(&said[gone..]) {
            Ok(n) => gone += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !is_ready(&*stream, PollFlags::OUT, Duration::from_millis(300)) {
                    break;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).expect("it is a socket");
    gone
}

/// Whether there is something to read, or an end, within `patience`.
pub fn hears(stream: &TcpStream, patience: Duration) -> bool {
    is_ready(stream, PollFlags::IN, patience)
}

fn is_ready(fd: impl AsFd, flags: PollFlags, patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).expect("it is short");
    let mut asked = [PollFd::new(&fd, flags)];
    poll(&mut asked, Some(&patience)).expect("it is open") > 0
}

/// Looks again and again until `look` finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Nobody tells when what is looked for here has come.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Time on a processor that a process has had.
pub fn cpu_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs");
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first number is the time on a processor"))
}

/// Memory of a process, in bytes: its heap and stacks, and its part of what it
/// shares; not of the program's file, of which it has a larger part whenever another
/// process that runs it ends.
pub fn memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number")
    };
    (kibibytes("Pss_Anon:") + kibibytes("Pss_Shmem:")) * 1024
}

/// What a process has open, without the numbers of inodes.
pub fn descriptors(pid: u32) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").flatten();
    let links = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    let kind =
        |link: std::path::PathBuf| link.to_string_lossy().split('[').next().map(str::to_owned);
    let mut kinds: Vec<_> = links.filter_map(kind).collect();
    kinds.sort();
    kinds
}

/// How many bytes of the peer's the daemon has not read yet.
pub fn unread_by_daemon(stream: &TcpStream) -> Option<u64> {
    let line = at_daemon(stream)?;
    let queues = line.split_whitespace().nth(4)?;
    u64::from_str_radix(queues.split_once(':')?.1, 16).ok()
}

/// The state of the daemon's end of a connection, as TCP numbers it.
pub fn state_at_daemon(stream: &TcpStream) -> Option<u8> {
    u8::from_str_radix(at_daemon(stream)?.split_whitespace().nth(3)?, 16).ok()
}

/// The kernel's line about the daemon's end of a connection.
fn at_daemon(stream: &TcpStream) -> Option<String> {
    let written = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => {
            format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port())
        }
        SocketAddr::V6(_) => panic!("only IPv4 is asked for"),
    };
    let (ours, theirs) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    let pair = format!("{} {}", written(theirs), written(ours));
    let text = std::fs::read_to_string("/proc/net/tcp").expect("there is TCP");
    text.lines().find(|line| line.contains(&pair)).map(str::to_owned)
}
