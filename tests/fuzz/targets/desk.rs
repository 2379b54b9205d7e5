//! A desk that is opened on what a predecessor left, and the peers that listen.

use echod::config::Config;
use echod::conversation::Phase;
use echod::keep::Memory;
use echod::serve::{self, Opening};
use echod::systemd::BagNumber;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever talks to the daemon.
pub struct Peer {
    pub stream: UnixStream,
    /// What it says to the successor.
    pub says: Vec<u8>,
    /// What the predecessor gave.
    pub had: Vec<u8>,
    pub phase: Phase,
}

/// What a peer hears from the successor: then an end of file. None is a reset.
pub type Heard = Option<Vec<u8>>;

/// Opens what stays open in a process that has had a runtime.
pub fn prepare() {
    static FIRST: LazyLock<()> = LazyLock::new(|| drop(runtime()));
    LazyLock::force(&FIRST);
}

/// Serves until each has heard what it should, and an end.
pub fn is_heard(
    memory: Memory,
    bag: OwnedFd,
    config: &Config,
    peers: Vec<Peer>,
    expected: &[Heard],
) {
    let runtime = runtime();
    runtime.block_on(async {
        let bags = vec![(BagNumber(1), bag)];
        let opened = serve::open_desk(Opening { memory, store: None, bags }, config);
        if let Some(suspect) = opened.suspect {
            serve::face(suspect);
        }
        for (peer, expected) in peers.into_iter().zip(expected) {
            peer.hears(expected).await;
        }
    });
    drop(runtime);
    serve::close_desk();
}

impl Peer {
    async fn hears(mut self, expected: &Heard) {
        if self.phase == Phase::Open {
            // It may have been reset, or have heard the end.
            let _ = self.stream.write_all(&self.says);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        self.stream.set_nonblocking(true).expect("it is a socket");
        let began = Instant::now();
        let (mut heard, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let end = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n) => heard.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(began.elapsed() < PATIENCE, "an end is waited for");
                    tokio::task::yield_now().await;
                }
                Err(error) => break Err(error),
            }
        };
        if self.phase == Phase::Closed {
            return;
        }
        let rest = expected.as_deref().unwrap_or_default();
        assert_eq!(heard, [&self.had[..], rest].concat(), "{expected:?}");
        assert!(expected.is_none() || end.is_ok(), "{end:?}");
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().enable_time().build().expect("there are descriptors")
}
