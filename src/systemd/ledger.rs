//! How many connections lie in each bag, and how many of them still live. An
//! entry cannot be taken out of a bag's middle: dead ones hold some 4 KiB of the
//! kernel's memory each, and count against the limit of descriptors.

use std::collections::BTreeMap;
use std::fmt;

/// Names a bag: `echod-bag-N` in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BagNumber(pub u32);

impl BagNumber {
    /// The number of the bag with this name; none if no bag is called so.
    pub fn from_name(name: &str) -> Option<Self> {
        let number = name.strip_prefix(super::BAG_PREFIX)?.parse().ok()?;
        // One bag has one name.
        Some(Self(number)).filter(|bag| bag.to_string() == name)
    }
}

impl fmt::Display for BagNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", super::BAG_PREFIX, self.0)
    }
}

/// What a bag holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections whose conversations go on.
    pub live: u32,
    /// All that was ever put in.
    pub total: u32,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    bags: BTreeMap<BagNumber, (Tally, State)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Takes more.
    Open,
    /// Takes no more, as it is full or a predecessor's.
    Sealed,
    /// The manager does not have it: what lies in it is not kept.
    Lost,
}

impl Ledger {
    /// A new bag that takes connections.
    pub(super) fn open(&mut self, bag: BagNumber) {
        self.bags.insert(bag, (Tally::default(), State::Open));
    }

    /// A predecessor's bag. Of two with one number the manager makes no
    /// difference either.
    pub(super) fn resume(&mut self, bag: BagNumber, tally: Tally) {
        let (known, _) = self.bags.entry(bag).or_insert((Tally::default(), State::Sealed));
        known.live += tally.live;
        known.total += tally.total;
    }

    /// One more lies in the bag.
    pub(super) fn put(&mut self, bag: BagNumber) {
        if let Some((tally, _)) = self.bags.get_mut(&bag) {
            tally.live += 1;
            tally.total += 1;
        }
    }

    /// One of its conversations is over or lies elsewhere.
    pub(super) fn end(&mut self, bag: BagNumber) {
        if let Some((tally, _)) = self.bags.get_mut(&bag) {
            debug_assert!(tally.live > 0, "{bag} has none to end");
            tally.live = tally.live.saturating_sub(1);
        }
    }

    pub(super) fn seal(&mut self, bag: BagNumber) {
        self.turn(bag, State::Sealed);
    }

    pub(super) fn lose(&mut self, bag: BagNumber) {
        self.turn(bag, State::Lost);
    }

    fn turn(&mut self, bag: BagNumber, state: State) {
        if let Some((_, known)) = self.bags.get_mut(&bag) {
            *known = state;
        }
    }

    pub(super) fn forget(&mut self, bag: BagNumber) {
        self.bags.remove(&bag);
    }

    pub(super) fn total(&self, bag: BagNumber) -> u32 {
        self.bags.get(&bag).map_or(0, |(tally, _)| tally.total)
    }

    /// Whether the manager has the bag, as far as is known.
    pub(super) fn has(&self, bag: BagNumber) -> bool {
        self.bags.get(&bag).is_some_and(|(_, state)| *state != State::Lost)
    }

    /// A bag that nobody needs any more.
    pub(super) fn empty(&self) -> Option<BagNumber> {
        let empty = |(tally, state): &(Tally, State)| tally.live == 0 && *state != State::Open;
        self.bags.iter().find(|(_, bag)| empty(bag)).map(|(number, _)| *number)
    }

    /// The bag whose living had better lie elsewhere: one that is lost, or, when
    /// the dead are too many, the one with the fewest living. `in_flight_max` is
    /// the limit of descriptors, which holds for those in bags on its own.
    pub(super) fn sparse(&self, in_flight_max: u64) -> Option<BagNumber> {
        let lost =
            self.bags.iter().find(|(_, (tally, state))| *state == State::Lost && tally.live > 0);
        if let Some((bag, _)) = lost {
            return Some(*bag);
        }
        let (mut live, mut total) = (0, 0);
        for (tally, _) in self.bags.values() {
            live += u64::from(tally.live);
            total += u64::from(tally.total);
        }
        if total <= 2 * live + DEAD_ALWAYS && total <= in_flight_max / 2 {
            return None;
        }
        // A bag that is nearly all alive is not worth the moving: without this,
        // a daemon above half its limit would move 249 to be rid of one, for ever.
        let worth = |tally: &Tally| (tally.total - tally.live) * WORTH >= tally.total;
        let sealed = self.bags.iter().filter(|(_, (_, state))| *state == State::Sealed);
        sealed
            .filter(|(_, (tally, _))| worth(tally))
            .min_by_key(|(_, (tally, _))| tally.live)
            .map(|(bag, _)| *bag)
    }
}

