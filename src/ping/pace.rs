//! When each message is due.

use std::time::Duration;

/// When messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Closed loop: as soon as the answer before is back.
    Flood,
    /// Open loop: one after each gap, over all connections in turn, whatever
    /// comes back.
    Every {
        /// The time between two messages of the run.
        gap: Duration,
    },
}

impl Pace {
    /// Each connection sends once in `interval`, spread evenly.
    pub(super) fn interval(interval: Duration, connections: u32) -> Self {
        Self::Every { gap: interval / connections }
    }

    /// So many messages a second over all connections.
    pub(super) fn rate(per_second: u32) -> Self {
        Self::Every { gap: Duration::from_secs(1) / per_second }
    }
}

/// When message `number` of the run is due, from 0, after its begin.
pub(super) fn due(gap: Duration, number: u64) -> Duration {
    let nanoseconds = gap.as_nanos().saturating_mul(u128::from(number));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// From when the time of a message counts. It leaves late when the server has
/// not answered the one before; that is the server's time, and leaving it out
/// would be coordinated omission. What the timer is late by is ours.
pub(super) fn since(due: Duration, sent: Duration) -> Duration {
    const OURS: Duration = Duration::from_millis(1);
    if sent.saturating_sub(due) < OURS { sent } else { due }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn connections_share_the_interval() {
        let pace = Pace::interval(MILLISECOND * 1000, 4);
        assert_eq!(pace, Pace::Every { gap: MILLISECOND * 250 });
        assert_eq!(due(MILLISECOND * 250, 6), MILLISECOND * 1500);
    }

    #[test]
    fn a_rate_is_that_of_all_connections() {
        assert_eq!(Pace::rate(1000), Pace::Every { gap: MILLISECOND });
        assert_eq!(due(Duration::MAX, u64::MAX), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn waiting_for_the_server_counts_and_waiting_for_the_timer_does_not() {
        assert_eq!(since(MILLISECOND * 10, MILLISECOND * 10), MILLISECOND * 10);
        assert_eq!(since(MILLISECOND * 10, MILLISECOND * 21 / 2), MILLISECOND * 21 / 2);
        assert_eq!(since(MILLISECOND * 10, MILLISECOND * 11), MILLISECOND * 10);
    }
}
