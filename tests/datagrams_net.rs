//! Datagrams in a network of the test's own: several addresses, forged sources,
//! broadcasts, routes that lead nowhere. It takes root.
//!
//! It is long because all of it takes place in the same made-up network.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]
#![allow(unsafe_code, reason = "only so a thread gets a network of its own, and bytes a label")]

mod support;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::time::Instant;
use support::manager::{Manager, PATIENCE};
use support::skip::skip;

/// A network with one interface and two addresses of each family. This thread
/// and the daemons it starts are in it. False where that is not allowed: the test
/// is skipped.
fn enter_network() -> bool {
    // SAFETY: a plain number; nothing but this thread is concerned.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        let reason = std::io::Error::last_os_error();
        skip(format_args!("a network of our own is not allowed: {reason}"));
        return false;
    }
    ip("link set lo up");
    link("echo0", "nobody0");
    for line in [
        "address add 192.0.2.1/24 brd 192.0.2.255 dev echo0",
        "address add 192.0.2.2/24 brd 192.0.2.255 dev echo0",
        "address add 2001:db8::1/64 dev echo0 nodad",
        "address add 2001:db8::2/64 dev echo0 nodad",
    ] {
        ip(line);
    }
    until("-6 route show table local", |routes| {
        ["local 2001:db8::1 ", "local 2001:db8::2 "].iter().all(|route| routes.contains(route))
    });
    true
}

/// An interface, and one at its other end where nobody is.
fn link(name: &str, other: &str) {
    ip(&format!("link add {name} type veth peer name {other}"));
    ip(&format!("link set {other} up"));
    ip(&format!("link set {name} up"));
    until(&format!("-o link show {name}"), |line| line.contains("state UP"));
}

/// The kernel does some of it in its own time.
fn until(line: &str, pleases: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = Command::new("ip").args(line.split(' ')).output().expect("iproute2 is there");
        let text = String::from_utf8_lossy(&output.stdout);
        if pleases(&text) {
            return;
        }
        assert!(Instant::now() < deadline, "ip {line}: {text}");
    }
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status().expect("iproute2 is there");
    assert!(status.success(), "ip {line}");
}

/// The source ports that are forged.
const FORGED: RangeInclusive<u16> = 40_000..=40_002;

/// A socket with a port of the kernel's choice that nobody forges.
fn bind_apart(own: IpAddr) -> UdpSocket {
    let mut taken = Vec::new();
    loop {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        if !FORGED.contains(&socket.local_addr().unwrap().port()) {
            return socket;
        }
        taken.push(socket);
    }
}

fn client(own: &str, server: (IpAddr, u16)) -> UdpSocket {
    let own: IpAddr = own.parse().unwrap();
    let socket = bind_apart(own);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket
}

fn expect(client: &UdpSocket, answer: &[u8]) {
    let mut buffer = [0; 64];
    let length = client.recv(&mut buffer).unwrap_or_else(|error| panic!("{client:?}: {error}"));
    assert_eq!(&buffer[..length], answer);
}

fn ask(client: &UdpSocket, message: &[u8]) {
    client.send(message).unwrap();
    expect(client, message);
}

/// What a daemon with this socket does for each of these client addresses, each
/// asking at the address beside it.
fn each_is_answered_by_the_address_it_asked(socket: UdpSocket, ways: &[(&str, &str)]) {
    let port = socket.local_addr().unwrap().port();
    let mut manager = Manager::new();
    manager.listen(socket, "rfc862");
    let clients: Vec<_> =
        ways.iter().map(|(own, asked)| client(own, (asked.parse().unwrap(), port))).collect();
    // These start the service: they are queued before it could set an option.
    for client in &clients {
        client.send(b"first").unwrap();
    }
    manager.start(&["--log-level=debug"], &[]);
    for client in &clients {
        expect(client, b"first");
        ask(client, b"second");
    }
}

const V4: [(&str, &str); 3] =
    [("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1"), ("127.0.0.1", "127.0.0.9")];
const V6: [(&str, &str); 3] =
    [("2001:db8::1", "2001:db8::2"), ("2001:db8::2", "2001:db8::1"), ("::1", "2001:db8::1")];

