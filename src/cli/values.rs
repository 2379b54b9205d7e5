//! What may stand behind an option: read as bytes, refused in half a line.

use super::usage::quoted;
use crate::config::{Listen, MESSAGE_MAX, RATE_MAX, Rate, Unfit};
use crate::echo::{Protocol, Rule};
use crate::endpoint::Kind;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

/// A way to read a value. clap's own would not let values be bytes, and words
/// its refusals in several lines.
#[derive(Clone)]
pub(crate) struct Reader<T> {
    read: fn(&OsStr) -> Result<T, String>,
    words: &'static [&'static str],
}

impl<T> Reader<T> {
    /// The only words it reads, for the shell completions.
    pub(crate) fn of(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Reader<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        text: &OsStr,
    ) -> Result<T, clap::Error> {
        (self.read)(text).map_err(|reason| {
            let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
            let option = arg.and_then(Arg::get_long).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, ContextValue::String(format!("--{option}")));
            error.insert(ContextKind::Custom, ContextValue::String(reason));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        if self.words.is_empty() {
            return None;
        }
        Some(Box::new(self.words.iter().map(|&word| PossibleValue::new(word))))
    }
}

/// Reads what [`FromStr`] reads.
pub(crate) fn text<T: FromStr<Err: fmt::Display>>() -> Reader<T> {
    Reader { read: read_text, words: &[] }
}

fn read_text<T: FromStr<Err: fmt::Display>>(text: &OsStr) -> Result<T, String> {
    let Some(utf8) = text.to_str() else {
        return Err(format!("{} is no text in UTF-8", quoted(text)));
    };
    utf8.parse().map_err(|error| format!("{} {error}", quoted(text)))
}

/// Reads `off` besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrOff<T> {
    Off,
    At(T),
}

impl<T> OrOff<T> {
    pub(crate) fn get(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: FromStr<Err = Unfit>> FromStr for OrOff<T> {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        match text {
            "off" | "infinity" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|error: Unfit| error.or("off")),
        }
    }
}

impl<T: fmt::Display> fmt::Display for OrOff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(value) => value.fmt(f),
        }
    }
}

/// None would switch off what is listening; that is not what `off` means.
pub(crate) fn datagram_rate() -> Reader<OrOff<Rate>> {
    let read = |text: &OsStr| match read_text(text)? {
        OrOff::At(rate) if Rate::per_second(rate) == 0 => Err(format!(
            "{} would answer nobody: 1/s to {RATE_MAX}/s or off are allowed",
            quoted(text)
        )),
        rate => Ok(rate),
    };
    Reader { read, words: &[] }
}

/// Begin and end are paid together, so a burst of one would pay for neither.
pub(crate) fn record_rate() -> Reader<Rate> {
    let read = |text: &OsStr| match read_text(text)? {
        rate if Rate::burst(rate) == 1 => Err(format!(
            "{} has too small a burst for a begin and its end: 2 to {RATE_MAX} are allowed",
            quoted(text)
        )),
        rate => Ok(rate),
    };
    Reader { read, words: &[] }
}

pub(crate) fn stream() -> Reader<Listen> {
    Reader { read: |text| listen(Kind::Stream, text), words: &[] }
}

pub(crate) fn datagram() -> Reader<Listen> {
    Reader { read: |text| listen(Kind::Datagram, text), words: &[] }
}

pub(crate) fn sequential_packet() -> Reader<Listen> {
    Reader { read: |text| listen(Kind::SequentialPacket, text), words: &[] }
}

fn listen(kind: Kind, text: &OsStr) -> Result<Listen, String> {
    Listen::from_bytes(kind, text.as_bytes()).map_err(|error| format!("{} {error}", quoted(text)))
}

pub(crate) fn protocol() -> Reader<Protocol> {
    let read = |text: &OsStr| {
        text.to_str().and_then(|word| word.parse().ok()).ok_or_else(|| {
            format!("{} is no protocol: reply, line and rfc862 are allowed", quoted(text))
        })
    };
    Reader { read, words: &["reply", "line", "rfc862"] }
}

/// Some bytes; clap would take a `Vec` for an option to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Box<[u8]>);

pub(crate) fn suffix() -> Reader<Bytes> {
    Reader {
        read: |text| part(text, Rule::new(text.as_bytes(), b"", MESSAGE_MAX.get())),
        words: &[],
    }
}

pub(crate) fn exit_word() -> Reader<Bytes> {
    Reader {
        read: |text| part(text, Rule::new(b"", text.as_bytes(), MESSAGE_MAX.get())),
        words: &[],
    }
}

/// Checked in a rule of its own, so that the right option is named.
fn part<E: fmt::Display>(text: &OsStr, rule: Result<Rule, E>) -> Result<Bytes, String> {
    rule.map(|_| Bytes(text.as_bytes().into())).map_err(|error| error.to_string())
}

/// systemd's own words for it.
pub(crate) fn boolean() -> Reader<bool> {
    let read = |text: &OsStr| match text.to_ascii_lowercase().to_str() {
        Some("1" | "yes" | "y" | "true" | "t" | "on") => Ok(true),
        Some("0" | "no" | "n" | "false" | "f" | "off") => Ok(false),
        _ => Err(format!("{} is neither: yes and no are allowed", quoted(text))),
    };
    Reader { read, words: &["yes", "no"] }
}
