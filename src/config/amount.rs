//! Amounts that carry their range in their type, so that one out of range
//! cannot be built; read and written as systemd does.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a text or number is no such amount. It reads on after the text:
/// "… is too short: 1s to 1d are allowed".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    wrong: &'static str,
    allowed: String,
}

impl Unfit {
    pub(super) fn new(wrong: &'static str, allowed: impl Into<String>) -> Self {
        Self { wrong, allowed: allowed.into() }
    }

    fn outside(wrong: &'static str, min: impl fmt::Display, max: impl fmt::Display) -> Self {
        Self::new(wrong, format!("{min} to {max}"))
    }

    /// The same where a word is allowed besides.
    #[must_use]
    pub fn or(self, word: &str) -> Self {
        Self { allowed: format!("{} or {word}", self.allowed), ..self }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} are allowed", self.wrong, self.allowed)
    }
}

impl std::error::Error for Unfit {}

/// A number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// Refuses what is out of range.
    pub fn new(number: u32) -> Result<Self, Unfit> {
        match number {
            n if n < MIN => Err(Unfit::outside("is too small", MIN, MAX)),
            n if n > MAX => Err(Unfit::outside("is too large", MIN, MAX)),
            n => Ok(Self(n)),
        }
    }

    /// For constants: out of range does not compile there, and panics elsewhere.
    pub const fn literal(number: u32) -> Self {
        assert!(MIN <= number && number <= MAX, "in range");
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for Count<MIN, MAX> {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        match whole(text) {
            Some(number) => Self::new(u32::try_from(number).unwrap_or(u32::MAX)),
            None => Err(Unfit::outside("is no number", MIN, MAX)),
        }
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for Count<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `MIN` to `MAX` bytes. Units are powers of 1024: `64K`, `1.5KiB`, `100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Size<MIN, MAX> {
    /// Refuses what is out of range.
    pub fn new(bytes: u64) -> Result<Self, Unfit> {
        let unfit = |wrong| Unfit::outside(wrong, Bytes(MIN), Bytes(MAX));
        match u32::try_from(bytes) {
            Ok(n) if n < MIN => Err(unfit("is too small")),
            Ok(n) if n <= MAX => Ok(Self(n)),
            _ => Err(unfit("is too large")),
        }
    }

    /// For constants: out of range does not compile there, and panics elsewhere.
    pub const fn literal(bytes: u32) -> Self {
        assert!(MIN <= bytes && bytes <= MAX, "in range");
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for Size<MIN, MAX> {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let (number, unit) = split_number(text);
        let factor = match unit.trim_start() {
            "" | "B" => Some(1),
            "K" | "KiB" => Some(1 << 10),
            "M" | "MiB" => Some(1 << 20),
            "G" | "GiB" => Some(1 << 30),
            _ => None,
        };
        match factor.and_then(|factor| times(number, factor)) {
            Some(bytes) => Self::new(bytes),
            None => Err(Unfit::new("is no size", "bytes or numbers with K, M or G, such as 64K,")),
        }
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for Size<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.0).fmt(f)
    }
}

/// So many bytes, with the largest unit that divides them.
struct Bytes(u32);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        self.0.fmt(f)
    }
}

/// `MIN` to `MAX` milliseconds, kept to the microsecond, in the syntax of
/// systemd.time(7): `500ms`, `30s`, `1min 30s`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span<const MIN: u64, const MAX: u64>(Duration);

impl<const MIN: u64, const MAX: u64> Span<MIN, MAX> {
    /// Refuses what is out of range.
    pub fn new(duration: Duration) -> Result<Self, Unfit> {
        let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
        match duration {
            d if d < min => Err(Unfit::outside("is too short", Time(min), Time(max))),
            d if d > max => Err(Unfit::outside("is too long", Time(min), Time(max))),
            d => Ok(Self(d)),
        }
    }

    /// For constants: out of range does not compile there, and panics elsewhere.
    pub const fn literal(milliseconds: u64) -> Self {
        assert!(MIN <= milliseconds && milliseconds <= MAX, "in range");
        Self(Duration::from_millis(milliseconds))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Span<MIN, MAX> {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        match microseconds(text) {
            Some(sum) => Self::new(Duration::from_micros(sum)),
            None => Err(Unfit::new(
                "is no time span",
                "numbers with us, ms, s, min, h, d or w, such as 500ms or 1min 30s,",
            )),
        }
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Span<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Time(self.0).fmt(f)
    }
}

/// As systemd writes it: the largest units first, `1min 30s`.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_micros();
        let mut gap = "";
        for unit in ["d", "h", "min", "s", "ms", "us"] {
            let length = u128::from(unit_microseconds(unit).expect("these are in the table"));
            if rest >= length {
                write!(f, "{gap}{}{unit}", rest / length)?;
                rest %= length;
                gap = " ";
            }
        }
        if gap.is_empty() { f.write_str("0") } else { Ok(()) }
    }
}

/// Saturates; none if it is no time span.
fn microseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if matches!(rest, "infinity" | "off") {
        return Some(u64::MAX);
    }
    let mut sum = None;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let part = times(number, unit_microseconds(unit)?)?;
        sum = Some(sum.unwrap_or(0_u64).saturating_add(part));
        rest = after.trim_start();
    }
    sum
}

/// The units of systemd.time(7); no unit is seconds.
fn unit_microseconds(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000;
    Some(match unit {
        "usec" | "us" | "µs" | "μs" => 1,
        "msec" | "ms" => 1_000,
        "" | "seconds" | "second" | "sec" | "s" => SECOND,
        "minutes" | "minute" | "min" | "m" => 60 * SECOND,
        "hours" | "hour" | "hr" | "h" => 3_600 * SECOND,
        "days" | "day" | "d" => 86_400 * SECOND,
        "weeks" | "week" | "w" => 7 * 86_400 * SECOND,
        // 30.44 and 365.25 days.
        "months" | "month" | "M" => 2_629_800 * SECOND,
        "years" | "year" | "y" => 31_557_600 * SECOND,
        _ => return None,
    })
}

/// `1.5` times 1024 is 1536. Saturates; none if it is no number.
fn times(number: &str, factor: u64) -> Option<u64> {
    // More decimals than this change no result, and overflow.
    const DECIMALS_MAX: usize = 18;
    let Some((whole_part, decimals)) = number.split_once('.') else {
        return whole(number).map(|number| number.saturating_mul(factor));
    };
    let whole_part = if whole_part.is_empty() { 0 } else { whole(whole_part)? };
    whole(decimals)?;
    let decimals = &decimals[..decimals.len().min(DECIMALS_MAX)];
    let scale = decimals.bytes().fold(1_u128, |scale, _| scale * 10);
    let fraction = u128::from(whole(decimals)?) * u128::from(factor) / scale;
    let fraction = u64::try_from(fraction).expect("a fraction of a factor is less than it");
    Some(whole_part.saturating_mul(factor).saturating_add(fraction))
}

/// Digits only, unlike the standard library's, which may begin with a `+`.
/// Saturates.
pub(super) fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests;