/// So many dead are never worth a move: two bags full.
const DEAD_ALWAYS: u64 = 500;
/// One in this many must be dead.
const WORTH: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = 1 << 20;

    fn ledger(bags: &[(u32, u32)]) -> Ledger {
        let mut ledger = Ledger::default();
        for ((live, total), number) in bags.iter().zip(1..) {
            ledger.resume(BagNumber(number), Tally { live: *live, total: *total });
        }
        ledger
    }

    #[test]
    fn only_a_sealed_bag_without_living_is_empty() {
        let mut ledger = Ledger::default();
        let bag = BagNumber(1);
        ledger.open(bag);
        assert_eq!(ledger.empty(), None);
        ledger.put(bag);
        ledger.seal(bag);
        assert_eq!(ledger.empty(), None);
        ledger.end(bag);
        assert_eq!(ledger.empty(), Some(bag));
        ledger.forget(bag);
        assert_eq!(ledger.empty(), None);
    }

    #[test]
    fn five_hundred_dead_more_than_living_are_borne() {
        assert_eq!(ledger(&[(10, 250), (10, 250), (15, 70)]).sparse(PLENTY), None);
        assert_eq!(ledger(&[(10, 250), (10, 250), (15, 71)]).sparse(PLENTY), Some(BagNumber(1)));
    }

    #[test]
    fn the_bag_with_the_fewest_living_goes_first() {
        let ledger = ledger(&[(20, 250), (1, 250), (2, 250), (9, 250)]);
        assert_eq!(ledger.sparse(PLENTY), Some(BagNumber(2)));
    }

    #[test]
    fn above_half_the_limit_fewer_dead_suffice() {
        let ledger = ledger(&[(240, 250), (180, 250)]);
        assert_eq!(ledger.sparse(1000), None);
        assert_eq!(ledger.sparse(999), Some(BagNumber(2)));
    }

    #[test]
    fn a_bag_nearly_all_alive_is_left_alone_whatever_the_limit() {
        assert_eq!(ledger(&[(249, 250), (188, 250)]).sparse(2), None);
        assert_eq!(ledger(&[(249, 250), (187, 250)]).sparse(2), Some(BagNumber(2)));
    }

    #[test]
    fn the_open_bag_is_never_moved() {
        let mut ledger = Ledger::default();
        ledger.open(BagNumber(1));
        for _ in 0..250 {
            ledger.put(BagNumber(1));
            ledger.end(BagNumber(1));
        }
        assert_eq!(ledger.sparse(2), None);
    }

    #[test]
    fn a_lost_bag_goes_before_any_other() {
        let mut ledger = ledger(&[(1, 250), (250, 250), (0, 250)]);
        ledger.lose(BagNumber(2));
        assert_eq!(ledger.sparse(PLENTY), Some(BagNumber(2)));
        assert!(!ledger.has(BagNumber(2)));
        ledger.lose(BagNumber(3));
        assert_eq!(ledger.sparse(PLENTY), Some(BagNumber(2)), "3 has no living");
    }

    #[test]
    fn two_bags_of_one_number_are_one() {
        let mut ledger = ledger(&[(1, 2)]);
        ledger.resume(BagNumber(1), Tally { live: 1, total: 3 });
        assert_eq!(ledger.total(BagNumber(1)), 5);
        ledger.end(BagNumber(1));
        assert_eq!(ledger.empty(), None);
        ledger.end(BagNumber(1));
        assert_eq!(ledger.empty(), Some(BagNumber(1)));
    }
}
