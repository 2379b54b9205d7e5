//! The figures of a run.

use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest time that is told apart, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Times are kept to 3 significant digits.
const DIGITS: u8 = 3;

/// How many messages, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Left.
    pub(super) sent: u64,
    /// Came back in time, right or wrong.
    pub(super) received: u64,
    /// Came back after they were given up; these are among those lost.
    pub(super) late: u64,
    /// Answers to messages that had theirs.
    pub(super) duplicated: u64,
    /// Came back after one that was sent later.
    pub(super) reordered: u64,
    /// Came back wrong, or with something that does not belong to them.
    pub(super) corrupted: u64,
    /// Should have been sent on connections that had ended.
    pub(super) missing: u64,
    /// Bytes sent.
    pub(super) bytes: u64,
}

impl Counts {
    /// Did not come back, or too late.
    pub(super) fn lost(&self) -> u64 {
        self.sent - self.received
    }

    /// What of all that was to be sent did not come back, 0 to 100.
    pub(super) fn loss(&self) -> f64 {
        let all = self.sent + self.missing;
        if all == 0 { 0.0 } else { real(self.lost() + self.missing) * 100.0 / real(all) }
    }
}

/// Counts, and how long everything took.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// The counts.
    pub(super) counts: Counts,
    connect: Spread,
    round_trip: Spread,
    /// The sum of the differences between neighbours, and how many there are.
    jitter: (Duration, u64),
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            connect: Spread::new(),
            round_trip: Spread::new(),
            jitter: (Duration::ZERO, 0),
        }
    }
}

/// How long round trips took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// The shortest.
    pub(super) min: Duration,
    /// Half took no longer.
    pub(super) median: Duration,
    /// Nine of ten took no longer.
    pub(super) p90: Duration,
    /// 99 of 100 took no longer.
    pub(super) p99: Duration,
    /// The longest.
    pub(super) max: Duration,
    /// By how much one differed from the one before on its connection, on average.
    pub(super) jitter: Duration,
}

impl Tally {
    /// A connection was made.
    pub(super) fn connected(&mut self, time: Duration) {
        self.connect.record(time);
    }

    /// An answer came in time, and the one before on that connection took `before`.
    pub(super) fn answered(&mut self, time: Duration, before: Option<Duration>) {
        self.counts.received += 1;
        self.round_trip.record(time);
        if let Some(before) = before {
            self.jitter.0 += time.abs_diff(before);
            self.jitter.1 += 1;
        }
    }

    /// How long a connection took to be made, as a rule; none if none was.
    pub(super) fn connect(&self) -> Option<Duration> {
        (!self.connect.steps.is_empty()).then(|| self.connect.quantile(0.5))
    }

    /// How long round trips took; none if nothing came back.
    pub(super) fn times(&self) -> Option<Times> {
        let all = &self.round_trip;
        (!all.steps.is_empty()).then(|| Times {
            min: all.min,
            median: all.quantile(0.5),
            p90: all.quantile(0.9),
            p99: all.quantile(0.99),
            max: all.max,
            jitter: average(self.jitter),
        })
    }

    /// The longest so far.
    pub(super) fn longest(&self) -> Duration {
        self.round_trip.max
    }

    /// How many round trips took how long, in at most `rows` steps that are
    /// equal or grow alike: the end of each step, and the count in it.
    pub(super) fn steps(&self, rows: u32) -> Vec<(Duration, u64)> {
        let all = &self.round_trip.steps;
        if all.is_empty() {
            return Vec::new();
        }
        let (least, most) = (real(all.min()), real(all.max()));
        let ratio = most / least;
        let end = |row: u32| {
            let part = f64::from(row) / f64::from(rows);
            // Where the longest took a multiple of the shortest, equal steps
            // would put nearly all into the first.
            let end =
                if ratio > 4.0 { least * ratio.powf(part) } else { least + (most - least) * part };
            whole(end)
        };
        let mut steps = Vec::new();
        let mut begin = 0;
        for row in 1..=rows {
            let end = if row == rows { all.max() } else { end(row) };
            if end > begin {
                steps.push((Duration::from_nanos(end), all.count_between(begin, end)));
            }
            begin = all.highest_equivalent(end) + 1;
        }
        steps
    }
}

/// Times, to three digits, and the outermost of them as they were.
#[derive(Clone, Debug)]
struct Spread {
    steps: Histogram<u64>,
    min: Duration,
    max: Duration,
}

impl Spread {
    fn new() -> Self {
        let steps = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        let steps = steps.expect("the bounds are in order");
        Self { steps, min: Duration::MAX, max: Duration::ZERO }
    }

    fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(LONGEST);
        self.steps.saturating_record(nanoseconds.max(1));
        self.min = self.min.min(time);
        self.max = self.max.max(time);
    }

    fn quantile(&self, quantile: f64) -> Duration {
        let value = Duration::from_nanos(self.steps.value_at_quantile(quantile));
        value.clamp(self.min, self.max)
    }
}

fn average((sum, count): (Duration, u64)) -> Duration {
    let nanoseconds = sum.as_nanos().checked_div(u128::from(count)).unwrap_or(0);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// Exact as far as 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "figures for people have three digits")]
pub(super) fn real(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(microseconds: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        let mut before = None;
        for time in microseconds.into_iter().map(Duration::from_micros) {
            tally.answered(time, before);
            before = Some(time);
        }
        tally
    }

    fn is_near(is: Duration, should: u64) -> bool {
        is.abs_diff(Duration::from_micros(should)) <= Duration::from_micros(should) / 500
    }

    #[test]
    fn quantiles_are_those_of_the_times() {
        let times = tally(1..=1000).times().unwrap();
        assert!(is_near(times.min, 1) && is_near(times.median, 500) && is_near(times.p90, 900));
        assert!(is_near(times.p99, 990) && is_near(times.max, 1000));
        assert_eq!(times.jitter, Duration::from_micros(1));
    }

    #[test]
    fn without_answers_there_are_no_times() {
        assert_eq!(tally([]).times(), None);
        assert_eq!(tally([]).connect(), None);
        assert_eq!(tally([]).steps(10), []);
        assert_eq!(tally([7]).times().unwrap().jitter, Duration::ZERO);
    }

    #[test]
    fn jitter_is_the_average_difference_of_neighbours() {
        assert_eq!(tally([100, 140, 120]).times().unwrap().jitter, Duration::from_micros(30));
    }

    #[test]
    fn every_round_trip_is_in_one_step() {
        for times in [vec![5], vec![100, 101, 102], (1..5000).collect(), vec![1, 1_000_000]] {
            for rows in [1, 2, 12] {
                let steps = tally(times.clone()).steps(rows);
                let sum: u64 = steps.iter().map(|(_, count)| count).sum();
                assert_eq!(sum, times.len() as u64, "{rows} {steps:?}");
                assert!(steps.len() <= rows as usize);
                assert!(steps.is_sorted_by(|a, b| a.0 < b.0));
            }
        }
    }

    #[test]
    fn loss_is_of_all_that_was_to_be_sent() {
        let counts = Counts { sent: 8, received: 6, ..Counts::default() };
        assert_eq!((counts.lost(), counts.loss()), (2, 25.0));
        assert!((Counts { missing: 2, ..counts }.loss() - 40.0).abs() < 1e-9);
        assert!(Counts::default().loss().abs() < 1e-9);
    }
}
