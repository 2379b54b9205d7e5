//! The store, as the manager sees it: what lies there, and what it was told.
//!
//! It is long because everything is told to the same stand-in for the manager.

use super::*;
use crate::systemd::fake::{Fake, keeping};
use crate::systemd::peek;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

const PLENTY: u64 = 1 << 20;

/// Which bag, and what was put there, by a daemon that has just begun.
struct Scene {
    fake: Fake,
    store: Store,
    now: Instant,
}

fn open(fake: &Fake, hand: &Hand, now: Instant) -> Option<Store> {
    let memory = tempfile::tempfile().unwrap();
    Store::open(&fake.manager(), hand, Some(memory.as_fd()), PLENTY, now)
}

fn scene(store_max: usize) -> Scene {
    let fake = keeping(store_max);
    let now = Instant::now();
    let store = open(&fake, &Hand::default(), now).expect("there is a store");
    Scene { fake, store, now }
}

fn entry(id: u64) -> Entry {
    Entry { id, record: u32::try_from(id).unwrap(), protocol: 1 }
}

impl Scene {
    fn add(&mut self, id: u64) -> Result<BagNumber, NoPlace> {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        self.store.add(ours.as_fd(), entry(id), self.now)
    }

    fn stored(&self) -> Vec<String> {
        self.store.manager.barrier(Duration::from_secs(20)).unwrap();
        self.fake.stored().into_iter().map(|(name, _)| name).collect()
    }

    fn ids(&self, bag: BagNumber) -> Vec<u64> {
        self.stored();
        let stored = self.fake.stored().into_iter();
        let bags = stored.filter(|(name, _)| *name == bag.to_string());
        bags.flat_map(|(_, fd)| peek(&fd).unwrap().entries).map(|(entry, _)| entry.id).collect()
    }
}

#[test]
fn the_memory_is_stored_before_any_bag() {
    let scene = scene(8);
    assert_eq!(scene.stored(), ["echod-memory", "echod-bag-1"]);
    let said = scene.fake.heard();
    assert_eq!(said[0], "FDSTOREREMOVE=1\nFDNAME=echod-memory\n");
    assert_eq!(said[1], "FDSTORE=1\nFDNAME=echod-memory\nFDPOLL=0\n");
    assert_eq!(said[2], "FDSTORE=1\nFDNAME=echod-bag-1\nFDPOLL=0\n");
}

#[test]
fn a_manager_without_a_store_is_found_out() {
    let fake = keeping(0);
    assert!(open(&fake, &Hand::default(), Instant::now()).is_none());
}

#[test]
fn a_store_with_room_for_the_memory_only_is_none() {
    let fake = keeping(1);
    assert!(open(&fake, &Hand::default(), Instant::now()).is_none());
}

#[test]
fn without_a_manager_there_is_no_store() {
    let _environment = crate::systemd::fake::environment();
    let manager = Manager::from_env();
    assert!(Store::open(&manager, &Hand::default(), None, PLENTY, Instant::now()).is_none());
}

#[test]
fn a_full_store_that_held_something_is_one_and_rests() {
    let fake = keeping(0);
    let (_, read) = bag::pair().unwrap();
    let hand = Hand { bags: vec![(BagNumber(7), read)], ..Hand::default() };
    let now = Instant::now();
    let store = open(&fake, &hand, now).expect("something came from a store");
    let mut scene = Scene { fake, store, now };
    assert!(matches!(scene.add(1), Err(NoPlace::Resting)));
    scene.now += REST;
    scene.fake.keep_at_most(8);
    assert_eq!(scene.add(1).unwrap(), BagNumber(9), "8 was tried at the start");
}

#[test]
fn a_store_that_has_our_memory_is_one_and_rests_while_it_takes_no_bag() {
    let fake = keeping(0);
    let now = Instant::now();
    let mut store = Store::open(&fake.manager(), &Hand::default(), None, PLENTY, now).unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    assert!(matches!(store.add(ours.as_fd(), entry(1), now), Err(NoPlace::Resting)));
}

#[test]
fn a_connection_in_the_store_outlives_us() {
    let mut scene = scene(8);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let bag = scene.store.add(ours.as_fd(), entry(1), scene.now).unwrap();
    drop((ours, scene.store));
    let stored = scene.fake.stored();
    let (_, fd) = stored.iter().find(|(name, _)| *name == bag.to_string()).unwrap();
    let (found, fd) = peek(fd).unwrap().entries.pop().unwrap();
    assert_eq!(found, entry(1));
    UnixStream::from(fd).write_all(b"x").unwrap();
    theirs.read_exact(&mut [0]).unwrap();
}

