//! A bag: a pair of sockets whose read end the manager keeps. Connections lie in
//! it as messages that nobody has read, so they are open while no process has
//! them. A successor peeks: it gets them all, and the bag stays whole.

use rustix::cmsg_space;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use std::io;
use std::mem::MaybeUninit;

/// What lies in the bag beside a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The conversation's id. The record's must equal it.
    pub id: u64,
    /// The number of its record in the memory file.
    pub record: u32,
    /// Its protocol, a number of `echo::Protocol`; a later echod may know more.
    pub protocol: u8,
}

/// What a predecessor's bag holds.
#[derive(Debug, Default)]
pub struct Peeked {
    /// Its connections, dead ones too, oldest first.
    pub entries: Vec<(Entry, OwnedFd)>,
    /// Messages that are no entries of ours.
    pub foreign: u32,
    /// Entries whose connection could not be had: we are out of descriptors.
    pub unreachable: u32,
}

impl Peeked {
    /// How many messages lie in the bag.
    pub fn total(&self) -> u32 {
        let entries = u32::try_from(self.entries.len()).expect("a bag holds hundreds");
        entries + self.foreign + self.unreachable
    }
}

/// Looks into a bag and takes nothing out: it can be done again, by us or, if we
/// are killed, by the next process.
pub fn peek(bag: &OwnedFd) -> io::Result<Peeked> {
    peek_from_start(bag)?;
    let mut peeked = Peeked::default();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 4 * ENTRY];
    // A message longer than our buffer comes in pieces, none of which is an entry.
    let mut in_pieces = false;
    loop {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let got = match recvmsg(bag, &mut [IoSliceMut::new(&mut text)], &mut control, flags) {
            // The end of a bag whose write end is closed.
            Ok(got) if got.bytes == 0 => return Ok(peeked),
            Ok(got) => got,
            // The end of one that is still open.
            Err(Errno::AGAIN) => return Ok(peeked),
            Err(error) => return Err(error.into()),
        };
        let fd = first_descriptor(&mut control);
        let cut = got.flags.contains(ReturnFlags::TRUNC);
        let entry = Entry::read(&text[..got.bytes.min(text.len())]);
        match (entry, fd) {
            (Some(entry), Some(fd)) if !cut && !in_pieces => peeked.entries.push((entry, fd)),
            (Some(_), None) if got.flags.contains(ReturnFlags::CTRUNC) => peeked.unreachable += 1,
            _ if in_pieces => {}
            _ => peeked.foreign += 1,
        }
        in_pieces = cut;
    }
}

/// The first descriptor of a message; any others are closed.
fn first_descriptor(control: &mut RecvAncillaryBuffer<'_>) -> Option<OwnedFd> {
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let first = fds.next().and_then(|mut fds| fds.next());
    fds.for_each(drop);
    first
}

/// Lets the next peek begin at the first message, and each go on where the one
/// before ended.
fn peek_from_start(bag: &OwnedFd) -> io::Result<()> {
    let start: libc::c_int = 0;
    let length = libc::socklen_t::try_from(size_of_val(&start)).expect("an int is small");
    // SAFETY: The pointer and the length are those of one int that outlives the call.
    let done = unsafe {
        let start = (&raw const start).cast();
        libc::setsockopt(bag.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEEK_OFF, start, length)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A new bag: the end we write to, and the end the manager keeps.
pub(super) fn pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Puts a connection into a bag. It waits for nothing.
pub(super) fn put(bag: &OwnedFd, fd: BorrowedFd<'_>, entry: Entry) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    let fits = control.push(SendAncillaryMessage::ScmRights(&fds));
    debug_assert!(fits, "the space is for one descriptor");
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(bag.as_fd(), &[IoSlice::new(&entry.write())], &mut control, flags)?;
    Ok(())
}

impl Entry {
    fn write(self) -> [u8; ENTRY] {
        let mut text = [0; ENTRY];
        text[..8].copy_from_slice(&self.id.to_le_bytes());
        text[8..12].copy_from_slice(&self.record.to_le_bytes());
        text[12] = self.protocol;
        text[13] = VERSION;
        text
    }

    fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; ENTRY] = text.try_into().ok()?;
        let [i0, i1, i2, i3, i4, i5, i6, i7, r0, r1, r2, r3, protocol, VERSION, _, _] = *text
        else {
            return None;
        };
        Some(Self {
            id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            record: u32::from_le_bytes([r0, r1, r2, r3]),
            protocol,
        })
    }
}

