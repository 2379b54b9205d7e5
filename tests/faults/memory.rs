//! A predecessor's memory file that is full, or whose counts are damaged as far as
//! numbers go. That all its records are those of living conversations, which hardly
//! any machine has the descriptors for, is in `src/serve/tests/full.rs`.

use crate::ordeal::{Scene, stored};
use crate::peers::place::{Family, Place};
use crate::peers::text::SUFFIX;
use crate::stuck::Stuck;
use crate::support::manager::{Manager, PATIENCE};
use crate::support::peer::{connect, echo_all, wait_for};
use echod::conversation::Id;
use echod::echo::{Protocol, State};
use echod::keep::{Done, Memory, RECORDS, Terms};
use echod::socket::Meters;
use echod::systemd::MEMORY_NAME;
use rustix::process::Signal;
use std::io::{ErrorKind, Read as _, Write as _};
use std::num::NonZeroU64;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The memory file in the store, as the next daemon would map it.
fn memory(manager: &mut Manager) -> Memory {
    let stored = stored(manager);
    let (_, fd) = stored.iter().find(|(name, _)| name == MEMORY_NAME).unwrap();
    Memory::adopt(fd.try_clone().unwrap()).unwrap()
}

/// A peer that is served, and has its record: the next one.
fn comer(path: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_answered(&mut stream, "hello"));
    stream
}

/// Whether a line has its answer; else the conversation has ended.
fn is_answered(stream: &mut UnixStream, line: &str) -> bool {
    let answer = format!("{line}{SUFFIX}\n");
    let mut heard = vec![0; answer.len()];
    // What cannot be said any more is not answered either.
    let _ = stream.write_all(format!("{line}\n").as_bytes());
    match stream.read_exact(&mut heard) {
        Ok(()) => {
            assert_eq!(String::from_utf8_lossy(&heard), answer);
            true
        }
        Err(error) => {
            let is_end =
                matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
            assert!(is_end, "neither an answer nor an end: {error}");
            false
        }
    }
}

/// What is damaged, and where the numbers are then: what was answered and given by
/// the record, and what was taken and given by the meter, if there is one.
struct Damage {
    what: &'static str,
    noted: (u64, u64),
    metered: Option<(u64, u64)>,
    is_sound: bool,
}

const MAX: u64 = u64::MAX;
/// More than any conversation can have carried.
const TOO_MANY: u64 = 1 << 63;

const fn damage(what: &'static str, noted: (u64, u64), metered: Option<(u64, u64)>) -> Damage {
    Damage { what, noted, metered, is_sound: false }
}

const fn sound(what: &'static str, noted: (u64, u64), metered: Option<(u64, u64)>) -> Damage {
    Damage { what, noted, metered, is_sound: true }
}

const DAMAGES: [Damage; 11] = [
    damage("given, all that can be", (6, 13), Some((6, MAX))),
    damage("given, a little less", (6, 13), Some((6, MAX - 1))),
    damage("given, one at the limit", (6, 13), Some((6, TOO_MANY))),
    sound("given, one below the limit", (6, 13), Some((6, TOO_MANY - 1))),
    damage("taken, all that can be", (MAX, 13), Some((MAX, 13))),
    damage("taken, one at the limit", (TOO_MANY, 13), Some((TOO_MANY, 13))),
    sound("taken, one below the limit", (TOO_MANY - 1, 13), Some((TOO_MANY - 1, 13))),
    damage("both, and an answer is owed", (MAX - 6, MAX), Some((MAX, MAX))),
    damage("by the record alone", (6, MAX), None),
    sound("by the record alone, one below the limit", (6, TOO_MANY - 1), None),
    sound("nothing", (6, 13), None),
];

