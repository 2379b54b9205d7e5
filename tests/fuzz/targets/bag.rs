//! A bag that somebody else has filled: every entry is found with its connection,
//! everything else is counted, no descriptor is left open, and looking again
//! shows the same.

use super::input::Input;
use echod::systemd::{Entry, peek};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::fstat;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;

const MESSAGES_MAX: usize = 16;
const DESCRIPTORS_MAX: usize = 3;

pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let (write, bag) = pair();
    // Two kinds of things to tell apart.
    let (first, others) = pair();
    let mut entries = Vec::new();
    let mut foreign = 0;
    let mut total = 0;
    while !input.is_empty() && total < MESSAGES_MAX {
        let shape = input.byte();
        let fds = usize::from(shape) % (DESCRIPTORS_MAX + 1);
        let text = match shape & 0x80 {
            // What an entry looks like.
            0 => [&input.array::<13>()[..], &[1], &input.array::<2>()].concat(),
            _ => [input.field(), b"."].concat(),
        };
        let fds = [first.as_fd(), others.as_fd(), others.as_fd()][..fds].to_vec();
        send(&write, &text, &fds);
        total += 1;
        match entry(&text).filter(|_| !fds.is_empty()) {
            Some(entry) => entries.push(entry),
            None => foreign += 1,
        }
    }
    if input.byte() & 1 == 0 {
        drop(write);
    }
    let open = open_descriptors();
    for _ in 0..2 {
        let peeked = peek(&bag).expect("it is a bag");
        let found: Vec<Entry> = peeked.entries.iter().map(|(entry, _)| *entry).collect();
        assert_eq!((found, peeked.foreign, peeked.unreachable), (entries.clone(), foreign, 0));
        assert_eq!(peeked.total() as usize, total);
        assert_eq!(open_descriptors(), open + entries.len());
        for (_, fd) in &peeked.entries {
            assert_eq!(inode(fd), inode(&first), "another connection");
        }
    }
    assert_eq!(open_descriptors(), open);
}

fn entry(text: &[u8]) -> Option<Entry> {
    let text: &[u8; 16] = text.try_into().ok()?;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let record = u32::try_from(number(&text[8..12])).expect("four bytes");
    (text[13] == 1).then(|| Entry { id: number(&text[..8]), record, protocol: text[12] })
}

pub fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair of sockets")
}

pub fn send(bag: &OwnedFd, text: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
    sendmsg(bag, &[IoSlice::new(text)], &mut control, SendFlags::DONTWAIT).expect("there is room");
}

fn inode(fd: impl AsFd) -> u64 {
    fstat(fd).expect("it is open").st_ino
}

/// Of this thread's process; the lowest free number says it without a list.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc is mounted").count()
}