#[test]
fn the_251st_connection_opens_the_second_bag() {
    let mut scene = scene(8);
    for id in 1..=250 {
        assert_eq!(scene.add(id).unwrap(), BagNumber(1));
    }
    assert_eq!(scene.add(251).unwrap(), BagNumber(2));
    assert_eq!(scene.ids(BagNumber(1)), (1..=250).collect::<Vec<_>>());
    assert_eq!(scene.ids(BagNumber(2)), [251]);
}

#[test]
fn a_bag_that_is_full_early_is_followed_by_another() {
    let mut scene = scene(64);
    let end = &scene.store.ends[&BagNumber(1)];
    rustix::net::sockopt::set_socket_send_buffer_size(end, 4608).unwrap();
    let second = (1..250).find(|id| scene.add(*id).unwrap() == BagNumber(2));
    let second = second.expect("so small a buffer is soon full");
    assert_eq!(scene.ids(BagNumber(1)), (1..second).collect::<Vec<_>>());
    assert_eq!(scene.ids(BagNumber(2)), [second]);
}

#[test]
fn a_sealed_bag_without_living_leaves_the_store() {
    let mut scene = scene(8);
    for id in 1..=251 {
        scene.add(id).unwrap();
    }
    for _ in 1..=249 {
        scene.store.remove(BagNumber(1));
    }
    assert_eq!(scene.stored(), ["echod-memory", "echod-bag-1", "echod-bag-2"]);
    scene.store.remove(BagNumber(1));
    scene.store.remove(BagNumber(2));
    assert_eq!(scene.stored(), ["echod-memory", "echod-bag-2"]);
    assert_eq!(scene.store.ends.len(), 1);
}

#[test]
fn a_bag_whose_last_conversation_ended_before_it_was_full_goes_when_it_is() {
    let mut scene = scene(8);
    for id in 1..=250 {
        let bag = scene.add(id).unwrap();
        scene.store.remove(bag);
    }
    assert_eq!(scene.stored(), ["echod-memory", "echod-bag-1"]);
    scene.add(251).unwrap();
    assert_eq!(scene.stored(), ["echod-memory", "echod-bag-2"]);
}

#[test]
fn a_hundred_thousand_short_conversations_leave_one_bag() {
    let mut scene = scene(8);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    for id in 1..=100_000 {
        // A full queue of the fake's is not this test's concern.
        scene.now += REST;
        if let Ok(bag) = scene.store.add(ours.as_fd(), entry(id), scene.now) {
            scene.store.remove(bag);
        }
    }
    scene.stored();
    scene.now += REST;
    scene.add(100_001).unwrap();
    scene.store.sweep();
    assert_eq!(scene.stored().len(), 2);
}

#[test]
fn a_bag_that_the_manager_dropped_has_no_place_and_rests_for_a_second() {
    let mut scene = scene(8);
    scene.add(1).unwrap();
    scene.stored();
    scene.fake.keep_at_most(0);
    assert!(!scene.store.is_kept(BagNumber(1)));
    assert!(matches!(scene.add(2), Err(NoPlace::NotKept)));
    let heard = scene.fake.heard().len();
    assert!(matches!(scene.add(3), Err(NoPlace::Resting)));
    scene.now += REST.checked_sub(Duration::from_nanos(1)).unwrap();
    assert!(matches!(scene.add(3), Err(NoPlace::Resting)));
    assert_eq!(scene.store.sparse(scene.now), None);
    scene.stored();
    assert_eq!(scene.fake.heard().len(), heard + 1, "only this test's barrier");
    scene.now += Duration::from_nanos(1);
    scene.fake.keep_at_most(8);
    assert_eq!(scene.add(3).unwrap(), BagNumber(2));
}

#[test]
fn what_lay_in_a_lost_bag_can_be_saved() {
    let mut scene = scene(8);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let lost = scene.store.add(ours.as_fd(), entry(1), scene.now).unwrap();
    scene.stored();
    scene.fake.keep_at_most(0);
    scene.fake.keep_at_most(8);
    assert!(scene.add(2).is_err());
    scene.now += REST;
    assert_eq!(scene.store.sparse(scene.now), Some(lost));
    let moved = scene.store.compact(lost, [(ours.as_fd(), entry(1))], scene.now);
    assert_eq!(moved, [(1, BagNumber(2))]);
    assert!(scene.store.is_kept(BagNumber(2)));
    assert_eq!(scene.store.sparse(scene.now), None);
    assert_eq!(scene.ids(BagNumber(2)), [1]);
}

#[test]
fn bags_filled_before_the_manager_drops_them_are_noticed_later() {
    let mut scene = scene(2);
    scene.fake.pause();
    for id in 1..=501 {
        scene.add(id).unwrap();
    }
    scene.fake.go_on();
    assert_eq!(scene.stored(), ["echod-memory", "echod-bag-1"]);
    assert_eq!([1, 2, 3].map(|bag| scene.store.is_kept(BagNumber(bag))), [true, false, false]);
    assert_eq!(scene.store.sparse(scene.now), None, "nobody has looked yet");
    assert!(matches!(scene.add(502), Err(NoPlace::NotKept)));
    scene.now += REST;
    scene.fake.keep_at_most(8);
    assert_eq!(scene.add(502).unwrap(), BagNumber(4));
    assert_eq!(scene.store.sparse(scene.now), Some(BagNumber(2)));
}

