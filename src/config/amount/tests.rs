//! How amounts are read and written, and where they end.

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
    for text in ["", " ", "s", "-1", "+1", "1x", "1.", ".", "1..5", "1.5.5", "1s,2s", "1S", "٣s"] {
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