#[test]
fn counts_that_can_go_no_further_end_their_conversations_and_no_other() {
    let mut scene = Scene::new(&[]);
    let place = scene.listen_over(Family::Unix, Protocol::Line, None);
    scene.start();
    scene.manager.wait_ready();
    let Place::Unix(path) = place else { panic!("{place:?} is no Unix socket") };
    let mut peers: Vec<_> = DAMAGES.iter().map(|_| comer(&path)).collect();
    scene.manager.kill(Signal::KILL);
    let mut memory = memory(&mut scene.manager);
    let meters = Meters::new(memory.take_meters().unwrap());
    for (number, damage) in (0..).zip(&DAMAGES) {
        let record = memory.record(number);
        let (taken, given) = damage.noted;
        record.note(&Done { taken, given, state: State::START, messages: 1 });
        // Each to a slot of its own, where what may be owed lies.
        let mut slot = memory.claim_slot(number).unwrap();
        slot.bytes()[..6].copy_from_slice(b"hello\n");
        record.place(number);
        let meter = meters.of(number).unwrap();
        match (damage.metered, record.id()) {
            (Some((taken, given)), Some(id)) => meter.begin(id.0, taken, given),
            // About nobody who is here.
            _ => meter.begin(NonZeroU64::MAX, 0, 0),
        }
    }
    scene.manager.start_again();
    scene.manager.wait_ready();
    let mut ended = 0;
    for (peer, damage) in peers.iter_mut().zip(&DAMAGES) {
        assert_eq!(is_answered(peer, "again"), damage.is_sound, "{}", damage.what);
        ended += u32::from(!damage.is_sound);
    }
    let words = format!("; {ended} could not be continued and were reset");
    let adopted = scene.manager.wait_stderr(|line| line.contains(&words));
    scene.manager.wait_stderr(|line| line.contains("notes contradict"));
    println!("{ended} of {} conversations ended: {adopted}", DAMAGES.len());
}

#[test]
fn a_memory_file_full_of_the_dead_has_room_for_all_and_the_living_go_on() {
    const LIVING: u32 = 40;
    const NEW: u32 = 400;
    let mut scene = Scene::new(&[]);
    let address = scene.listen(Protocol::Rfc862, None);
    scene.start();
    scene.manager.wait_ready();
    let mut peers: Vec<_> = (0..LIVING).map(|_| connect(address)).collect();
    echo_all(&mut peers, b"hello");
    let stuck = Stuck::at(address);
    let mut rounds = 0;
    // As it is at the limit, and where even that is not believed.
    for reach in [RECORDS - 1, RECORDS, u32::MAX - 1] {
        scene.manager.kill(Signal::KILL);
        let memory = memory(&mut scene.manager);
        let terms = Terms { protocol: Protocol::Rfc862, rule: 0, born: 1 };
        let dead = (0..RECORDS).filter(|&number| memory.record(number).id().is_none());
        let dead: Vec<_> = dead.collect();
        for &number in &dead {
            let id = Id(NonZeroU64::new(1 << 32 | u64::from(number)).unwrap());
            memory.record(number).begin(id, terms, &Done::default());
        }
        memory.header().reach(reach);
        assert_eq!(dead.len() + peers.len() + 1, RECORDS as usize, "every record is used");
        scene.manager.start_again();
        scene.manager.wait_ready();
        echo_all(&mut peers, b"still here");
        // So many that memory is given back when they have gone.
        let mut new: Vec<_> = (0..NEW).map(|_| connect(address)).collect();
        echo_all(&mut new, b"is there room?");
        let used = || (0..RECORDS).filter(|&number| memory.record(number).id().is_some()).count();
        assert_eq!(used(), 1 + peers.len() + new.len(), "of the dead none is left");
        drop(new);
        let is_given_back = || used() == 1 + peers.len() && memory.header().reached() < NEW;
        wait_for("memory to be given back", || is_given_back().then_some(()));
        peers.push(connect(address));
        echo_all(&mut peers, b"still here");
        rounds += 1;
    }
    let owed = stuck.hear();
    println!("{rounds} files with {RECORDS} records in use, and {} who lived on", peers.len() + 1);
    println!("{owed} bytes were owed all the time");
}
