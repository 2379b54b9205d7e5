//! Giving an answer, of however many pieces, in few calls.

use super::turn::Line;
use crate::echo::Answer;
use std::cell::RefCell;
use std::io::{self, IoSlice};

/// How many pieces of an answer are given in one call, and how many calls one
/// turn makes before others have theirs.
const PIECES: usize = 64;
const CALLS: usize = 64;

/// Pieces that are no longer than this are copied together, in bytes: the kernel
/// takes longer over a piece than we over so many bytes.
const SHORT: usize = 1_024;
/// How much is copied together for one call.
const GATHERED: usize = 8_192;

thread_local! {
    static SCRATCH: RefCell<[u8; GATHERED]> = const { RefCell::new([0; GATHERED]) };
}

/// How much of an answer the peer's socket has by now.
pub(super) enum Given {
    /// All of it, so many bytes.
    Whole(u64),
    /// Its first bytes, so many.
    Short(u64),
    /// The connection is gone.
    Broken,
}

impl Given {
    /// What an error means after so many bytes.
    fn stopped(given: u64, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock { Self::Short(given) } else { Self::Broken }
    }
}

/// Gives an answer of one piece, or of none.
pub(super) fn give_whole(line: Line<'_>, piece: &[u8]) -> Given {
    if piece.is_empty() {
        return Given::Whole(0);
    }
    match line.give(&[IoSlice::new(piece)]) {
        Ok(n) if n == piece.len() => Given::Whole(n as u64),
        Ok(n) => Given::Short(n as u64),
        Err(error) => Given::stopped(0, &error),
    }
}

/// Gives an answer, but for the first `skip` bytes.
pub(super) fn give(line: Line<'_>, answer: &mut Answer<'_>, skip: u64) -> Given {
    let mut given = skip;
    let skipped = answer.skip_bytes(skip);
    debug_assert!(skipped, "no more was given than the answer has");
    for _ in 0..CALLS {
        let Some(first) = answer.next() else { return Given::Whole(given) };
        let second = answer.peek();
        let (length, result) = if second.is_empty() {
            (first.len(), line.give(&[IoSlice::new(first)]))
        } else if first.len().max(second.len()) <= SHORT {
            give_gathered(line, first, answer)
        } else {
            give_many(line, first, answer)
        };
        match result {
            Ok(n) => {
                given += n as u64;
                if n < length {
                    return Given::Short(given);
                }
            }
            Err(error) => return Given::stopped(given, &error),
        }
    }
    if answer.is_empty() { Given::Whole(given) } else { Given::Short(given) }
}

/// Gives a short piece and those that follow, as long as they are short, too; how
/// long they are, and how many bytes were given. They are copied where nobody
/// looks for them: a successor computes the answer again.
fn give_gathered(
    line: Line<'_>,
    first: &[u8],
    answer: &mut Answer<'_>,
) -> (usize, io::Result<usize>) {
    SCRATCH.with_borrow_mut(|scratch| {
        let (mut piece, mut length) = (first, 0);
        loop {
            scratch[length..length + piece.len()].copy_from_slice(piece);
            length += piece.len();
            if answer.peek().len() > SHORT.min(GATHERED - length) {
                break;
            }
            let Some(next) = answer.next() else { break };
            piece = next;
        }
        (length, line.give(&[IoSlice::new(&scratch[..length])]))
    })
}

/// Gives as many pieces as fit in one call; how long they are, and how many bytes
/// were given. Apart, because nearly every answer is one piece, and room for
/// [`PIECES`] costs more than all else that is done for one.
#[inline(never)]
fn give_many<'a>(
    line: Line<'_>,
    first: &'a [u8],
    answer: &mut Answer<'a>,
) -> (usize, io::Result<usize>) {
    let mut pieces = [IoSlice::new(&[]); PIECES];
    pieces[0] = IoSlice::new(first);
    let (mut count, mut length) = (1, first.len());
    while count < PIECES {
        let Some(piece) = answer.next() else { break };
        pieces[count] = IoSlice::new(piece);
        count += 1;
        length += piece.len();
    }
    (length, line.give(&pieces[..count]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::{self, Protocol, Rule, State};
    use crate::socket::Watch;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
    use std::sync::Arc;

    /// What is given for this input, call by call.
    async fn calls(input: &str) -> Vec<String> {
        let flags = SocketFlags::NONBLOCK;
        let (ours, peer) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let watch = Watch::connection(Arc::new(ours)).unwrap();
        watch.writable().await;
        let rule = Rule::new(b"-S", b"", 65_536).unwrap();
        let mut buffer = vec![0; echo::BUFFER_SIZE];
        buffer[..input.len()].copy_from_slice(input.as_bytes());
        let mut answer =
            echo::answer(&rule, Protocol::Line, State::START, &mut buffer, input.len());
        let expected = input.replace('\n', "-S\n");
        let line = Line { watch: &watch, meter: None };
        let given = give(line, &mut answer, 0);
        assert!(matches!(given, Given::Whole(length) if length == expected.len() as u64));
        drop(watch);
        let mut calls = Vec::new();
        let mut packet = vec![0; 200_000];
        while let Ok((_, length @ 1..)) = recv(&peer, &mut packet[..], RecvFlags::empty()) {
            calls.push(String::from_utf8(packet[..length].to_vec()).unwrap());
        }
        assert_eq!(calls.concat(), expected);
        calls
    }

    #[tokio::test]
    async fn short_lines_are_given_together() {
        assert_eq!(calls(&"hello\n".repeat(900)).await.len(), 1);
        assert_eq!(calls(&"hello\n".repeat(1_800)).await.len(), 2);
    }

    #[tokio::test]
    async fn long_lines_are_given_as_they_lie_and_in_their_order() {
        let long = "x".repeat(SHORT + 1) + "\n";
        assert_eq!(calls(&long).await.len(), 1);
        assert_eq!(calls(&long.repeat(20)).await.len(), 1);
        assert_eq!(calls(&format!("a\nb\n{long}c\n")).await.len(), 2);
        assert_eq!(calls(&format!("{long}a\nb\n")).await.len(), 1);
    }
}
