//! What is wrong, in one line.

use super::Stop;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How much of what was said is repeated, in characters.
const REPEATED_MAX: usize = 64;

/// What clap refused of what was said to `program`, on the command line or in
/// the environment.
pub(crate) fn stop(program: &str, error: &clap::Error, variable: Option<&str>) -> Stop {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Say(error.to_string()),
        _ => Stop::Usage(line(program, error, variable)),
    }
}

fn line(program: &str, error: &clap::Error, variable: Option<&str>) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    if error.kind() == ErrorKind::UnknownArgument {
        return if argument.starts_with('-') {
            format!("unknown option {} (see {program} --help)", escaped(argument))
        } else {
            format!("unexpected argument {} (see {program} --help)", quoted(argument))
        };
    }
    // clap says "--idle-timeout <TIME>".
    let option = argument.split([' ', '[', '=']).next().unwrap_or_default();
    let who = variable.unwrap_or(option);
    if let Some(reason) = context(ContextKind::Custom) {
        return format!("{who}: {reason}");
    }
    match error.kind() {
        ErrorKind::InvalidValue => format!("{who}: a value is needed (see {program} --help)"),
        ErrorKind::TooManyValues => format!("{who}: no value is allowed (see {program} --help)"),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            escaped(first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// In quotes, as [`escaped`].
pub(crate) fn quoted(text: impl AsRef<OsStr>) -> String {
    format!("'{}'", escaped(text))
}

/// Nothing in it does anything to a terminal, and it is short.
pub(crate) fn escaped(text: impl AsRef<OsStr>) -> String {
    let mut escaped = String::new();
    let mut left = REPEATED_MAX;
    for chunk in text.as_ref().as_bytes().utf8_chunks() {
        let characters = chunk.valid().chars().map(|c| c.escape_debug().to_string());
        let others = chunk.invalid().iter().map(|byte| byte.escape_ascii().to_string());
        for one in characters.chain(others) {
            if left == 0 {
                escaped.push('…');
                return escaped;
            }
            escaped.push_str(&one);
            left -= 1;
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_harmless_and_short() {
        for (text, shown) in [
            (&b"plain"[..], "plain"),
            ("-回传".as_bytes(), "-回传"),
            (b"a\nb\x1b[2J\0", "a\\nb\\u{1b}[2J\\0"),
            (b"it's", "it\\'s"),
            (b"\xff\xe5\x9b", "\\xff\\xe5\\x9b"),
            ("\u{202e}".as_bytes(), "\\u{202e}"),
        ] {
            assert_eq!(escaped(OsStr::from_bytes(text)), shown);
        }
        assert_eq!(escaped("x".repeat(64)), "x".repeat(64));
        assert_eq!(escaped("x".repeat(65)), "x".repeat(64) + "…");
    }
}
