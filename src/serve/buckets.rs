//! How many datagrams of one source are answered: a token bucket for each, in a
//! table that never grows. Pure; the time is told.

use crate::config::Rate;
use crate::endpoint::Source;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// The size of the table, in bytes. It takes memory only as it is used.
pub(super) const TABLE_SIZE: usize = 4 << 20;

/// A source can be in this many places. Which, nobody outside can know, so that
/// nobody can crowd out a certain other.
const WAYS: usize = 8;
const SETS: usize = TABLE_SIZE / size_of::<Bucket>() / WAYS;

/// The source, inverted, so that memory which was never used is nobody's; and
/// the instant by which all that was answered will have been earned, in
/// nanoseconds. An array, because the allocator knows how to clear one without
/// touching it.
type Bucket = [u64; 2];

/// A bucket for each source that was heard lately.
#[derive(Debug)]
pub(super) struct Buckets {
    table: Vec<Bucket>,
    secret: Secret,
    /// What one datagram costs, and how much may be owed, in nanoseconds.
    each: u64,
    most: u64,
}

impl Buckets {
    /// All full.
    pub(super) fn new(rate: Rate) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let each = SECOND.checked_div(rate.per_second().into());
        let most = each.map_or(0, |each| each * u64::from(rate.burst()));
        let (table, secret) = (vec![[0; 2]; SETS * WAYS], Secret::new());
        Self { table, secret, each: each.unwrap_or(SECOND), most }
    }

    /// Takes one from a source's bucket, if one is in it. `now` is since any
    /// instant, always the same.
    pub(super) fn admit(&mut self, source: Source, now: Duration) -> bool {
        let key = !key(source);
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2);
        let sets = u64::try_from(SETS).expect("a few thousand");
        let set = usize::try_from(self.secret.scatter(key) % sets).expect("one of the sets");
        let bucket = pick(&mut self.table[set * WAYS..][..WAYS], key);
        let [known, spent] = *bucket;
        let spent = if known == key { spent.max(now) } else { now } + self.each;
        let is_covered = spent - now <= self.most;
        if is_covered {
            *bucket = [key, spent];
        }
        is_covered
    }
}

/// Where sources lie, which nobody outside can know: two multiplications, because
/// the standard library's hash takes longer than all else that is judged of a
/// datagram. One would now and then put neighbours together.
#[derive(Debug)]
struct Secret {
    masks: [u64; 2],
    factor: u64,
}

impl Secret {
    fn new() -> Self {
        let [mask, second, factor] = [0, 1, 2].map(|number| RandomState::new().hash_one(number));
        Self { masks: [mask, second], factor: factor | 1 }
    }

    fn scatter(&self, key: u64) -> u64 {
        self.masks.iter().fold(key, |key, mask| {
            let product = u128::from(key ^ mask) * u128::from(self.factor);
            let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
            u64::try_from(low ^ high).expect("64 of 128 bits")
        })
    }
}

/// The source's own bucket, or the one whose source has most of its own left:
/// who sent nothing for a while loses nothing.
fn pick(set: &mut [Bucket], key: u64) -> &mut Bucket {
    let place = set.iter().position(|&[known, _]| known == key).or_else(|| {
        (0..set.len()).min_by_key(|&place| {
            let [_, spent] = set[place];
            spent
        })
    });
    &mut set[place.expect("a set has places")]
}

/// One number for each source: a /64, or an IPv4 address within `ff00::/8`, where
/// no source is.
fn key(source: Source) -> u64 {
    match source.address() {
        IpAddr::V4(v4) => 0xffff_ffff_0000_0000 | u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).expect("64 of 128 bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn buckets(per_second: u32, burst: u32) -> Buckets {
        Buckets::new(Rate::literal(per_second, burst))
    }

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    const NOW: Duration = Duration::from_secs(9);

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let mut buckets = buckets(10, 3);
        let one = source("192.0.2.1");
        assert_eq!((0..5).filter(|_| buckets.admit(one, NOW)).count(), 3);
        assert!(!buckets.admit(one, NOW + Duration::from_millis(99)));
        assert!(buckets.admit(one, NOW + Duration::from_millis(100)));
        assert!(!buckets.admit(one, NOW + Duration::from_millis(100)));
        let later = NOW + Duration::from_secs(60);
        assert_eq!((0..5).filter(|_| buckets.admit(one, later)).count(), 3);
    }

    #[test]
    fn each_source_has_a_bucket_of_its_own() {
        let mut buckets = buckets(1, 1);
        for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "::1"] {
            assert!(buckets.admit(source(address), NOW), "{address}");
            assert!(!buckets.admit(source(address), NOW), "{address}");
        }
        assert!(!buckets.admit(source("2001:db8::ffff"), NOW));
        assert!(!buckets.admit(source("::ffff:192.0.2.1"), NOW));
    }

    #[test]
    fn the_table_is_bounded_and_the_innocent_are_answered() {
        let mut buckets = buckets(1_000, 1_000);
        let innocent = source("198.51.100.1");
        for (number, address) in (0..100_000).zip(0x0a00_0000_u32..) {
            let now = NOW + Duration::from_micros(number);
            assert!(buckets.admit(Source::of(Ipv4Addr::from_bits(address).into()), now));
            if number % 1_000 == 0 {
                assert!(buckets.admit(innocent, now));
            }
        }
        assert_eq!(size_of_val(&buckets.table[..]), TABLE_SIZE);
    }

    #[test]
    fn neighbours_are_scattered_over_all_of_the_table_and_each_time_elsewhere() {
        let places = |secret: &Secret, each: u64| {
            let mut filled = vec![0_usize; SETS];
            for number in 0..SETS as u64 {
                filled[usize::try_from(secret.scatter(!(number * each))).unwrap() % SETS] += 1;
            }
            filled
        };
        for each in [1, 256, 1 << 16, 1 << 32] {
            let (one, other) = (Secret::new(), Secret::new());
            let (one, other) = (places(&one, each), places(&other, each));
            assert!(one.iter().max() <= Some(&(2 * WAYS)), "{each}: {:?}", one.iter().max());
            assert_ne!(one, other, "{each}");
        }
    }

    #[test]
    fn whoever_floods_stays_in_debt_among_many_others() {
        let mut buckets = buckets(1, 1_000);
        let flood = source("192.0.2.1");
        while buckets.admit(flood, NOW) {}
        // Enough to fill every place twice.
        for address in 0x0a00_0000_u32.. {
            let others = Source::of(Ipv4Addr::from_bits(address).into());
            buckets.admit(others, NOW);
            if address == 0x0a08_0000 {
                break;
            }
        }
        assert!(!buckets.admit(flood, NOW));
    }

    #[test]
    fn a_rate_of_nothing_answers_nobody() {
        assert!(!buckets(0, 0).admit(source("192.0.2.1"), NOW));
    }
}
