//! What the pure core costs by itself: the answer to one read, to one datagram,
//! and the verdict on what a predecessor left. `cargo bench` runs it.
//!
//! It shows what a change of the core does to the core. What an echo costs in
//! all is nearly all the kernel's, and `tests/bench/run` measures that.

use divan::{Bencher, black_box};
use echod::conversation::{Counters, Phase};
use echod::echo::{self, BUFFER_SIZE, DATAGRAM_MAX, MESSAGE_MAX, Protocol, Rule, State};
use echod::keep::{self, Noted};

/// Bytes of one read or message.
const SIZES: [usize; 6] = [32, 128, 1024, 4096, 16_384, MESSAGE_MAX];

fn main() {
    divan::main();
}

/// So many bytes of lines of that length, in a buffer with room for a suffix.
fn lines(length: usize, size: usize) -> Vec<u8> {
    let mut buffer = vec![0; BUFFER_SIZE];
    for (place, byte) in buffer[..size].iter_mut().enumerate() {
        *byte = if place % length == length - 1 { b'\n' } else { b'a' };
    }
    buffer
}

/// The answer to a read of `buffer[..size]`, piece by piece, as a turn takes it.
/// No bytes per second: where nothing is copied they would mean nothing.
fn answer(bencher: Bencher, protocol: Protocol, mut buffer: Vec<u8>, size: usize) {
    let rule = Rule::default();
    bencher.bench_local(|| {
        let buffer = black_box(&mut buffer[..]);
        let mut answer = echo::answer(&rule, protocol, black_box(State::START), buffer, size);
        let pieces = answer.by_ref().map(black_box).count();
        (pieces, answer.outcome())
    });
}

#[divan::bench(args = SIZES)]
fn rfc862(bencher: Bencher, size: usize) {
    answer(bencher, Protocol::Rfc862, lines(size, size), size);
}

#[divan::bench(args = SIZES)]
fn reply(bencher: Bencher, size: usize) {
    answer(bencher, Protocol::Reply, lines(size, size), size);
}

/// One line to a read, as people and most programs write.
#[divan::bench(args = SIZES)]
fn line(bencher: Bencher, size: usize) {
    answer(bencher, Protocol::Line, lines(size, size), size);
}

/// Many short lines to a read: the most work that a stranger can make of it.
#[divan::bench(args = SIZES)]
fn lines_of_16_bytes(bencher: Bencher, size: usize) {
    answer(bencher, Protocol::Line, lines(16, size), size);
}

#[divan::bench(args = [Protocol::Reply, Protocol::Line, Protocol::Rfc862])]
fn datagram(bencher: Bencher, protocol: Protocol) {
    let (rule, message) = (Rule::default(), lines(1400, 1400));
    let message = &message[..1400];
    bencher.bench_local(|| {
        let insertion = echo::answer_datagram(&rule, protocol, black_box(message), message.len());
        insertion.map(|insertion| insertion.pieces(message).map(<[u8]>::len))
    });
}

/// The longest message that a datagram can be, less the suffix.
#[divan::bench]
fn longest_datagram(bencher: Bencher) {
    let rule = Rule::default();
    let size = DATAGRAM_MAX - rule.suffix().len();
    let message = lines(size, size);
    bencher.bench_local(|| {
        echo::answer_datagram(&rule, Protocol::Line, black_box(&message[..size]), size)
            .map(|insertion| insertion.place)
    });
}

/// The verdict on a conversation that was killed after it took `taken` bytes and
/// had given the half of its answer.
fn verdict(bencher: Bencher, protocol: Protocol, taken: usize) {
    let (rule, mut slot) = (Rule::default(), lines(80, taken));
    let taken = taken as u64;
    let noted = Noted { c0: 1000, state: State::START, w0: 1000, slot: 0, messages: 10 };
    let counters = Counters { taken: 1000 + taken, given: 1000 + taken / 2, phase: Phase::Open };
    bencher.bench_local(|| {
        keep::verdict(black_box(&noted), black_box(&counters), protocol, &rule, Some(&mut slot))
    });
}

/// Nothing was unanswered, as in nearly all of 10,000.
#[divan::bench]
fn verdict_idle(bencher: Bencher) {
    verdict(bencher, Protocol::Rfc862, 0);
}

#[divan::bench(args = SIZES)]
fn verdict_rfc862(bencher: Bencher, taken: usize) {
    verdict(bencher, Protocol::Rfc862, taken);
}

#[divan::bench(args = SIZES)]
fn verdict_line(bencher: Bencher, taken: usize) {
    verdict(bencher, Protocol::Line, taken);
}