/// The length of an entry in bytes, and a frozen layout: id, record, protocol,
/// version, two bytes of nothing. Peeking counts bytes, so no message is empty.
const ENTRY: usize = 16;
const VERSION: u8 = 1;
/// The most descriptors that one message can carry (the kernel's `SCM_MAX_FD`).
const DESCRIPTORS_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::send;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    fn entry(id: u64) -> Entry {
        Entry { id, record: u32::try_from(id).unwrap() * 3, protocol: 2 }
    }

    /// A bag with these ids in it, and the peers of its connections.
    fn filled(ids: std::ops::Range<u64>) -> (OwnedFd, OwnedFd, Vec<UnixStream>) {
        let (write, read) = pair().unwrap();
        let peers = ids.map(|id| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            put(&write, ours.as_fd(), entry(id)).unwrap();
            theirs
        });
        let peers = peers.collect();
        (write, read, peers)
    }

    fn ids(bag: &OwnedFd) -> Vec<u64> {
        peek(bag).unwrap().entries.iter().map(|(entry, _)| entry.id).collect()
    }

    #[test]
    fn what_was_put_in_is_seen_and_open() {
        let (write, read, mut peers) = filled(1..4);
        drop(write);
        let peeked = peek(&read).unwrap();
        assert_eq!(peeked.total(), 3);
        for ((found, fd), (id, peer)) in peeked.entries.into_iter().zip((1..).zip(&mut peers)) {
            assert_eq!(found, entry(id));
            UnixStream::from(fd).write_all(&[7]).unwrap();
            peer.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn looking_twice_shows_the_same() {
        let (write, read, _peers) = filled(1..251);
        let all: Vec<_> = (1..251).collect();
        assert_eq!(ids(&read), all);
        drop(write);
        assert_eq!(ids(&read), all);
        assert_eq!(ids(&read), all);
    }

    #[test]
    fn what_is_not_ours_is_counted_and_hides_nothing() {
        let (write, read, _peers) = filled(1..2);
        send(&write, &[1; ENTRY - 1], SendFlags::empty()).unwrap();
        send(&write, &entry(9).write(), SendFlags::empty()).unwrap();
        let mut later = entry(9).write();
        later[13] = VERSION + 1;
        send(&write, &later, SendFlags::empty()).unwrap();
        // Its last piece looks like an entry.
        let mut long = vec![0; 4 * ENTRY];
        long.extend(entry(8).write());
        send(&write, &long, SendFlags::empty()).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        put(&write, ours.as_fd(), entry(2)).unwrap();
        assert_eq!(ids(&read), [1, 2]);
        assert_eq!(peek(&read).unwrap().foreign, 4);
    }

    #[test]
    fn more_descriptors_than_one_are_closed() {
        let (write, read) = pair().unwrap();
        let (first, mut first_peer) = UnixStream::pair().unwrap();
        let (second, mut second_peer) = UnixStream::pair().unwrap();
        let mut fds = vec![first.as_fd()];
        fds.resize(DESCRIPTORS_MAX, second.as_fd());
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = entry(1).write();
        sendmsg(&write, &[IoSlice::new(&text)], &mut control, SendFlags::empty()).unwrap();
        drop((first, second));
        let peeked = peek(&read).unwrap();
        drop((read, write));
        // The bag is gone: only what the peek has given out is still open.
        assert_eq!(second_peer.read(&mut [0]).unwrap(), 0);
        first_peer.set_nonblocking(true).unwrap();
        assert_eq!(first_peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(peeked.entries.len(), 1);
    }

    #[test]
    fn an_empty_bag_is_empty() {
        let (write, read) = pair().unwrap();
        assert_eq!(peek(&read).unwrap().total(), 0);
        drop(write);
        assert_eq!(peek(&read).unwrap().total(), 0);
    }

    #[test]
    fn what_is_no_bag_is_an_error() {
        assert!(peek(&tempfile::tempfile().unwrap().into()).is_err());
    }
}
