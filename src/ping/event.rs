//! What happens in a run, as lines for people and as objects for programs.
//! Nothing that a server sends is shown but as hexadecimal digits.

use super::book::Came;
use super::heard::{Fault, Hex};
use super::tally::real;
use std::fmt::{self, Write};
use std::time::Duration;

/// Something that happened on a connection.
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    /// Which connection, from 0.
    pub(super) connection: u32,
    /// The address at its other end.
    pub(super) peer: &'a str,
    /// What.
    pub(super) what: What<'a>,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum What<'a> {
    /// It was made.
    Connected {
        /// How long it took; datagrams have no connection.
        time: Option<Duration>,
    },
    /// An answer came.
    Answer {
        /// To which message.
        sequence: u32,
        /// How many bytes.
        len: usize,
        /// What it was.
        came: Came,
        /// What is wrong with it.
        fault: Option<&'a Fault>,
    },
    /// Something came that nobody asked for.
    Surplus {
        /// Behind the answer to this message.
        after: Option<u32>,
        /// What.
        fault: &'a Fault,
    },
    /// A message was given up.
    Lost {
        /// Which.
        sequence: u32,
    },
    /// The server ended it, or it broke.
    Ended {
        /// How.
        why: &'a str,
    },
    /// It was not made.
    Unreached {
        /// Why.
        why: &'a str,
    },
}

impl What<'_> {
    /// Whether all is well.
    pub(super) fn is_well(&self) -> bool {
        match self {
            Self::Connected { .. } => true,
            Self::Answer { came, fault, .. } => {
                fault.is_none() && matches!(came, Came::Back { reordered: false, .. })
            }
            _ => false,
        }
    }
}

/// A line for people. Only one of several connections is named.
pub(super) struct Line<'a>(pub(super) &'a Event<'a>, pub(super) Many);

/// Whether there are several connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Many {
    /// There is one.
    One,
    /// There are more.
    Several,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Event { connection, peer, what }, many) = self;
        let place = |f: &mut fmt::Formatter<'_>| match many {
            Many::One => Ok(()),
            Many::Several => write!(f, "conn={connection} "),
        };
        match what {
            What::Connected { time: Some(time) } => {
                place(f)?;
                write!(f, "connected to {peer} in {}", Milliseconds(*time))
            }
            What::Connected { time: None } => Ok(()),
            What::Answer { sequence, len, came, fault } => {
                write!(f, "{len} bytes from {peer}: ")?;
                place(f)?;
                write!(f, "seq={sequence}")?;
                match came {
                    Came::Back { time, .. } => write!(f, " time={}", Milliseconds(*time))?,
                    Came::Again => f.write_str(" (duplicate)")?,
                    Came::Late => f.write_str(" (late)")?,
                }
                if let Came::Back { reordered: true, .. } = came {
                    f.write_str(" (reordered)")?;
                }
                match fault {
                    Some(fault) => write!(f, " CORRUPTED: {fault}"),
                    None => Ok(()),
                }
            }
            What::Surplus { after: Some(sequence), fault } => {
                write!(f, "from {peer}: ")?;
                place(f)?;
                write!(f, "seq={sequence} CORRUPTED: {fault}")
            }
            What::Surplus { after: None, fault } => {
                write!(f, "from {peer}: ")?;
                place(f)?;
                write!(f, "CORRUPTED: {fault}")
            }
            What::Lost { sequence } => {
                place(f)?;
                write!(f, "seq={sequence} lost")
            }
            What::Ended { why } | What::Unreached { why } => {
                place(f)?;
                f.write_str(why)
            }
        }
    }
}

