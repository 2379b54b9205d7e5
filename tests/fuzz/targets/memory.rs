//! The memory file that a predecessor left: whatever lies in it, it is taken
//! over or refused, and what a record says leads to a verdict that the bytes
//! and the kernel's counters bear out.

use super::input::Input;
use echod::conversation::{Counters, Phase, Refusal};
use echod::echo::{self, Protocol, Rule};
use echod::keep::{
    Done, Header, Memory, MemoryError, Noted, RULES, SLOT_SIZE, SLOTS, Slot, Terms, Verdict,
    verdict,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::io::{dup, pread, pwrite};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::LazyLock;

/// Where things lie; a frozen layout.
const RULES_AT: u64 = 4_096;
const RULE: u64 = 2_048;
const RECORDS_AT: u64 = 5 * 4_096;
const RECORD: u64 = 64;
const DATAGRAMS: u64 = 2 << 20;
pub const SLOTS_AT: u64 = RECORDS_AT + 65_536 * RECORD + DATAGRAMS;
const SLOT: u64 = 17 * 4_096;
/// How much of the head is restored, and how many records are looked at.
const HEAD: usize = 5 * 4_096 + 8 * 64;
const LOOKED_AT: u32 = 8;

struct Image {
    size: u64,
    head: Vec<u8>,
}

/// What a daemon leaves that holds a few conversations in `line` and `reply`.
static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let memory = Memory::create().expect("there is memory");
    let rule = Rule::new(b"-S", b"exit", 5).expect("it is in range");
    let rules = [rule, Rule::default()].map(|rule| memory.keep_rule(&rule, [true; RULES]).rule);
    for (number, protocol) in (0..6).zip(Protocol::ALL.into_iter().cycle()) {
        let terms = Terms { protocol, rule: rules[usize::from(number > 2)], born: 1 };
        let id = memory.header().next_id();
        let done = Done { taken: 10, given: 14, messages: 2, ..Done::default() };
        memory.record(number).begin(id, terms, &done);
        memory.record(number).place(number);
        memory.header().reach(number);
    }
    memory.header().begin_turn(2);
    memory.header().refuse(Refusal::Rate);
    let mut head = vec![0; HEAD];
    pread(memory.file(), &mut head, 0).expect("it is a file");
    Image { size: fstat(memory.file()).expect("it is a file").st_size.unsigned_abs(), head }
});

pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let shape = input.byte();
    let file = file(shape, &mut input);
    let head = read(&file, 0, 12);
    let is_sound = shape & 0xc0 != 0x80 && shape & 0xc0 != 0xc0;
    let mut memory = match Memory::adopt(dup(&file).expect("a descriptor")) {
        Ok(memory) => {
            assert!(is_sound, "its size is wrong, or can change");
            assert_eq!(head, IMAGE.head[..12]);
            memory
        }
        Err(error) => {
            let size = fstat(&file).expect("it is a file").st_size;
            let is_ours = shape & 0xc0 != 0xc0 && size >= 64 && head[..8] == IMAGE.head[..8];
            let layout = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
            assert_eq!(
                error,
                if is_ours { MemoryError::Layout(layout) } else { MemoryError::Foreign }
            );
            assert!(!is_sound || head != IMAGE.head[..12], "nothing is wrong with it");
            return;
        }
    };
    while !input.is_empty() {
        let number = u32::from(input.byte()) % LOOKED_AT;
        judge(&mut memory, number, &mut input, &file);
    }
    header(&memory, &file);
    rules(&memory);
    unmap(memory);
}