#[test]
fn a_wildcard_ipv4_socket_answers_from_the_address_that_was_asked() {
    if enter_network() {
        each_is_answered_by_the_address_it_asked(UdpSocket::bind("0.0.0.0:0").unwrap(), &V4);
    }
}

fn bind_v6(only: bool) -> UdpSocket {
    let socket = rustix::net::socket(AddressFamily::INET6, SocketType::DGRAM, None).unwrap();
    sockopt::set_ipv6_v6only(&socket, only).unwrap();
    rustix::net::bind(&socket, &"[::]:0".parse::<SocketAddr>().unwrap()).unwrap();
    socket.into()
}

#[test]
fn a_wildcard_ipv6_socket_answers_from_the_address_that_was_asked() {
    if enter_network() {
        each_is_answered_by_the_address_it_asked(bind_v6(true), &V6);
    }
}

#[test]
fn a_dual_stack_socket_answers_from_the_address_that_was_asked() {
    if enter_network() {
        each_is_answered_by_the_address_it_asked(bind_v6(false), &[V4, V6].concat());
    }
}

#[test]
fn an_address_of_one_link_is_answered_on_that_link() {
    if !enter_network() {
        return;
    }
    link("echo1", "nobody1");
    ip("address add fe80::7/64 dev echo1 nodad");
    ip("address add fe80::8/64 dev echo1 nodad");
    until("-6 route show table local dev echo1", |routes| {
        ["local fe80::7 ", "local fe80::8 "].iter().all(|route| routes.contains(route))
    });
    let index = std::fs::read_to_string("/proc/thread-self/net/igmp6").unwrap();
    let index = index.lines().find(|line| line.contains("echo1")).unwrap();
    let index: u32 = index.split_whitespace().next().unwrap().parse().unwrap();
    let server = bind_v6(false);
    let port = server.local_addr().unwrap().port();
    let mut manager = Manager::new();
    manager.listen(server, "rfc862");
    manager.start(&[], &[]);
    let link = |address: &str, port| {
        SocketAddr::from(std::net::SocketAddrV6::new(address.parse().unwrap(), port, 0, index))
    };
    let client = UdpSocket::bind(link("fe80::7", 0)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(link("fe80::8", port)).unwrap();
    ask(&client, b"link");
}

/// Sends datagrams from anybody.
struct Forger(OwnedFd);

impl Forger {
    fn new() -> Self {
        let flags = SocketFlags::CLOEXEC;
        Self(
            rustix::net::socket_with(
                AddressFamily::INET,
                SocketType::RAW,
                flags,
                Some(ipproto::RAW),
            )
            .unwrap(),
        )
    }

    fn send(&self, source: SocketAddrV4, target: SocketAddrV4, message: &[u8]) {
        let udp = u16::try_from(8 + message.len()).unwrap();
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend(source.ip().octets());
        packet.extend(target.ip().octets());
        for field in [source.port(), target.port(), udp, 0] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(message);
        rustix::net::sendto(&self.0, &packet, SendFlags::empty(), &SocketAddr::from(target))
            .unwrap();
    }
}

fn serve(name: &str, port: u16, arguments: &[&str]) -> (Manager, SocketAddrV4) {
    let any = Ipv4Addr::UNSPECIFIED;
    let socket = match port {
        0 => bind_apart(any.into()),
        port => UdpSocket::bind((any, port)).unwrap(),
    };
    let address = SocketAddrV4::new(
        Ipv4Addr::new(192, 0, 2, 1),
        port.max(socket.local_addr().unwrap().port()),
    );
    let mut manager = Manager::new();
    manager.listen(socket, name);
    manager.start(arguments, &[]);
    manager.wait_ready();
    (manager, address)
}

fn from(address: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.into(), port)
}

