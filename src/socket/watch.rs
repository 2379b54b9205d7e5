//! Waiting for a socket, and using it when it is ready.

use super::packet::{Packet, take_packet};
use super::{Accepted, Meter, accept, give, give_pieces, take};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket whose readiness is watched. It shares the descriptor; drop it before
/// the last owner closes that one, or a copy elsewhere would keep the kernel
/// reporting what nobody asks for.
#[derive(Debug)]
pub struct Watch {
    readiness: AsyncFd<Share>,
}

/// A share of a descriptor, and its number beside it: to look that up where all
/// share it costs more than asking the kernel whether there is anything to read.
#[derive(Debug)]
struct Share {
    number: RawFd,
    _owner: Arc<OwnedFd>,
}

impl AsRawFd for Share {
    fn as_raw_fd(&self) -> RawFd {
        self.number
    }
}

impl AsFd for Share {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the owner beside it holds this descriptor open.
        unsafe { BorrowedFd::borrow_raw(self.number) }
    }
}

impl Watch {
    /// Watches a connection, for input, room and urgent data. Fails when the
    /// kernel has no memory for another registration.
    pub fn connection(stream: Arc<OwnedFd>) -> io::Result<Self> {
        Self::new(stream, Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY)
    }

    /// Watches a listener. Fails when the kernel has no memory for another
    /// registration.
    pub fn listener(listener: Arc<OwnedFd>) -> io::Result<Self> {
        Self::new(listener, Interest::READABLE)
    }

    fn new(socket: Arc<OwnedFd>, interest: Interest) -> io::Result<Self> {
        let share = Share { number: socket.as_raw_fd(), _owner: socket };
        // SAFETY: the watch holds the descriptor open as long as it is
        // registered, and an OwnedFd is always the same descriptor.
        let readiness = unsafe { AsyncFd::register_with_interest(share, interest) }?;
        Ok(Self { readiness })
    }

    /// Waits for input, a connection, the end of file, or an error: the next
    /// call tells which.
    pub async fn readable(&self) {
        poll_fn(|context| self.poll_readable(context)).await;
    }

    /// As [`Watch::readable`], for a future that must stay small.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error means that the runtime ends, and with it whoever asks.
        self.readiness.poll_read_ready(context).map(|_| ())
    }

    /// Waits for room, or an error: the next call tells which.
    pub async fn writable(&self) {
        poll_fn(|context| self.poll_writable(context)).await;
    }

    /// As [`Watch::writable`], for a future that must stay small.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.readiness.poll_write_ready(context).map(|_| ())
    }

    /// Takes the next connection; see [`accept`].
    pub fn accept(&self) -> io::Result<Accepted> {
        self.readiness.try_io(Interest::READABLE, |listener| accept(listener.as_fd()))
    }

    /// Takes datagrams, at most `most`: `take` says how many there were. Fewer
    /// have emptied the socket.
    pub fn take_many(
        &self,
        most: usize,
        take: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut taken = None;
        let result = self.readiness.try_io(Interest::READABLE, |socket| {
            let n = take(socket.as_fd())?;
            taken = Some(n);
            if n == most { Ok(n) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        taken.map_or(result, Ok)
    }

    /// The socket that is watched.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.readiness.get_ref().as_fd()
    }

    /// Takes input; see [`take`]. A read that did not fill the buffer has emptied
    /// the socket, and saying so saves the call that would only find it empty:
    /// unless there is urgent data, before and after which reads stop short.
    pub fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len();
        self.take_by(most, |stream| take(stream, buffer))
    }

    /// The same, and the kernel notes it.
    pub fn take_metered(&self, meter: Meter, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len();
        self.take_by(most, |stream| meter.take(stream, buffer))
    }

    fn take_by(
        &self,
        most: usize,
        take: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut taken = None;
        let result = self.readiness.try_io(Interest::READABLE, |stream| {
            let n = take(stream.as_fd())?;
            taken = Some(n);
            if n == 0 || n == most || self.is_urgent() {
                Ok(n)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        });
        taken.map_or(result, Ok)
    }

    /// Takes the next message of a seqpacket connection.
    pub fn take_packet(&self, buffer: &mut [u8]) -> io::Result<Packet> {
        self.readiness.try_io(Interest::READABLE, |stream| take_packet(stream.as_fd(), buffer))
    }

    /// Gives pieces of an answer; as many bytes as the socket had room for.
    pub fn give(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.readiness.try_io(Interest::WRITABLE, |stream| match pieces {
            [piece] => give(stream.as_fd(), piece),
            pieces => give_pieces(stream.as_fd(), pieces),
        })
    }

    /// The same, and the kernel notes it.
    pub fn give_metered(&self, meter: Meter, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.readiness.try_io(Interest::WRITABLE, |stream| meter.give(stream.as_fd(), pieces))
    }

    /// Once urgent data was seen, for ever: nobody clears it.
    fn is_urgent(&self) -> bool {
        self.readiness.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Transport;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_read_that_stops_at_urgent_data_is_followed_by_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        super::super::prepare_listener(listener.as_fd(), Transport::Tcp).unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = accept(listener.as_fd()).unwrap().stream;
        peer.write_all(b"abc").unwrap();
        rustix::net::send(&peer, b"d", rustix::net::SendFlags::OOB).unwrap();
        peer.write_all(b"ef").unwrap();
        let watch = Watch::connection(Arc::new(ours)).unwrap();
        let (mut buffer, mut seen) = ([0; 64], Vec::new());
        while seen.len() < 6 {
            watch.readable().await;
            match watch.take(&mut buffer) {
                Ok(n) => seen.extend_from_slice(&buffer[..n]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(seen, b"abcdef");
    }
}
