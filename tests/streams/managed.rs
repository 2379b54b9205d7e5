//! What a manager hears.

use crate::support::daemon::Daemon;
use crate::support::manager::{Manager, PATIENCE};
use crate::support::peer::{ask, connect, echo, echo_all, half_close, rest, wait_for};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[test]
fn it_is_ready_when_every_socket_is_served() {
    let mut manager = Manager::new();
    let inherited = manager.listen_tcp("rfc862");
    let paths: Vec<_> = (0..5).map(|n| manager.place().join(format!("{n}.sock"))).collect();
    let listen = |path: &std::path::PathBuf| format!("--listen-stream=rfc862={}", path.display());
    let arguments: Vec<_> = paths.iter().map(listen).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| &argument[..]).collect();
    manager.start(&arguments, &[]);
    manager.wait_ready();
    for path in &paths {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }
    echo(&mut connect(inherited), b"hello");
    assert!(manager.terminate().success());
    // Its own are gone with it.
    assert!(paths.iter().all(|path| !path.exists()));
}

#[test]
fn each_inherited_listener_speaks_what_its_name_says() {
    let mut manager = Manager::new();
    let names = ["reply", "line", "rfc862", "echo.socket"];
    let addresses = names.map(|name| manager.listen_tcp(name));
    manager.start(&["--suffix=!", "--protocol=line"], &[]);
    manager.wait_ready();
    let answers = ["one\ntwo\n!", "one!\ntwo!\n", "one\ntwo\n", "one!\ntwo!\n"];
    for (address, answer) in addresses.into_iter().zip(answers) {
        let heard = ask(&mut connect(address), b"one\ntwo\n", answer.len());
        assert_eq!(String::from_utf8(heard).unwrap(), answer);
    }
}

#[test]
fn the_status_tells_what_is_going_on() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    manager.start(&["--connections-per-source-max=2"], &[]);
    manager.wait_status(|status| status == "0 conversations, 0 served, 0 refused, 0 B echoed");
    let mut peers: Vec<_> = (0..2).map(|_| connect(address)).collect();
    echo_all(&mut peers, &[7; 1024]);
    rest(&mut connect(address));
    manager.wait_status(|status| {
        status == "2 conversations, 2 served, 1 refused (1 source), 2.0 KiB echoed"
    });
    for stream in &mut peers {
        half_close(stream);
        rest(stream);
    }
    manager.wait_status(|status| {
        status == "0 conversations, 2 served, 1 refused (1 source), 2.0 KiB echoed"
    });
}

#[test]
fn the_status_is_told_once_a_second_at_most() {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("rfc862");
    let began = Instant::now();
    manager.start(&[], &[]);
    let mut stream = connect(address);
    for _ in 0..2_000 {
        echo(&mut stream, &[7; 1024]);
    }
    manager.wait_status(|status| status.ends_with("1.9 MiB echoed"));
    let told = manager.notifications();
    let told = told.iter().filter(|heard| heard.value("STATUS").is_some()).count();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(told <= seconds + 2, "{told} in {seconds} s");
}

/// How many signs of life the manager has heard.
fn signs(manager: &mut Manager) -> usize {
    let alive =
        |heard: &&_| crate::support::manager::Notification::value(heard, "WATCHDOG") == Some("1");
    manager.notifications().iter().filter(alive).count()
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
}

#[test]
fn it_shows_no_life_while_its_loop_does_not_turn() {
    const INTERVAL: Duration = Duration::from_millis(200);
    let mut manager = Manager::new();
    manager.watchdog(INTERVAL);
    manager.listen_tcp("rfc862");
    manager.start(&[], &[]);
    manager.wait_ready();
    let began = Instant::now();
    wait_for("signs of life", || (signs(&mut manager) >= 5).then_some(()));
    // Two in each interval, the first at once.
    assert!(began.elapsed() >= INTERVAL);
    manager.signal(Signal::STOP);
    wait_for("the stop", || is_stopped(manager.pid()).then_some(()));
    let before = signs(&mut manager);
    // Time for several, if there were any.
    std::thread::sleep(4 * INTERVAL);
    assert_eq!(signs(&mut manager), before);
    manager.signal(Signal::CONT);
    wait_for("a sign of life", || (signs(&mut manager) > before).then_some(()));
}

#[test]
fn it_says_that_it_stops_and_not_before() {
    let mut manager = Manager::new();
    manager.listen_tcp("rfc862");
    manager.start(&[], &[]);
    manager.wait_ready();
    let stopping = |manager: &mut Manager| {
        manager.notifications().iter().any(|heard| heard.value("STOPPING") == Some("1"))
    };
    assert!(!stopping(&mut manager));
    assert!(manager.terminate().success());
    assert!(stopping(&mut manager));
}

#[test]
fn without_a_manager_nothing_is_missing() {
    let daemon = Daemon::speaking("rfc862", &[]);
    echo(&mut connect(daemon.address()), b"hello");
    assert_eq!(daemon.kill(Signal::TERM).0.code(), Some(0));
}
