//! Peers that reset, vanish, flood, or end in the middle of something.

use crate::support::daemon::Daemon;
use crate::support::peer::{End, ask, connect, echo, half_close, reset, rest};
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

#[test]
fn who_resets_or_vanishes_or_says_nothing_disturbs_nobody() {
    let daemon = Daemon::speaking("rfc862", &[]);
    let mut other = connect(daemon.address());
    let mut mute = Vec::new();
    for round in 0..100 {
        let mut stream = connect(daemon.address());
        match round % 4 {
            0 => reset(stream),
            1 => drop(stream),
            2 => {
                stream.write_all(&[7; 5000]).unwrap();
                reset(stream);
            }
            _ => mute.push(stream),
        }
        echo(&mut other, b"hello");
    }
    half_close(&other);
    assert_eq!(rest(&mut other), (Vec::new(), End::Eof));
    daemon.wait_endings("end-of-file", 26);
    for stream in &mut mute {
        echo(stream, b"now I do");
    }
}

#[test]
fn a_flood_delays_nobody() {
    let daemon = Daemon::speaking("rfc862", &[]);
    let stream = connect(daemon.address());
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
    let mut other = connect(daemon.address());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flood = vec![7; 1 << 20];
            while writer.write_all(&flood).is_ok() {}
        });
        let swallowed = scope.spawn(|| {
            let (mut buffer, mut swallowed) = (vec![0; 1 << 20], 0);
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                swallowed += n;
            }
            swallowed
        });
        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let asked = Instant::now();
            echo(&mut other, b"hello");
            slowest = slowest.max(asked.elapsed());
        }
        // Ends the flood.
        daemon.signal(rustix::process::Signal::KILL);
        let swallowed = swallowed.join().unwrap();
        println!("slowest of 100 echoes: {slowest:?}, with {swallowed} bytes of flood");
        assert!(slowest < Duration::from_secs(2));
    });
}

#[test]
fn the_exit_word_closes_only_its_own_conversation_with_an_end_of_file() {
    let daemon = Daemon::speaking("reply", &[]);
    let mut other = connect(daemon.address());
    assert_eq!(ask(&mut other, b"before", 13), "before-回传".as_bytes());
    let mut stream = connect(daemon.address());
    stream.write_all(b"exit").unwrap();
    assert_eq!(rest(&mut stream), (Vec::new(), End::Eof));
    assert_eq!(ask(&mut other, b"after", 12), "after-回传".as_bytes());
    drop(stream);
    daemon.wait_endings("exit-word", 1);
}

#[test]
fn what_is_said_after_the_exit_word_does_not_destroy_the_last_answer() {
    let daemon = Daemon::speaking("line", &["--suffix=!"]);
    let mut stream = connect(daemon.address());
    let mut said = vec![b'x'; 30_000];
    said.extend_from_slice(b"\nexit\n");
    said.extend_from_slice(&vec![b'y'; 30_000]);
    stream.write_all(&said).unwrap();
    // The daemon has ended its side by now, and more still comes.
    while let Err(error) = stream.peek(&mut [0; 1]) {
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
    let _ = stream.write_all(&vec![b'z'; 20_000]);
    let (heard, end) = rest(&mut stream);
    assert_eq!((heard.len(), end), (30_002, End::Eof));
    assert!(heard.ends_with(b"x!\n"));
    drop(stream);
    daemon.wait_endings("exit-word", 1);
}

#[test]
fn who_talks_on_for_ever_after_the_exit_word_is_cut_off() {
    let daemon = Daemon::speaking("reply", &[]);
    let mut stream = connect(daemon.address());
    stream.write_all(b"exit").unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    let began = Instant::now();
    while stream.write_all(&[7; 4096]).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "it still listens");
    }
    daemon.wait_endings("exit-word", 1);
}

#[test]
fn a_half_close_in_mid_answer_still_gets_all_of_it() {
    let daemon = Daemon::speaking("rfc862", &[]);
    let mut stream = connect(daemon.address());
    let said: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    stream.write_all(&said).unwrap();
    half_close(&stream);
    let (heard, end) = rest(&mut stream);
    assert!(heard == said, "{} bytes came back", heard.len());
    assert_eq!(end, End::Eof);
}
