//! Accepting: one task for each listener.

use super::desk::{Desk, with};
use super::talk::Arrival;
use crate::echo::Protocol;
use crate::endpoint::Transport;
use crate::report;
use crate::socket::Watch;
use crate::socket::{self, Accepted};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A socket that connections are accepted from.
#[derive(Debug)]
pub struct Listener {
    /// The socket: non-blocking.
    pub socket: Arc<OwnedFd>,
    /// How its connections travel.
    pub transport: Transport,
    /// What they speak.
    pub protocol: Protocol,
    /// Whether their bytes are counted, so that they can outlive the process.
    pub counted: bool,
}

/// A connection that the manager accepted.
#[derive(Debug)]
pub struct Connection {
    /// The connection: non-blocking.
    pub stream: OwnedFd,
    /// How its bytes travel.
    pub transport: Transport,
    /// What it speaks.
    pub protocol: Protocol,
}

/// How long nothing is accepted after descriptors or memory ran out; a
/// conversation that ends makes it shorter.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(1);

/// Accepts for as long as the listener lives; returns what it died of.
pub async fn accept_all(listener: Listener) -> io::Error {
    let watch = match Watch::listener(Arc::clone(&listener.socket)) {
        Ok(watch) => watch,
        Err(error) => return error,
    };
    // Connections that were queued before the listener had its options.
    let mut unprepared = true;
    let mut pause = PAUSE_FIRST;
    loop {
        watch.readable().await;
        // Last, because another listener may take the place meanwhile.
        room().await;
        match next(&watch, &listener, unprepared) {
            Ok(()) => pause = PAUSE_FIRST,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => unprepared = false,
            Err(error) if socket::is_dead(&error) => return error,
            Err(error) => {
                report::cannot_accept(&error);
                let _ = timeout(pause, somebody_left()).await;
                pause = PAUSE_LAST.min(pause * 2);
            }
        }
    }
}

/// Accepts one connection and begins its conversation; no `await`, so a daemon
/// that leaves has done all of it or nothing.
fn next(watch: &Watch, listener: &Listener, unprepared: bool) -> io::Result<()> {
    let Accepted { stream, peer } = watch.accept()?;
    let transport = match listener.transport {
        // With a peer that does not speak Multipath TCP it is plain TCP.
        Transport::Mptcp => socket::transport(stream.as_fd()).unwrap_or(Transport::Mptcp),
        transport => transport,
    };
    // Whether that is inherited where messages are, depends on the kernel; urgent
    // data inline is not, from a listener that has no such option.
    if unprepared || transport == Transport::UnixSeqpacket || transport != listener.transport {
        // Fails only on a connection that has ended, which its first read tells.
        let _ = socket::prepare_stream(stream.as_fd(), transport);
    }
    let peer = match peer {
        crate::endpoint::Party::Unknown => socket::peer(stream.as_fd()),
        known => known,
    };
    let arrival =
        Arrival { peer, transport, protocol: listener.protocol, counted: listener.counted, stream };
    with(|desk| desk.begin(arrival)).map(|_| ())
}

/// Begins the conversation of a connection that the manager accepted. The
/// manager's store is for what its sockets outlive; this one ends with us.
pub fn begin(connection: Connection) -> io::Result<()> {
    let Connection { stream, transport, protocol } = connection;
    let peer = socket::peer(stream.as_fd());
    let arrival = Arrival { peer, transport, protocol, counted: false, stream };
    with(|desk| desk.begin(arrival)).map(|_| ())
}

/// Waits until there is no conversation any more.
pub async fn all_over() {
    while with(|desk| desk.conversations()) > 0 {
        somebody_left().await;
    }
}

impl Connection {
    /// As records and errors name it.
    pub fn name(&self) -> String {
        let peer = socket::peer(self.stream.as_fd());
        format!("{} with {peer} ({})", self.transport.name(), self.protocol)
    }
}

/// Waits until another conversation may begin.
async fn room() {
    while !with(|desk| desk.has_room()) {
        somebody_left().await;
    }
}

async fn somebody_left() {
    let signs = with(|desk| Arc::clone(&desk.signs));
    pin!(signs.room.notified()).await;
}

impl Desk {
    fn has_room(&self) -> bool {
        self.places.has_room() && self.has_free_record()
    }
}