#[test]
fn nobody_can_begin_a_loop_or_a_flood_through_us() {
    if !enter_network() {
        return;
    }
    let (manager, server) = serve("rfc862", 0, &[]);
    let (forger, own) = (Forger::new(), server.port());
    for port in [0, 7, 19, 53, 1023, 2049] {
        forger.send(from([192, 0, 2, 2], port), server, b"loop");
    }
    forger.send(server, server, b"loop");
    forger.send(from([192, 0, 2, 9], own), server, b"loop");
    for source in [[255, 255, 255, 255], [224, 0, 0, 1], [240, 0, 0, 1]] {
        forger.send(from(source, 40_000), server, b"flood");
    }
    let friend = client("192.0.2.2", (IpAddr::V4(*server.ip()), own));
    let many = UdpSocket::bind("192.0.2.2:0").unwrap();
    many.set_broadcast(true).unwrap();
    many.send_to(b"flood", ("192.0.2.255", own)).unwrap();
    many.send_to(b"flood", ("255.255.255.255", own)).unwrap();
    let member = UdpSocket::bind("0.0.0.0:0").unwrap();
    let group = Ipv4Addr::new(224, 0, 0, 251);
    member.join_multicast_v4(&group, &Ipv4Addr::new(192, 0, 2, 1)).unwrap();
    many.send_to(b"flood", (group, own)).unwrap();
    ask(&friend, b"still alive");
    forger.send(from([192, 0, 2, 2], 40_000), server, b"answered");
    let status = manager
        .wait_status(|status| status.contains("2 datagrams") && status.contains("14 refused"));
    assert!(
        status.contains("(6 source-port, 2 own-address, 3 source-broadcast, 3 sent-to-broadcast)"),
        "{status}"
    );
}

#[test]
fn a_broadcast_gets_no_answer_from_a_dual_stack_socket_nor_one_bound_to_it() {
    if !enter_network() {
        return;
    }
    let mut manager = Manager::new();
    let bound = UdpSocket::bind("192.0.2.255:0").unwrap();
    let ports = [bind_v6(false), bound].map(|socket| {
        let port = socket.local_addr().unwrap().port();
        manager.listen(socket, "rfc862");
        port
    });
    manager.start(&[], &[]);
    manager.wait_ready();
    let many = UdpSocket::bind("192.0.2.2:0").unwrap();
    many.set_broadcast(true).unwrap();
    for port in ports {
        many.send_to(b"flood", ("192.0.2.255", port)).unwrap();
        many.send_to(b"flood", ("192.0.2.255", port)).unwrap();
    }
    manager.wait_status(|status| status.contains("4 refused (4 sent-to-broadcast)"));
}

#[test]
fn two_echods_pointed_at_each_other_are_held_down() {
    if !enter_network() {
        return;
    }
    let rate = "--datagram-rate=50/s:100";
    let (one, first) = serve("rfc862", 0, &[rate]);
    let (two, second) = serve("rfc862", 0, &[rate]);
    let forger = Forger::new();
    forger.send(second, first, b"loop");
    let held = |status: &str| status.contains("1 refused (1 rate)").then_some(());
    // One datagram goes to and fro until one of them has had enough.
    one.wait("a refusal of either", |known| {
        let mut said = known.present().filter_map(|heard| heard.value("STATUS"));
        said.find_map(held).or_else(|| {
            two.wait("", |known| {
                let mut said = known.present().filter_map(|heard| heard.value("STATUS"));
                Some(said.find_map(held))
            })
        })
    });
    ask(&client("192.0.2.2", (IpAddr::V4(*first.ip()), first.port())), b"free");
}

#[test]
fn two_echods_are_silent_where_a_guarded_port_is_involved() {
    if !enter_network() {
        return;
    }
    let (high, first) = serve("rfc862", 0, &[]);
    let (low, second) = serve("rfc862", 7, &[]);
    let forger = Forger::new();
    forger.send(second, first, b"loop");
    high.wait_status(|status| status.contains("1 refused (1 source-port)"));
    forger.send(first, second, b"loop");
    // The answer of the one is the other's second refusal, and the end.
    high.wait_status(|status| status.contains("2 refused (2 source-port)"));
    low.wait_status(|status| status.contains("1 datagram, 0 refused"));
}