/// An object for programs.
pub(super) struct Object<'a>(pub(super) &'a Event<'a>);

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Event { connection, peer, what }) = self;
        let kind = match what {
            What::Connected { .. } => "connected",
            What::Answer { .. } => "answer",
            What::Surplus { .. } => "surplus",
            What::Lost { .. } => "lost",
            What::Ended { .. } => "ended",
            What::Unreached { .. } => "unreached",
        };
        write!(f, r#"{{"type":"{kind}","connection":{connection}"#)?;
        match what {
            What::Connected { time } => {
                write!(f, r#","peer":{},"connect_us":{}"#, Text(peer), Micros(*time))?;
            }
            What::Answer { sequence, len, came, fault } => {
                let (time, result) = match came {
                    _ if fault.is_some() => (None, "corrupted"),
                    Came::Back { time, reordered: false } => (Some(*time), "intact"),
                    Came::Back { time, reordered: true } => (Some(*time), "reordered"),
                    Came::Again => (None, "duplicate"),
                    Came::Late => (None, "late"),
                };
                write!(f, r#","sequence":{sequence},"bytes":{len},"rtt_us":{}"#, Micros(time))?;
                write!(f, r#","result":"{result}""#)?;
                if let Some(fault) = fault {
                    object_of(f, fault)?;
                }
            }
            What::Surplus { after, fault } => {
                match after {
                    Some(sequence) => write!(f, r#","sequence":{sequence}"#)?,
                    None => f.write_str(r#","sequence":null"#)?,
                }
                write!(f, r#","bytes":{},"found":"{}""#, fault.len, Hex(&fault.found))?;
            }
            What::Lost { sequence } => write!(f, r#","sequence":{sequence}"#)?,
            What::Ended { why } | What::Unreached { why } => {
                write!(f, r#","reason":{}"#, Text(why))?;
            }
        }
        f.write_char('}')
    }
}

fn object_of(f: &mut fmt::Formatter<'_>, fault: &Fault) -> fmt::Result {
    let Fault { len_wanted, at, differing, found, wanted, len: _ } = fault;
    write!(f, r#","bytes_expected":{len_wanted},"at":{at},"differing":{differing}"#)?;
    write!(f, r#","found":"{}","expected":"{}""#, Hex(found), Hex(wanted))
}

/// A time in milliseconds, to the microsecond.
pub(super) struct Milliseconds(pub(super) Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.0.as_secs_f64() * 1e3)
    }
}

/// A time in microseconds, as JSON has it.
pub(super) struct Micros(pub(super) Option<Duration>);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => {
                let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                write!(f, "{:.1}", real(nanoseconds) / 1e3)
            }
            None => f.write_str("null"),
        }
    }
}

/// A text, as JSON has it.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_nanos(83_412);

    fn both(what: What<'_>) -> (String, String) {
        let event = Event { connection: 0, peer: "tcp:127.0.0.1:7", what };
        let object = Object(&event).to_string();
        serde_json::from_str::<serde_json::Value>(&object).expect("it is JSON");
        (Line(&event, Many::One).to_string(), object)
    }

    fn answer(came: Came, fault: Option<&Fault>) -> (String, String) {
        both(What::Answer { sequence: 3, len: 56, came, fault })
    }

    #[test]
    fn an_answer_is_a_line_and_an_object() {
        let (line, object) = answer(Came::Back { time: TIME, reordered: false }, None);
        assert_eq!(line, "56 bytes from tcp:127.0.0.1:7: seq=3 time=0.083 ms");
        let wanted = r#"{"type":"answer","connection":0,"sequence":3,"bytes":56,"rtt_us":83.4,"result":"intact"}"#;
        assert_eq!(object, wanted);
    }

    #[test]
    fn what_is_not_well_is_said() {
        let fault = Fault::between(b"aXc", b"abc");
        for (what, words, result) in [
            (answer(Came::Again, None), "(duplicate)", "duplicate"),
            (answer(Came::Late, None), "(late)", "late"),
            (answer(Came::Back { time: TIME, reordered: true }, None), "(reordered)", "reordered"),
            (
                answer(Came::Back { time: TIME, reordered: false }, Some(&fault)),
                "CORRUPTED: 1 of 3 bytes differ, from byte 1: 58 63 for 62 63",
                "corrupted",
            ),
        ] {
            assert!(what.0.ends_with(words), "{}", what.0);
            assert!(what.1.contains(&format!(r#""result":"{result}""#)), "{}", what.1);
        }
        let surplus = Fault::between(b"\n", b"");
        let (line, object) = both(What::Surplus { after: Some(3), fault: &surplus });
        assert!(line.ends_with("seq=3 CORRUPTED: too many: 1, from byte 0: 0a"), "{line}");
        assert!(object.contains(r#""found":"0a""#));
        assert_eq!(both(What::Lost { sequence: 3 }).0, "seq=3 lost");
        let (_, object) = both(What::Ended { why: "a \"b\"\n" });
        assert!(object.ends_with(r#""reason":"a \"b\"\u000a"}"#), "{object}");
    }

    #[test]
    fn one_of_several_connections_is_named() {
        let event = Event { connection: 7, peer: "x", what: What::Lost { sequence: 1 } };
        assert_eq!(Line(&event, Many::Several).to_string(), "conn=7 seq=1 lost");
    }
}
