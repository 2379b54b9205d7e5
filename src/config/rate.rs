//! So many in a second.

use super::amount::{Unfit, whole};
use std::fmt;
use std::str::FromStr;

/// The most there can be of a [`Rate`], in a second and at once.
pub const RATE_MAX: u32 = 1_000_000;

/// How many at once if only the rate was said.
pub const BURST: u32 = 1_000;

/// So many in a second, after so many at once: `20/s:1000`. Without the burst
/// it is [`BURST`], and `0` is none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// Refuses more than [`RATE_MAX`], and a rate whose burst lets nothing through.
    pub fn new(per_second: u32, burst: u32) -> Result<Self, Unfit> {
        let least = u32::from(per_second > 0);
        if per_second > RATE_MAX {
            Err(Unfit::new("is too fast", format!("0/s to {RATE_MAX}/s")))
        } else if burst < least {
            Err(Unfit::new("has too small a burst", format!("1 to {RATE_MAX}")))
        } else if burst > RATE_MAX {
            Err(Unfit::new("has too large a burst", format!("{least} to {RATE_MAX}")))
        } else {
            Ok(Self { per_second, burst })
        }
    }

    /// For constants: out of range does not compile there, and panics elsewhere.
    pub const fn literal(per_second: u32, burst: u32) -> Self {
        assert!(per_second <= RATE_MAX && burst <= RATE_MAX, "in range");
        assert!(burst > 0 || per_second == 0, "a burst lets something through");
        Self { per_second, burst }
    }

    /// How many come back in a second.
    pub const fn per_second(self) -> u32 {
        self.per_second
    }

    /// How many at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let number = |text: &str| match whole(text) {
            Some(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
            None => Err(Unfit::new("is no rate", "NUMBER/s and NUMBER/s:BURST")),
        };
        let per_second = number(rate.strip_suffix("/s").unwrap_or(rate))?;
        let burst = match burst {
            Some(burst) => number(burst)?,
            None if per_second == 0 => 0,
            None => BURST,
        };
        Self::new(per_second, burst)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { per_second: 0, burst: 0 } => f.write_str("0"),
            Self { per_second, burst } => write!(f, "{per_second}/s:{burst}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rate_is_read_with_or_without_its_burst() {
        for (text, per_second, burst) in [
            ("20/s", 20, 1_000),
            ("20", 20, 1_000),
            ("20/s:7", 20, 7),
            ("20:7", 20, 7),
            ("1/s:1", 1, 1),
            ("1000000/s:1000000", 1_000_000, 1_000_000),
            ("0", 0, 0),
            ("0/s", 0, 0),
            ("0/s:7", 0, 7),
        ] {
            assert_eq!(text.parse(), Ok(Rate::literal(per_second, burst)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_says_what_is() {
        let form = "is no rate: NUMBER/s and NUMBER/s:BURST are allowed";
        for (text, line) in [
            ("", form),
            ("/s", form),
            ("x", form),
            ("-1/s", form),
            ("1/min", form),
            ("1/s:", form),
            ("1/s:x", form),
            ("1/s:1:1", form),
            ("1000001/s", "is too fast: 0/s to 1000000/s are allowed"),
            ("99999999999999999999", "is too fast: 0/s to 1000000/s are allowed"),
            ("1/s:0", "has too small a burst: 1 to 1000000 are allowed"),
            ("1/s:1000001", "has too large a burst: 1 to 1000000 are allowed"),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap_err().to_string(), line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text: String) {
            let _ = text.parse::<Rate>();
        }

        #[test]
        fn a_rate_reads_as_it_was_written(per_second in 0..=RATE_MAX, burst in 0..=RATE_MAX) {
            if let Ok(rate) = Rate::new(per_second, burst) {
                prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            }
        }
    }
}