/// A file with what the input says in it: of the right size and sealed, or not.
fn file(shape: u8, input: &mut Input) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("echod-memory", flags).expect("there is memory");
    let size = match shape & 0xc0 {
        0x80 => u64::from(u32::from_le_bytes(input.array())) % (2 * IMAGE.size),
        _ => IMAGE.size,
    };
    let size = if shape & 0xc0 == 0x80 && size == IMAGE.size { 64 } else { size };
    ftruncate(&file, size).expect("it is a file");
    if shape & 1 == 0 {
        put(&file, size, 0, &IMAGE.head);
    }
    for _ in 0..shape >> 1 & 0x1f {
        let (place, offset) = (input.byte(), u64::from(u16::from_le_bytes(input.array())));
        let number = u64::from(place & 0x0f);
        let at = match place >> 4 {
            0..6 => RECORDS_AT + number % u64::from(LOOKED_AT) * RECORD + offset % RECORD,
            6..9 => offset % 512,
            9..12 => RULES_AT + number % 8 * RULE + offset % 600,
            12 => RECORDS_AT + offset,
            _ => SLOTS_AT + number * SLOT + offset % 300,
        };
        put(&file, size, at, input.field());
    }
    let seals = SealFlags::SHRINK | SealFlags::GROW;
    match shape & 0xc0 {
        0xc0 => {}
        _ => fcntl_add_seals(&file, seals).expect("it can be sealed"),
    }
    file
}

pub fn put(file: impl AsFd, size: u64, at: u64, bytes: &[u8]) {
    let room = usize::try_from(size.saturating_sub(at)).expect("64 bits");
    let bytes = &bytes[..bytes.len().min(room)];
    assert_eq!(pwrite(file, bytes, at).expect("it is a file"), bytes.len());
}

pub fn read(file: impl AsFd, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    pread(file, &mut bytes, at).expect("it is a file");
    bytes
}

/// One conversation is found whose record has this number.
fn judge(memory: &mut Memory, number: u32, input: &mut Input, file: &OwnedFd) {
    let record = memory.record(number);
    let noted = record.noted();
    let counters = counters(input, &noted);
    let Some(Terms { protocol, rule, .. }) = record.terms() else { return };
    let Some(rule) = memory.rule(rule) else { return };
    let unanswered = counters.taken.wrapping_sub(noted.c0) % (1 << 48);
    assert_eq!(noted.unanswered(counters.taken), unanswered);
    let mut slot = None;
    if unanswered > 0 {
        let free = memory.slots_free();
        slot = memory.claim_slot(noted.slot);
        assert_eq!(memory.slots_free(), free - usize::from(slot.is_some()));
        assert!(noted.slot < SLOTS || slot.is_none());
        assert!(memory.claim_slot(noted.slot).is_none(), "a slot is claimed once");
    }
    let bytes = slot.as_mut().map(|slot| {
        assert_eq!(slot.bytes().len(), SLOT_SIZE);
        slot.bytes()[..300].to_vec()
    });
    if let Some(bytes) = &bytes {
        assert!(*bytes == read(file, SLOTS_AT + u64::from(noted.slot) * SLOT, 300));
    }
    let said = verdict(&noted, &counters, protocol, &rule, slot.as_mut().map(Slot::bytes));
    let case = Case { noted, counters, protocol, rule: &rule, unanswered };
    case.bears_out(said, slot.as_mut().map(Slot::bytes));
    match (said, slot) {
        (Verdict::Resume { .. }, _) | (_, None) => {}
        (_, Some(slot)) => memory.free_slot(slot),
    }
}

/// Near to what the record says, or anything.
fn counters(input: &mut Input, noted: &Noted) -> Counters {
    let shape = input.byte();
    let mut count = |base: u64, bit: u8| match shape & bit {
        0 => base.wrapping_add(input.byte().into()),
        _ => u64::from_le_bytes(input.array()),
    };
    let (taken, given) = (count(noted.c0, 1), count(noted.w0, 2));
    let phase = match shape >> 2 & 7 {
        0 => Phase::WeEnded,
        1 => Phase::Closed,
        2 | 3 => Phase::PeerEnded,
        _ => Phase::Open,
    };
    Counters { taken, given, phase }
}

struct Case<'a> {
    noted: Noted,
    counters: Counters,
    protocol: Protocol,
    rule: &'a Rule,
    unanswered: u64,
}

