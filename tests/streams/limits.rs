//! What a stranger can grow, one below, at and one above.

use crate::support::alone::alone;
use crate::support::daemon::Daemon;
use crate::support::manager::Manager;
use crate::support::peer::{
    End, connect, connect_from, cpu_time, echo, echo_all, half_close, hears, rest, unread_by_daemon,
};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// How many conversations have begun, as far as the records have come.
fn begun(daemon: &Daemon) -> usize {
    daemon.lines().iter().filter(|line| line.ends_with(" began")).count()
}

/// A peer that has said something and is not served yet.
fn waiting(daemon: &Daemon) -> TcpStream {
    let mut stream = connect(daemon.address());
    stream.write_all(b"hello").unwrap();
    stream
}

/// A peer that waits no longer.
fn is_served(stream: &mut TcpStream) {
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

#[test]
fn at_the_limit_the_queue_waits_and_the_next_is_served_when_one_leaves() {
    let daemon = Daemon::speaking("rfc862", &["--connections-max=3"]);
    let mut served: Vec<_> = (0..3).map(|_| connect(daemon.address())).collect();
    echo_all(&mut served, b"hello");
    let mut queue: Vec<_> = (0..3).map(|_| waiting(&daemon)).collect();
    // What had been there before this echo would have been accepted by now.
    echo_all(&mut served, b"still here");
    assert!(queue.iter().all(|stream| unread_by_daemon(stream) == Some(5)));
    for stream in &mut queue {
        drop(served.pop());
        is_served(stream);
    }
    daemon.wait_endings("end-of-file", 3);
}

#[test]
fn all_listeners_share_one_limit() {
    let listen = ["--listen-stream=127.0.0.1:0", "--listen-stream=127.0.0.1:0"];
    let options = ["--protocol=rfc862", "--connections-max=1"];
    let daemon = Daemon::start(&[listen, options].concat());
    let mut served = connect(daemon.addresses()[0]);
    echo(&mut served, b"hello");
    let mut next = connect(daemon.addresses()[1]);
    next.write_all(b"hello").unwrap();
    echo(&mut served, b"still alone");
    echo(&mut served, b"and still");
    assert_eq!(unread_by_daemon(&next), Some(5));
    drop(served);
    is_served(&mut next);
}

#[test]
fn one_source_gets_its_share_and_the_next_is_refused_with_a_clean_end() {
    let daemon = Daemon::speaking("rfc862", &["--connections-per-source-max=2"]);
    let mut served: Vec<_> = (0..2).map(|_| connect(daemon.address())).collect();
    echo_all(&mut served, b"hello");
    let mut refused = connect(daemon.address());
    assert_eq!(rest(&mut refused), (Vec::new(), End::Eof));
    daemon.wait_line(|line| line.ends_with("refused (source)"));
    let mut other = connect_from(Ipv4Addr::new(127, 0, 0, 2), daemon.address());
    echo(&mut other, b"from elsewhere");
    drop(served.pop());
    daemon.wait_endings("end-of-file", 1);
    let mut next = connect(daemon.address());
    echo(&mut next, b"hello");
}

#[test]
fn who_is_refused_sees_no_reset_although_it_has_spoken() {
    let daemon = Daemon::speaking("rfc862", &["--connections-per-source-max=1"]);
    let mut served = connect(daemon.address());
    echo(&mut served, b"hello");
    daemon.signal(Signal::STOP);
    let mut refused = waiting(&daemon);
    daemon.signal(Signal::CONT);
    assert_eq!(rest(&mut refused), (Vec::new(), End::Eof));
    // One thread serves: by now the connection that was refused is closed.
    echo(&mut served, b"hello again");
    assert!(refused.take_error().expect("it is a socket").is_none(), "a reset came behind");
}

#[test]
fn a_64_is_one_source_however_many_addresses_it_has() {
    alone("limits::a_64_is_one_source_however_many_addresses_it_has", || {
        let own = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3", "2001:db8:0:2::1"];
        for address in own {
            let line = format!("address add {address}/128 dev lo nodad");
            let status = Command::new("ip").args(line.split(' ')).status().unwrap();
            assert!(status.success(), "ip {line}");
        }
        let arguments = ["--listen-stream=rfc862=[::1]:0", "--connections-per-source-max=2"];
        let daemon = Daemon::start(&arguments);
        let [below, at, above, elsewhere] = own.map(|own| own.parse::<Ipv6Addr>().unwrap());
        let mut served = vec![connect_from(below, daemon.address())];
        echo_all(&mut served, b"one below");
        served.push(connect_from(at, daemon.address()));
        echo_all(&mut served, b"at the limit");
        let mut refused = connect_from(above, daemon.address());
        assert_eq!(rest(&mut refused), (Vec::new(), End::Eof));
        daemon.wait_line(|line| line.ends_with("refused (source)"));
        echo(&mut connect_from(elsewhere, daemon.address()), b"from another network");
        drop(served.pop());
        daemon.wait_endings("end-of-file", 1);
        echo(&mut connect_from(above, daemon.address()), b"below again");
        echo_all(&mut served, b"still here");
    });
}

#[test]
fn each_refusal_is_counted_and_a_minute_has_one_record() {
    const REFUSED: usize = 50;
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    manager.start(&["--connections-per-source-max=1"], &[]);
    manager.wait_ready();
    let mut served = connect(address);
    echo(&mut served, b"hello");
    for _ in 0..REFUSED {
        assert_eq!(rest(&mut connect(address)), (Vec::new(), End::Eof));
    }
    let words = format!(", 1 served, {REFUSED} refused ({REFUSED} source), ");
    manager.wait_status(|status| status.contains(&words));
    let told = |manager: &Manager| {
        let lines = manager.stderr().into_iter().filter(|line| line.contains("refused"));
        lines.collect::<Vec<_>>()
    };
    let at_once = told(&manager);
    assert_eq!(at_once.len(), 1, "{at_once:?}");
    manager.terminate();
    // The rest, which would have waited for its minute.
    let in_all = told(&manager);
    println!("{in_all:?}");
    assert_eq!(in_all.len(), 2, "{in_all:?}");
    assert!(in_all[1].contains(&(REFUSED - 1).to_string()), "{in_all:?}");
}

/// The part of a second's time on a processor that a daemon takes, in percent.
fn load(daemon: &Daemon) -> u128 {
    let (began, before) = (Instant::now(), cpu_time(daemon.pid()));
    // The second is what is measured.
    std::thread::sleep(Duration::from_secs(1));
    let spent = cpu_time(daemon.pid()).checked_sub(before).unwrap();
    spent.as_micros() * 100 / began.elapsed().as_micros()
}

#[test]
fn with_few_descriptors_many_peers_wait_their_turn() {
    let daemon = Daemon::with_descriptors(32, "rfc862");
    assert!(daemon.lines()[0].contains(" instead of 15,000"), "{:?}", daemon.lines());
    let peers: Vec<_> = (0..100).map(|_| waiting(&daemon)).collect();
    let load = load(&daemon);
    println!("{} of 100 were served, with {load} % of a processor", begun(&daemon));
    assert!(load < 5);
    assert!(begun(&daemon) >= 5 && begun(&daemon) < 32);
    for mut stream in peers {
        is_served(&mut stream);
    }
    daemon.wait_endings("end-of-file", 100);
}

#[test]
fn out_of_descriptors_it_neither_spins_nor_ends_and_goes_on() {
    let daemon = Daemon::speaking("rfc862", &[]);
    let mut served: Vec<_> = (0..10).map(|_| connect(daemon.address())).collect();
    echo_all(&mut served, b"hello");
    // Those that it has are all below, so not one more.
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    daemon.limit_descriptors(open as u64);
    let mut queue: Vec<_> = (0..90).map(|_| waiting(&daemon)).collect();
    daemon.wait_line(|line| line.starts_with("echod: cannot accept now: "));
    let load = load(&daemon);
    println!("{load} % of a processor with 90 in the queue");
    assert!(load < 5);
    echo_all(&mut served, b"still here");
    for stream in &mut queue {
        assert!(!hears(stream, Duration::ZERO));
    }
    for mut stream in queue {
        drop(served.pop());
        is_served(&mut stream);
        served.push(stream);
    }
}

#[test]
fn who_says_nothing_for_too_long_is_ended_and_who_speaks_is_not() {
    let daemon = Daemon::speaking("rfc862", &["--idle-timeout=1s"]);
    let began = Instant::now();
    let mut idle = connect(daemon.address());
    let mut busy = connect(daemon.address());
    while !hears(&idle, Duration::from_millis(100)) {
        echo(&mut busy, b"hello");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(rest(&mut idle), (Vec::new(), End::Eof));
    drop(idle);
    daemon.wait_endings("idle", 1);
    echo(&mut busy, b"hello");
    half_close(&busy);
    assert_eq!(rest(&mut busy), (Vec::new(), End::Eof));
}

#[test]
fn a_life_has_an_end_although_there_is_always_more_to_read() {
    // A turn for each byte: what the kernel holds is enough for many seconds.
    let options = ["--message-max=1", "--suffix=", "--exit-word=", "--lifetime-max=500ms"];
    let daemon = Daemon::speaking("reply", &options);
    let stream = connect(daemon.address());
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flood = vec![7; 1 << 20];
            while writer.write_all(&flood).is_ok() {}
        });
        let mut buffer = vec![0; 1 << 20];
        while let Ok(1..) = reader.read(&mut buffer) {
            if began.elapsed() > Duration::from_secs(10) {
                daemon.signal(Signal::KILL);
            }
        }
    });
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_millis(500) && lasted < Duration::from_secs(10), "{lasted:?}");
    daemon.wait_endings("lifetime", 1);
}