#[test]
fn a_hundred_thousand_sources_leave_an_innocent_one_answered() {
    if !enter_network() {
        return;
    }
    // Answers to strangers have somewhere to get lost.
    ip("route add 10.0.0.0/8 dev lo");
    let (manager, server) = serve("rfc862", 0, &[]);
    let (forger, innocent) =
        (Forger::new(), client("192.0.2.2", (IpAddr::V4(*server.ip()), server.port())));
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", manager.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    ask(&innocent, b"before");
    let before = resident();
    for number in 0..100_000_u32 {
        let source = Ipv4Addr::from_bits(0x0a00_0000 + number);
        forger.send(SocketAddrV4::new(source, 40_000), server, b"x");
        // As many as the socket's queue holds at once.
        if number % 100 == 0 {
            ask(&innocent, b"during");
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown <= 5 << 10, "{grown} KiB for the table of 4 MiB");
    manager.wait_status(|status| {
        let count = status.split(", ").find_map(|part| part.strip_suffix(" datagrams"));
        count.is_some_and(|count| count.parse::<u32>().unwrap() == 101_001)
    });
}

#[test]
fn errors_on_one_datagram_never_end_the_loop() {
    if !enter_network() {
        return;
    }
    ip("route add blackhole 198.51.100.0/26");
    ip("route add unreachable 198.51.100.64/26");
    ip("route add prohibit 198.51.100.128/26");
    let (manager, server) = serve("rfc862", 0, &[]);
    let (forger, friend) =
        (Forger::new(), client("192.0.2.2", (IpAddr::V4(*server.ip()), server.port())));
    // EINVAL, EHOSTUNREACH, EACCES, and ENETUNREACH.
    for last in [1, 65, 129, 193] {
        forger.send(from([198, 51, 100, last], 40_000), server, b"lost");
    }
    ask(&friend, b"still alive");
    manager.wait_status(|status| status.contains("4 refused (4 unsendable)"));
}

#[test]
fn a_firewall_that_forbids_an_answer_ends_nothing() {
    if !enter_network() {
        return;
    }
    for rule in [
        "add table inet filter",
        "add chain inet filter output { type filter hook output priority 0 ; }",
        "add rule inet filter output udp dport 40001 drop",
    ] {
        match Command::new("nft").args(rule.split(' ')).status() {
            Ok(status) => assert!(status.success(), "nft {rule}"),
            Err(error) => {
                return skip(format_args!("nft: {error}"));
            }
        }
    }
    let (manager, server) = serve("rfc862", 0, &[]);
    let friend = client("192.0.2.2", (IpAddr::V4(*server.ip()), server.port()));
    // EPERM, among answers that may leave.
    for port in [40_000, 40_001, 40_002, 40_001] {
        Forger::new().send(from([192, 0, 2, 2], port), server, b"forbidden");
    }
    ask(&friend, b"still alive");
    manager.wait_status(|status| status.contains("3 datagrams, 2 refused (2 unsendable)"));
}

/// The traffic class that a datagram arrived with.
fn class_of_next(socket: &UdpSocket) -> u8 {
    let (mut bytes, mut control) = ([0_u8; 64], [0_u64; 16]);
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zero is a header without anything.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    // SAFETY: everything the header points to outlives the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
    assert!(length >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel wrote one control message, whose first byte is asked for.
    unsafe { *libc::CMSG_DATA(libc::CMSG_FIRSTHDR(&raw const header)) }
}

#[test]
fn the_class_of_service_is_reflected_without_its_ecn() {
    let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
    let v6 = UdpSocket::bind("[::1]:0").unwrap();
    let mut manager = Manager::new();
    let servers = [v4, v6].map(|socket| {
        let address = socket.local_addr().unwrap();
        manager.listen(socket, "rfc862");
        address
    });
    manager.start(&[], &[]);
    for server in servers {
        let client = UdpSocket::bind((server.ip(), 0)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect(server).unwrap();
        if server.is_ipv4() {
            sockopt::set_ip_tos(&client, 0xb9).unwrap();
            sockopt::set_ip_recvtos(&client, true).unwrap();
        } else {
            sockopt::set_ipv6_tclass(&client, 0xb9).unwrap();
            sockopt::set_ipv6_recvtclass(&client, true).unwrap();
        }
        // After the first good one, a socket of one address says less of each.
        for number in 1..=3 {
            client.send(b"expedited").unwrap();
            assert_eq!(class_of_next(&client), 0xb8, "{server}, datagram {number}");
        }
    }
}
