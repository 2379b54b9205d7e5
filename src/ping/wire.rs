//! The socket of a connection, which never blocks.

use crate::socket::{self, Watch};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::net::UdpSocket;

/// The socket of a connection.
#[derive(Debug)]
pub(super) enum Wire {
    /// A stream, over TCP or Unix.
    Stream {
        /// It knows when there is something to do.
        watch: Watch,
        /// The socket itself, closed after that.
        fd: Arc<OwnedFd>,
    },
    /// Datagrams over UDP.
    Datagrams(UdpSocket),
}

impl Wire {
    /// A connected stream.
    pub(super) fn stream(fd: OwnedFd) -> io::Result<Self> {
        let fd = Arc::new(fd);
        Ok(Self::Stream { watch: Watch::connection(Arc::clone(&fd))?, fd })
    }

    /// Whether bytes have an order and messages no bounds.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }

    /// Waits until there is something to take, or room if `wants_room`.
    pub(super) async fn ready(&self, wants_room: Room) {
        match (self, wants_room) {
            (Self::Stream { watch, .. }, Room::Unneeded) => watch.readable().await,
            (Self::Stream { watch, .. }, Room::Needed) => tokio::select! {
                () = watch.readable() => {}
                () = watch.writable() => {}
            },
            // Errors are those of the runtime, which ends.
            (Self::Datagrams(socket), Room::Unneeded) => drop(socket.readable().await),
            (Self::Datagrams(socket), Room::Needed) => tokio::select! {
                _ = socket.readable() => {}
                _ = socket.writable() => {}
            },
        }
    }

    /// Takes what has come; of a stream, 0 is its end.
    pub(super) fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stream { watch, .. } => watch.take(buffer),
            Self::Datagrams(socket) => socket.try_recv(buffer),
        }
    }

    /// Gives as many bytes as there is room for; a datagram whole.
    pub(super) fn give(&self, piece: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream { watch, .. } => watch.give(&[IoSlice::new(piece)]),
            Self::Datagrams(socket) => match socket.try_send(piece) {
                // That is what became of an earlier one; this one has not left.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    socket.try_send(piece)
                }
                result => result,
            },
        }
    }

    /// Lets an end of file follow what was given.
    pub(super) fn shut_down(&self) {
        if let Self::Stream { fd, .. } = self {
            socket::shut_down(fd.as_fd());
        }
    }
}

/// Whether there is something to give that there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is.
    Needed,
    /// There is not.
    Unneeded,
}
