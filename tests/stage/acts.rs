//! What peers do while a daemon is watched at every step.

use super::Talker;
use crate::peers::text::SUFFIX;
use echod::echo::Protocol;

/// What a peer does while the daemon is stepped through what it makes of it.
pub struct Act {
    pub name: &'static str,
    pub protocol: Protocol,
    /// With buffers so small that answers get stuck.
    pub small: bool,
    pub does: fn(&mut Talker),
}

pub fn many(word: &str, count: usize) -> String {
    word.repeat(count)
}

/// Everything that a turn can be about.
pub const ACTS: &[Act] = &[
    Act { name: "a message", protocol: Protocol::Rfc862, small: false, does: message },
    Act { name: "a message", protocol: Protocol::Reply, small: false, does: message },
    Act { name: "a message", protocol: Protocol::Line, small: false, does: message },
    Act { name: "many lines", protocol: Protocol::Line, small: false, does: many_lines },
    Act { name: "wide lines", protocol: Protocol::Line, small: false, does: wide_lines },
    Act { name: "half a line", protocol: Protocol::Line, small: false, does: half_a_line },
    Act { name: "a long message", protocol: Protocol::Rfc862, small: true, does: long_message },
    Act { name: "a long message", protocol: Protocol::Reply, small: true, does: long_message },
    Act { name: "long lines", protocol: Protocol::Line, small: true, does: many_lines },
    Act { name: "the end", protocol: Protocol::Rfc862, small: false, does: end },
    Act {
        name: "the end behind a message",
        protocol: Protocol::Reply,
        small: false,
        does: last_message,
    },
    Act { name: "the end of a line", protocol: Protocol::Line, small: false, does: end_in_line },
    Act {
        name: "the end of what was held back",
        protocol: Protocol::Line,
        small: false,
        does: end_in_word,
    },
    Act {
        name: "the end of an exit word",
        protocol: Protocol::Line,
        small: false,
        does: end_in_exit,
    },
    Act { name: "exit", protocol: Protocol::Line, small: false, does: exit_line },
    Act { name: "exit", protocol: Protocol::Reply, small: false, does: exit_reply },
];

fn message(talker: &mut Talker) {
    talker.say_message("a message");
}

pub fn many_lines(talker: &mut Talker) {
    let line = many("x", 20);
    let words = many(&format!("{line}\n"), 400);
    let answer = many(&format!("{line}{SUFFIX}\n"), 400);
    talker.say(words.as_bytes(), answer.as_bytes());
}

/// Lines of which each is given as it lies there, beside its suffix: only short
/// ones are copied together.
fn wide_lines(talker: &mut Talker) {
    let line = many("x", 2_000);
    let words = many(&format!("{line}\n"), 3);
    let answer = many(&format!("{line}{SUFFIX}\n"), 3);
    talker.say(words.as_bytes(), answer.as_bytes());
}

/// Says what may be the exit word, and then that it is not.
fn half_a_line(talker: &mut Talker) {
    talker.say(b"exi", b"");
    talker.say(b"le\r", b"");
    talker.say(b"\n", format!("exile{SUFFIX}\r\n").as_bytes());
}

pub fn long_message(talker: &mut Talker) {
    let words = many("0123456789abcdef", 2_000);
    talker.say(words.as_bytes(), words.as_bytes());
}

fn end(talker: &mut Talker) {
    talker.end(b"", b"");
}

fn last_message(talker: &mut Talker) {
    talker.end(b"bye", b"bye");
}

fn end_in_line(talker: &mut Talker) {
    talker.end(b"bye\r", format!("bye\r{SUFFIX}").as_bytes());
}

fn end_in_word(talker: &mut Talker) {
    talker.end(b"exi", format!("exi{SUFFIX}").as_bytes());
}

fn end_in_exit(talker: &mut Talker) {
    talker.end(b"exit", b"");
}

fn exit_line(talker: &mut Talker) {
    let answer = format!("so{SUFFIX}\n");
    talker.say(b"so\n", answer.as_bytes());
    talker.say_exit(b"exit\nmore");
}

fn exit_reply(talker: &mut Talker) {
    talker.say_exit(b"exit");
}
