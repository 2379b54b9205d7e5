//! How the program ends, and what it says on the terminal when it does.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// What the process returns, after sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// All was well.
    Ok = 0,
    /// `EX_USAGE`: an option, a variable or an inherited socket is wrong.
    Usage = 64,
    /// `EX_UNAVAILABLE`: an address cannot be had.
    Unavailable = 69,
    /// `EX_OSERR`: the system has no more of something.
    OsError = 71,
    /// `EX_NOPERM`: it is not allowed.
    NoPermission = 77,
}

impl From<ExitStatus> for u8 {
    fn from(status: ExitStatus) -> Self {
        status as Self
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        u8::from(status).into()
    }
}

/// Why the program is not to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help` or `--version`: text for stdout, with its line ends.
    Say(String),
    /// Something is wrong: one line for [`complain`].
    Usage(String),
}

impl Stop {
    /// Says it, and returns the status to exit with.
    pub fn end(self) -> ExitStatus {
        match self {
            Self::Say(text) => {
                // Whoever closed stdout did not want the text.
                let _ = io::stdout().write_all(text.as_bytes());
                ExitStatus::Ok
            }
            Self::Usage(line) => {
                complain(line);
                ExitStatus::Usage
            }
        }
    }
}

/// Writes one line to stderr, `echod: …`. It never fails: who closed stderr
/// does not want to know.
pub fn complain(what: impl fmt::Display) {
    let _ = io::stderr().write_all(line(what).as_bytes());
}

/// One line, with one write, and without anything that moves the cursor.
fn line(what: impl fmt::Display) -> String {
    let mut line = "echod: ".to_owned();
    for c in what.to_string().chars() {
        if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_sysexits() {
        for (status, number) in [
            (ExitStatus::Ok, 0),
            (ExitStatus::Usage, 64),
            (ExitStatus::Unavailable, 69),
            (ExitStatus::OsError, 71),
            (ExitStatus::NoPermission, 77),
        ] {
            assert_eq!(u8::from(status), number);
        }
    }

    #[test]
    fn a_complaint_is_one_harmless_line() {
        assert_eq!(line("a\nb\x1b[31m\u{9b}c"), "echod: a\\nb\\u{1b}[31m\\u{9b}c\n");
    }
}
