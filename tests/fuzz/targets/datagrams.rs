//! The place of the datagrams in the memory that a predecessor left: whatever
//! lies there, nothing is read beyond it, each datagram that is due is judged
//! once, and afterwards nothing is left.

use super::input::Input;
use echod::echo::{self, BUFFER_SIZE, Protocol, Rule};
use echod::endpoint::Transport;
use echod::socket::{self, AREA_SIZE, BATCH, Batch, Owner, Sender};
use std::cell::RefCell;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

/// Headers, names and control data; then come the payloads.
const HEAD: usize = AREA_SIZE - BATCH * BUFFER_SIZE;
/// Of each payload, so much is written.
const BEGIN: usize = 64;

/// One place for all inputs: a batch holds on to its place for ever.
struct Place {
    at: *mut [u8],
    /// What a daemon leaves that took three datagrams and was killed.
    killed: Vec<u8>,
    socket: UnixDatagram,
}

thread_local!(static PLACE: RefCell<Place> = RefCell::new(Place::new()));

pub fn run(input: &[u8]) {
    PLACE.with_borrow_mut(|place| place.run(Input::new(input)));
}

impl Place {
    fn new() -> Self {
        let words = vec![0_u64; AREA_SIZE.div_ceil(8)].into_boxed_slice();
        let at = std::ptr::slice_from_raw_parts_mut(Box::into_raw(words).cast::<u8>(), AREA_SIZE);
        // Nobody listens to these; only Unix sockets can be reached from one.
        let socket = UnixDatagram::unbound().expect("a socket");
        let mut place = Self { at, killed: Vec::new(), socket };
        let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
        socket::prepare_datagrams(ours.as_fd(), Transport::UnixDatagram, socket::WantsHops::No)
            .expect("it is a socket");
        for message in [&b"one\n"[..], b"", b"three"] {
            theirs.send(message).expect("there is room");
        }
        let owner = Owner { cookie: 7, terms: 0x0101 };
        let taken = Batch::new(place.bytes()).receive(ours.as_fd(), Transport::UnixDatagram, owner);
        assert_eq!(taken.expect("three wait"), 3);
        place.killed = place.bytes()[..HEAD].to_vec();
        place
    }

    fn bytes(&mut self) -> &'static mut [u8] {
        // SAFETY: it was leaked, and whoever had it before has forgotten it.
        unsafe { &mut *self.at }
    }

    fn run(&mut self, mut input: Input) {
        let rule = Rule::new(b"-S", b"exit", 128).expect("it is in range");
        let shape = input.byte();
        let protocol = Protocol::ALL[usize::from(shape >> 1) % 3];
        let bytes = self.bytes();
        let (head, payload) = bytes.split_at_mut(HEAD);
        head.copy_from_slice(if shape & 1 == 0 { &self.killed } else { &[0; HEAD] });
        for payload in payload.chunks_mut(BUFFER_SIZE) {
            payload[..BEGIN].fill(b'p');
        }
        while !input.is_empty() {
            let place = usize::from(u16::from_le_bytes(input.array()));
            let patch = input.field();
            let (place, room) = match place % (HEAD + BATCH * 2) {
                at if at < HEAD => (at, HEAD - at),
                payload => (HEAD + (payload - HEAD) / 2 * BUFFER_SIZE, BEGIN),
            };
            let patch = &patch[..patch.len().min(room)];
            bytes[place..place + patch.len()].copy_from_slice(patch);
        }
        let begin = |number| HEAD + number * BUFFER_SIZE;
        let before: Vec<_> =
            (0..BATCH).map(|number| bytes[begin(number)..][..BEGIN].to_vec()).collect();
        let mut batch = Batch::new(bytes);
        let Some(_) = batch.left() else { return };
        let mut seen = Vec::new();
        let mut answers = 0;
        let mut failures = 0;
        let given = batch.answer(
            self.socket.as_fd(),
            |arrived| {
                let number = (0..BATCH).find(|number| {
                    let at = self.at.cast::<u8>().wrapping_add(begin(*number));
                    std::ptr::eq(at, arrived.message.as_ptr())
                });
                let number = number.expect("a payload begins there");
                assert!(arrived.message.len() <= arrived.length.min(BUFFER_SIZE));
                let length = arrived.message.len().min(BEGIN);
                assert_eq!(arrived.message[..length], before[number][..length]);
                seen.push(number);
                if arrived.sender == Sender::Nameless {
                    return None;
                }
                let answer =
                    echo::answer_datagram(&rule, protocol, arrived.message, arrived.length);
                answers += u64::from(answer.is_ok());
                answer.ok()
            },
            |_, _| failures += 1,
        );
        assert!(seen.is_sorted_by(|a, b| a < b), "each is judged once: {seen:?}");
        assert_eq!(given.datagrams + failures, answers, "each answer goes out or fails");
        assert!(batch.left().is_none(), "nothing is left");
        let mut again = Batch::new(self.bytes());
        assert!(again.left().is_none(), "a successor finds nothing either");
    }
}
