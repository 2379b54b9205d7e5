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
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Any = Span<0, 3_200_000_000_000_000>;

    fn micros(text: &str) -> Option<u64> {
        text.parse::<Any>().ok().map(|span| u64::try_from(span.get().as_micros()).unwrap())
    }

    #[test]
    fn time_spans_are_read_as_systemd_reads_them() {
        // From `systemd-analyze timespan`.
        for (text, microseconds) in [
            ("0", 0),
            ("1", 1_000_000),
            ("1.5", 1_500_000),
            (".5s", 500_000),
            ("500ms", 500_000),
            ("500 ms", 500_000),
            ("1us", 1),
            ("1µs", 1),
            ("1μs", 1),
            ("0.0000019s", 1),
            ("30s", 30_000_000),
            ("30sec", 30_000_000),
            ("2seconds", 2_000_000),
            ("5min", 300_000_000),
            ("5m", 300_000_000),
            ("1min 30s", 90_000_000),
            ("1min30s", 90_000_000),
            ("1min 30", 90_000_000),
            ("30s 1min", 90_000_000),
            (" 1h  2 min ", 3_720_000_000),
            ("1.5h", 5_400_000_000),
            ("1hr", 3_600_000_000),
            ("1d", 86_400_000_000),
            ("1w", 604_800_000_000),
            ("1M", 2_629_800_000_000),
            ("1y", 31_557_600_000_000),
        ] {
            assert_eq!(micros(text), Some(microseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_span_is_refused() {
        for text in
            ["", " ", "s", "-1", "+1", "1x", "1.", ".", "1..5", "1.5.5", "1s,2s", "1S", "٣s"]
        {
            assert_eq!(
                text.parse::<Any>().unwrap_err().to_string(),
                "is no time span: numbers with us, ms, s, min, h, d or w, such as 500ms or \
                 1min 30s, are allowed",
                "{text}"
            );
        }
    }

    #[test]
    fn endless_is_too_long_where_an_end_is_needed() {
        for text in ["infinity", "off", "99999999999999999999999y", "18446744073709551615d"] {
            assert_eq!(
                text.parse::<Span<1_000, 86_400_000>>().unwrap_err().to_string(),
                "is too long: 1s to 1d are allowed",
                "{text}"
            );
        }
    }

    #[test]
    fn time_spans_are_written_as_systemd_writes_them() {
        for (milliseconds, text) in [
            (0, "0"),
            (500, "500ms"),
            (1_000, "1s"),
            (60_000, "1min"),
            (90_000, "1min 30s"),
            (86_400_000, "1d"),
            (31_536_000_000, "365d"),
        ] {
            assert_eq!(Any::literal(milliseconds).to_string(), text);
        }
    }

    #[test]
    fn a_span_keeps_its_range() {
        type Day = Span<1_000, 86_400_000>;
        let micro = Duration::from_micros(1);
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(86_400));
        assert_eq!(Day::new(Duration::from_micros(999_999)).unwrap_err().wrong, "is too short");
        assert_eq!(Day::new(min).map(Day::get), Ok(min));
        assert_eq!(Day::new(max).map(Day::get), Ok(max));
        assert_eq!(Day::new(max + micro).unwrap_err().wrong, "is too long");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        type Any = Size<0, { u32::MAX }>;
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("1B", 1),
            ("1K", 1 << 10),
            ("1KiB", 1 << 10),
            ("1 K", 1 << 10),
            ("1.5K", 1536),
            ("0.3K", 307),
            ("64K", 65_536),
            ("1M", 1 << 20),
            ("1MiB", 1 << 20),
            ("3G", 3 << 30),
            ("3GiB", 3 << 30),
        ] {
            assert_eq!(text.parse::<Any>().map(Any::get), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "+1", "1k", "1KB", "1Ki", "1T", "1.K", "1 2", "0x10"] {
            assert_eq!(
                text.parse::<Any>().unwrap_err().to_string(),
                "is no size: bytes or numbers with K, M or G, such as 64K, are allowed",
                "{text}"
            );
        }
        assert_eq!(Any::literal(65_536).to_string(), "64K");
        assert_eq!(Any::literal(1_000).to_string(), "1000");
        assert_eq!(Any::literal(0).to_string(), "0");
    }

    #[test]
    fn a_size_keeps_its_range() {
        type Message = Size<1, 65_536>;
        let refused = |bytes| Message::new(bytes).unwrap_err().to_string();
        assert_eq!(refused(0), "is too small: 1 to 64K are allowed");
        assert_eq!(Message::new(1).map(Message::get), Ok(1));
        assert_eq!(Message::new(65_536).map(Message::get), Ok(65_536));
        assert_eq!(refused(65_537), "is too large: 1 to 64K are allowed");
        assert_eq!(refused(u64::MAX), "is too large: 1 to 64K are allowed");
    }

    #[test]
    fn a_count_keeps_its_range() {
        type Few = Count<1, 3>;
        let refused = |text: &str| text.parse::<Few>().unwrap_err().to_string();
        assert_eq!(refused("0"), "is too small: 1 to 3 are allowed");
        assert_eq!("1".parse::<Few>().map(Few::get), Ok(1));
        assert_eq!("3".parse::<Few>().map(Few::get), Ok(3));
        assert_eq!(refused("4"), "is too large: 1 to 3 are allowed");
        assert_eq!(refused("99999999999999999999"), "is too large: 1 to 3 are allowed");
        for text in ["", "+1", "-1", "1.0", "1K", " 1", "x"] {
            assert_eq!(refused(text), "is no number: 1 to 3 are allowed", "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text: String) {
            let _ = text.parse::<Any>();
            let _ = text.parse::<Size<0, 7>>();
            let _ = text.parse::<Count<0, 7>>();
        }

        #[test]
        fn no_number_is_too_long_to_read(text in r"[0-9]{0,40}(\.[0-9]{0,40})?(|s|y|us|K|G)") {
            let _ = text.parse::<Any>();
            let _ = text.parse::<Size<0, 7>>();
        }

        #[test]
        fn a_span_reads_as_it_was_written(microseconds in 0..3_200_000_000_000_000_000_u64) {
            let span = Any::new(Duration::from_micros(microseconds)).unwrap();
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn a_size_reads_as_it_was_written(bytes: u32) {
            let size = Size::<0, { u32::MAX }>::literal(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
