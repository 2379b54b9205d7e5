//! Meters, against what really passed.

use super::*;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

const ID: NonZeroU64 = NonZeroU64::new(7).unwrap();
const OTHER: NonZeroU64 = NonZeroU64::new(8).unwrap();

fn meters() -> Meters {
    // Of two meters; one more, because a vector is aligned for bytes.
    let place = vec![0; 3 * METER_SIZE].leak();
    let at = place.as_ptr().align_offset(METER_SIZE);
    Meters::new(&mut place[at..at + 2 * METER_SIZE])
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, peer)
}

#[test]
fn the_kernel_counts_what_passes() {
    let (meter, (ours, mut peer)) = (meters().of(1).unwrap(), pair());
    meter.begin(ID, 100, 200);
    assert_eq!(meter.read(ID), Some((100, 200)));
    assert_eq!(meter.read(OTHER), None);
    peer.write_all(b"abc").unwrap();
    let mut buffer = [0; 8];
    assert_eq!(meter.take(ours.as_fd(), &mut buffer).unwrap(), 3);
    assert_eq!(meter.read(ID), Some((103, 200)));
    let pieces = [&b"abc"[..], b"-", b"def"].map(IoSlice::new);
    assert_eq!(meter.give(ours.as_fd(), &pieces).unwrap(), 7);
    assert_eq!(meter.read(ID), Some((103, 207)));
    assert_eq!(meter.give(ours.as_fd(), &pieces[..1]).unwrap(), 3);
    assert_eq!(meter.give(ours.as_fd(), &pieces[..2]).unwrap(), 4);
    assert_eq!(meter.read(ID), Some((103, 214)));
    let mut heard = [0; 14];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"abc-defabcabc-");
    meter.begin(OTHER, 0, 0);
    assert_eq!((meter.read(ID), meter.read(OTHER)), (None, Some((0, 0))));
}

#[test]
fn what_would_be_more_than_there_are_numbers_is_not_little() {
    let (meter, (ours, mut peer)) = (meters().of(0).unwrap(), pair());
    meter.begin(ID, u64::MAX - 1, u64::MAX - 2);
    peer.write_all(b"abc").unwrap();
    assert_eq!(meter.take(ours.as_fd(), &mut [0; 8]).unwrap(), 3);
    assert_eq!(meter.give(ours.as_fd(), &[IoSlice::new(b"abc")]).unwrap(), 3);
    assert_eq!(meter.read(ID), Some((u64::MAX, u64::MAX)));
}

#[test]
fn what_fails_counts_nothing() {
    let (meter, (ours, mut peer)) = (meters().of(0).unwrap(), pair());
    meter.begin(ID, 0, 0);
    let mut buffer = [0; 8];
    let error = meter.take(ours.as_fd(), &mut buffer).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let large = vec![7; 1 << 16];
    let mut given = 0;
    while let Ok(n) = meter.give(ours.as_fd(), &[IoSlice::new(&large)]) {
        given += n as u64;
    }
    assert_eq!(meter.read(ID), Some((0, given)));
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(meter.take(ours.as_fd(), &mut buffer).unwrap(), 0);
    assert_eq!(meter.read(ID), Some((0, given)));
    drop(ours);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).unwrap();
    assert_eq!(heard.len() as u64, given);
}

#[test]
fn there_is_no_meter_beyond_the_last() {
    assert!(meters().of(1).is_some());
    assert!(meters().of(2).is_none());
}

#[test]
fn who_has_ended_is_seen_and_nothing_is_sent() {
    let (ours, mut peer) = pair();
    assert_eq!(phase(ours.as_fd()).unwrap(), Phase::Open);
    peer.set_nonblocking(true).unwrap();
    assert!(peer.read(&mut [0]).is_err());
    peer.write_all(b"unread").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(phase(ours.as_fd()).unwrap(), Phase::PeerEnded);
    ours.shutdown(Shutdown::Write).unwrap();
    assert_eq!(phase(ours.as_fd()).unwrap(), Phase::Closed);
    let (ours, peer) = pair();
    ours.shutdown(Shutdown::Write).unwrap();
    assert_eq!(phase(ours.as_fd()).unwrap(), Phase::WeEnded);
    drop(peer);
    assert_eq!(phase(ours.as_fd()).unwrap(), Phase::Closed);
}
