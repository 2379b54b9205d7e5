//! How many records strangers may cause: a budget for conversations, and a
//! minute for everything else. Pure; the time is told.

use crate::config::Rate;
use std::time::{Duration, Instant};

/// How long a summary gathers.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// What `--record-rate` pays for. A begin and an end are paid together, so that
/// no conversation has only half of them.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Rate,
    /// The instant by which everything bought so far will have been earned.
    spent: Option<Instant>,
}

impl Budget {
    /// A full budget. A burst of less than two records pays for nothing.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, spent: None }
    }

    /// Buys two records; whether there was enough for them.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let Some(each) = Duration::from_secs(1).checked_div(self.rate.per_second()) else {
            return false;
        };
        let spent = self.spent.map_or(now, |spent| spent.max(now)) + 2 * each;
        let covered = spent - now <= each.saturating_mul(self.rate.burst());
        if covered {
            self.spent = Some(spent);
        }
        covered
    }
}

/// A count that is told at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Minute {
    count: u64,
    due: Option<Instant>,
}

impl Minute {
    /// Counts one, to be told at once unless another was within the minute.
    pub(super) fn count(&mut self, now: Instant) {
        self.count += 1;
        self.due.get_or_insert(now);
    }

    /// Counts one, to be told together with what else the minute brings.
    pub(super) fn gather(&mut self, now: Instant) {
        if self.count == 0 && self.due.is_none_or(|due| due < now) {
            self.due = Some(now + MINUTE);
        }
        self.count += 1;
    }

    /// When there is something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.count > 0)
    }

    /// The count, if there is one and it is time.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        self.due().filter(|due| *due <= now)?;
        self.due = Some(now + MINUTE);
        Some(std::mem::take(&mut self.count))
    }

    /// The count, if there is one, because there will be no later.
    pub(super) fn rest(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.count)).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RATE_MAX;
    use proptest::prelude::*;

    fn budget(per_second: u32, burst: u32) -> Budget {
        Budget::new(Rate::new(per_second, burst).unwrap())
    }

    #[test]
    fn the_default_pays_for_five_hundred_at_once_then_ten_a_second() {
        let (mut budget, start) = (budget(20, 1000), Instant::now());
        assert_eq!((0..600).filter(|_| budget.admit(start)).count(), 500);
        assert!(!budget.admit(start + Duration::from_millis(99)));
        assert!(budget.admit(start + Duration::from_millis(100)));
        assert!(!budget.admit(start + Duration::from_millis(100)));
    }

    #[test]
    fn a_burst_below_two_or_no_rate_pays_for_nothing() {
        let now = Instant::now();
        assert!(!budget(20, 1).admit(now));
        assert!(budget(20, 2).admit(now));
        assert!(!budget(0, 1000).admit(now));
        assert!(budget(RATE_MAX, RATE_MAX).admit(now));
    }

    #[test]
    fn the_first_is_told_at_once_and_the_next_after_a_minute() {
        let (mut minute, start) = (Minute::default(), Instant::now());
        assert_eq!(minute.take(start), None);
        minute.count(start);
        assert_eq!(minute.take(start), Some(1));
        minute.count(start + Duration::from_secs(1));
        minute.count(start + Duration::from_secs(2));
        assert_eq!(minute.due(), Some(start + MINUTE));
        assert_eq!(minute.take(start + MINUTE.saturating_sub(Duration::from_nanos(1))), None);
        assert_eq!(minute.take(start + MINUTE), Some(2));
        assert_eq!(minute.due(), None);
        minute.count(start + 10 * MINUTE);
        assert_eq!(minute.take(start + 10 * MINUTE), Some(1));
    }

    #[test]
    fn what_is_gathered_waits_for_its_minute() {
        let (mut minute, start) = (Minute::default(), Instant::now());
        for later in [Duration::ZERO, 10 * MINUTE] {
            minute.gather(start + later);
            minute.gather(start + later + MINUTE / 2);
            assert_eq!(minute.take(start + later + MINUTE / 2), None);
            assert_eq!(minute.take(start + later + MINUTE), Some(2));
        }
    }

    #[test]
    fn the_rest_is_told_before_its_time() {
        let (mut minute, start) = (Minute::default(), Instant::now());
        minute.gather(start);
        assert_eq!(minute.rest(), Some(1));
        assert_eq!(minute.rest(), None);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_brings_more_than_burst_and_rate(
            per_second in 1_u32..1000, burst in 1_u32..100, steps in prop::collection::vec(0_u64..50, 1..200)
        ) {
            let (mut budget, start) = (budget(per_second, burst), Instant::now());
            let mut millis = 0;
            let mut bought = Vec::new();
            for step in steps {
                millis += step;
                if budget.admit(start + Duration::from_millis(millis)) {
                    bought.push(millis);
                }
            }
            for (first, from) in bought.iter().enumerate() {
                for (last, until) in bought.iter().enumerate().skip(first) {
                    let records = 2 * (last - first + 1) as u64;
                    let earned = (until - from) * u64::from(per_second) / 1000 + 1;
                    prop_assert!(records <= u64::from(burst) + earned);
                }
            }
        }
    }
}