#[test]
fn a_manager_that_does_not_read_gives_no_place_and_delays_nobody() {
    let mut scene = scene(64);
    scene.fake.pause();
    while scene.store.manager.alive().is_ok() {}
    let outcomes: Vec<_> = (1..=251).map(|id| scene.add(id)).collect();
    assert!(outcomes[..250].iter().all(Result::is_ok));
    assert!(matches!(outcomes[250], Err(NoPlace::Manager(_))));
    scene.fake.go_on();
    scene.stored();
    scene.now += REST;
    assert_eq!(scene.add(251).unwrap(), BagNumber(2), "the number was not used up");
}

#[test]
fn a_bag_that_could_not_be_removed_is_removed_with_the_next() {
    let mut scene = scene(8);
    scene.store.resume([1, 2].map(|n| (BagNumber(100 + n), Tally { live: 1, total: 9 })));
    scene.fake.pause();
    while scene.store.manager.alive().is_ok() {}
    scene.store.remove(BagNumber(101));
    scene.fake.go_on();
    scene.stored();
    scene.store.remove(BagNumber(102));
    scene.stored();
    let said = scene.fake.heard();
    let removed = |bag: &str| said.contains(&format!("FDSTOREREMOVE=1\nFDNAME={bag}\n"));
    assert!(removed("echod-bag-101") && removed("echod-bag-102"));
}

#[test]
fn sparse_bags_become_one() {
    let mut scene = scene(8);
    // The last connection of each of four bags lives on.
    let living: Vec<_> = (0..4).map(|_| UnixStream::pair().unwrap()).collect();
    for (last, (ours, _)) in (1..).map(|bag| 250 * bag).zip(&living) {
        for id in last - 249..last {
            let bag = scene.add(id).unwrap();
            scene.store.remove(bag);
        }
        scene.store.add(ours.as_fd(), entry(last), scene.now).unwrap();
    }
    scene.add(1001).unwrap();
    let mut moved = Vec::new();
    while let Some(bag) = scene.store.sparse(scene.now) {
        let mut known = (1..).map(BagNumber).zip(&living);
        let (_, (ours, _)) = known.find(|(number, _)| *number == bag).unwrap();
        let found = [(ours.as_fd(), entry(250 * u64::from(bag.0)))];
        moved.extend(scene.store.compact(bag, found, scene.now));
    }
    assert_eq!(moved, [(250, BagNumber(5)), (500, BagNumber(5))]);
    let left = ["echod-memory", "echod-bag-3", "echod-bag-4", "echod-bag-5"];
    assert_eq!(scene.stored(), left);
    assert_eq!(scene.ids(BagNumber(5)), [1001, 250, 500]);
}

#[test]
fn where_there_is_no_place_the_rest_stays_where_it_is() {
    let mut scene = scene(8);
    let old = BagNumber(50);
    scene.store.resume([(old, Tally { live: 2, total: 250 })]);
    scene.stored();
    scene.fake.keep_at_most(0);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let living = [(ours.as_fd(), entry(1)), (ours.as_fd(), entry(2))];
    assert_eq!(scene.store.compact(old, living, scene.now), []);
    assert!(scene.store.is_kept(old));
}

#[test]
fn a_successor_goes_on_where_the_numbers_ended() {
    let fake = keeping(8);
    let ends: Vec<_> = (0..2).map(|_| bag::pair().unwrap()).collect();
    let bags =
        ends.iter().zip([41, 7]).map(|((_, read), n)| (BagNumber(n), read.try_clone().unwrap()));
    let hand = Hand { bags: bags.collect(), ..Hand::default() };
    let now = Instant::now();
    let store = open(&fake, &hand, now).unwrap();
    let mut scene = Scene { fake, store, now };
    let none_alive = Tally { live: 0, total: 3 };
    let one_alive = Tally { live: 1, total: 3 };
    scene.store.resume([(BagNumber(7), none_alive), (BagNumber(41), one_alive)]);
    assert_eq!(scene.add(1).unwrap(), BagNumber(42));
    scene.store.remove(BagNumber(41));
    scene.stored();
    let said = scene.fake.heard();
    let gone: Vec<_> = said.iter().filter(|text| text.starts_with("FDSTOREREMOVE")).collect();
    assert_eq!(
        gone[1..],
        ["FDSTOREREMOVE=1\nFDNAME=echod-bag-7\n", "FDSTOREREMOVE=1\nFDNAME=echod-bag-41\n",]
    );
}