impl Case<'_> {
    /// Whether the verdict follows from what is there, and no other could.
    fn bears_out(&self, said: Verdict, slot: Option<&mut [u8]>) {
        let Self { noted, counters, .. } = self;
        let has_ended = matches!(counters.phase, Phase::WeEnded | Phase::Closed);
        let state = noted.state;
        // Beyond that nothing could be counted on.
        let is_countable = counters.taken.max(counters.given) < 1 << 63;
        let owed = (!has_ended && is_countable && state.is_valid(self.protocol, self.rule))
            .then(|| self.owed(slot))
            .flatten();
        // How much of that the kernel has; nothing if it gave less than was noted.
        let skip = counters.given.checked_sub(noted.w0);
        match said {
            Verdict::Gone => assert_eq!(counters.phase, Phase::Closed),
            Verdict::Finish if counters.phase == Phase::WeEnded => {}
            _ if has_ended => panic!("{said:?} about what has ended"),
            Verdict::Idle => {
                assert!(self.unanswered == 0 && owed == Some(0));
                assert!(!state.ended() && !state.last());
            }
            Verdict::Finish => {
                assert!(self.unanswered == 0 && (state.ended() || state.last()));
                assert!(state.ended() || owed.is_some() && owed == skip);
            }
            Verdict::Answered(done) => {
                assert!(self.unanswered > 0 && owed.is_some() && owed == skip);
                assert_eq!((done.taken, done.given), (counters.taken, counters.given));
                assert!(done.state.is_valid(self.protocol, self.rule));
            }
            Verdict::Resume { taken, skip: said } => {
                assert_eq!((taken as u64, Some(said)), (self.unanswered, skip));
                assert!(taken > 0 && owed > skip);
            }
            Verdict::Farewell { skip: said } => {
                assert!(self.unanswered == 0 && state.last());
                assert!(Some(said) == skip && owed > skip);
            }
            Verdict::Contradiction => {
                let is_due = self.unanswered > 0 || state.last();
                let gave_it = skip.is_some_and(|skip| owed.is_some_and(|owed| skip <= owed));
                assert!(owed.is_none() || is_due && !gave_it, "{noted:?} and {counters:?} agree");
            }
        }
    }

    /// How long the answer is that is due; none if there cannot be one.
    fn owed(&self, slot: Option<&mut [u8]>) -> Option<u64> {
        let Self { noted, counters, protocol, rule, unanswered } = self;
        let (state, most) = (noted.state, echo::read_max(rule, *protocol) as u64);
        match *unanswered {
            0 if state.last() => {
                Some(echo::farewell(rule, *protocol, state).map(|piece| piece.len() as u64).sum())
            }
            0 => Some(0),
            taken if taken > most.min(counters.taken) || state.ended() || state.last() => None,
            taken => {
                let taken = usize::try_from(taken).expect("it is small");
                Some(echo::answer_len(rule, *protocol, state, slot?, taken))
            }
        }
    }
}

/// What holds for all conversations is read as it lies there.
fn header(memory: &Memory, file: &OwnedFd) {
    let word = |at: u64| {
        let bytes = read(file, at, 8).try_into().expect("eight bytes");
        u64::from_ne_bytes(bytes)
    };
    let header = memory.header();
    let (turn, reached) = (word(8) >> 32, word(32) & u64::from(u32::MAX));
    assert_eq!(header.turn().map(u64::from), turn.checked_sub(1));
    assert_eq!(u64::from(header.reached()), reached);
    assert_eq!(header.take_left().map_or(0, NonZeroU64::get), word(24));
    assert_eq!(header.take_left(), None, "asked once");
    let id = word(16).wrapping_add(1).max(1);
    assert_eq!(header.next_id().0.get(), id);
    assert_eq!(header.next_id().0.get(), id.wrapping_add(1).max(1));
}

/// A successor keeps its own rule, whatever lies there.
fn rules(memory: &Memory) {
    let own = Rule::new(b"-own", b"leave", 100).expect("it is in range");
    let displaced = memory.rule_to_displace(&own, [true; RULES]);
    let kept = memory.keep_rule(&own, [true; RULES]);
    assert_eq!(memory.rule(kept.rule), Some(own));
    assert_eq!(displaced, kept.displaced.then_some(kept.rule));
}

/// A daemon has one memory file for its whole life; this has thousands.
pub fn unmap(memory: Memory) {
    let header = memory.header();
    drop(memory);
    unmap_at(header);
}

/// The same, of a memory file that nobody has any more.
pub fn unmap_at(header: *const Header) {
    let base = header.cast_mut().cast();
    let size = usize::try_from(IMAGE.size).expect("64 bits");
    // SAFETY: the mapping begins with the header, and nobody looks at it any more.
    unsafe { rustix::mm::munmap(base, size) }.expect("it is mapped");
}
