//! What a run amounts to: the exit status, and its word for monitoring.

use super::tally::Counts;

/// What a run amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    /// Everything came back as it was sent.
    Ok = 0,
    /// More was lost than is allowed.
    Loss = 1,
    /// Something came back wrong.
    Corruption = 2,
    /// There was no connection.
    Unreached = 3,
}

impl Verdict {
    /// Corruption goes before loss; duplicates and another order are no fault.
    pub(super) fn of(counts: &Counts, has_connected: bool, loss_max: f64) -> Self {
        if !has_connected {
            Self::Unreached
        } else if counts.corrupted > 0 {
            Self::Corruption
        } else if counts.loss() > loss_max {
            Self::Loss
        } else {
            Self::Ok
        }
    }

    /// The word that monitoring plugins use for this exit status.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Loss => "WARNING",
            Self::Corruption => "CRITICAL",
            Self::Unreached => "UNKNOWN",
        }
    }
}

impl From<Verdict> for u8 {
    fn from(verdict: Verdict) -> Self {
        verdict as Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_BACK: Counts = Counts {
        sent: 10,
        received: 10,
        late: 0,
        duplicated: 0,
        reordered: 0,
        corrupted: 0,
        missing: 0,
        bytes: 0,
    };

    fn status(counts: Counts, loss_max: f64) -> u8 {
        Verdict::of(&counts, true, loss_max).into()
    }

    #[test]
    fn the_statuses_are_those_of_the_manual() {
        assert_eq!(status(ALL_BACK, 0.0), 0);
        assert_eq!(status(Counts { duplicated: 3, reordered: 3, ..ALL_BACK }, 0.0), 0);
        assert_eq!(status(Counts { received: 9, ..ALL_BACK }, 0.0), 1);
        assert_eq!(status(Counts { missing: 1, ..ALL_BACK }, 0.0), 1);
        assert_eq!(status(Counts { corrupted: 1, ..ALL_BACK }, 0.0), 2);
        assert_eq!(u8::from(Verdict::of(&Counts::default(), false, 100.0)), 3);
    }

    #[test]
    fn corruption_goes_before_loss() {
        assert_eq!(status(Counts { corrupted: 1, received: 2, ..ALL_BACK }, 0.0), 2);
    }

    #[test]
    fn so_much_loss_is_allowed_and_no_more() {
        let half = Counts { received: 5, ..ALL_BACK };
        assert_eq!([49.9, 50.0, 50.1].map(|most| status(half, most)), [1, 0, 0]);
    }
}
