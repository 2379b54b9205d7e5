//! Messages with bounds of their own: one in, one out.

use super::{DATAGRAM_MAX, Protocol, Rule};
use std::fmt;

/// An answer would have more bytes than a datagram can: it is refused, never cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer has at most 65,507 bytes")
    }
}

impl std::error::Error for TooLong {}

/// What makes a message its answer: some bytes put in at one place. Nothing is
/// copied, and the message stays what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insertion<'a> {
    /// How many bytes of the message stand before it.
    pub place: usize,
    /// What is put in.
    pub suffix: &'a [u8],
}

impl<'a> Insertion<'a> {
    /// The answer to `message` in pieces, some of which may be empty.
    ///
    /// # Panics
    /// If the message is not the one that this was made for.
    pub fn pieces<'b>(&self, message: &'b [u8]) -> [&'b [u8]; 3]
    where
        'a: 'b,
    {
        let (before, behind) = message.split_at(self.place);
        [before, self.suffix, behind]
    }
}

/// The answer to a message. `taken` is the message's real length, which may be
/// more than what is there of it: such a message is not looked at.
///
/// # Errors
/// If the answer would have more than 65,507 bytes.
///
/// # Panics
/// If less is there of a message whose answer is not too long.
pub fn answer_datagram<'a>(
    rule: &'a Rule,
    protocol: Protocol,
    message: &[u8],
    taken: usize,
) -> Result<Insertion<'a>, TooLong> {
    let suffix = match protocol {
        Protocol::Reply | Protocol::Line => rule.suffix(),
        Protocol::Rfc862 => b"",
    };
    if taken.saturating_add(suffix.len()) > DATAGRAM_MAX {
        return Err(TooLong);
    }
    let place = match protocol {
        Protocol::Line => without_line_end(&message[..taken]).len(),
        Protocol::Reply | Protocol::Rfc862 => taken,
    };
    Ok(Insertion { place, suffix })
}

/// Whether a message of a seqpacket conversation ends it: in `reply`, if it
/// begins with the exit word; in `line`, if it is the exit word, with or
/// without a line end.
pub fn says_exit(rule: &Rule, protocol: Protocol, message: &[u8]) -> bool {
    let word = rule.exit_word();
    !word.is_empty()
        && match protocol {
            Protocol::Reply => message.starts_with(word),
            Protocol::Line => without_line_end(message) == word,
            Protocol::Rfc862 => false,
        }
}

fn without_line_end(message: &[u8]) -> &[u8] {
    match message.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(protocol: Protocol, suffix: &[u8], message: &[u8]) -> Result<Vec<u8>, TooLong> {
        let rule = Rule::new(suffix, b"exit", 1).unwrap();
        let insertion = answer_datagram(&rule, protocol, message, message.len())?;
        Ok(insertion.pieces(message).concat())
    }

    #[test]
    fn a_datagram_comes_back_whole_in_rfc862_the_empty_one_too() {
        let longest = vec![b'a'; 65_507];
        for message in [&b""[..], b"a", b"exit\r\n", b"\0\xff", &longest] {
            assert_eq!(say(Protocol::Rfc862, b"-S", message).unwrap(), message);
        }
    }

    #[test]
    fn a_datagram_comes_back_with_the_suffix_in_reply() {
        assert_eq!(say(Protocol::Reply, b"-S", b"a\n").unwrap(), b"a\n-S");
        assert_eq!(say(Protocol::Reply, b"-S", b"").unwrap(), b"-S");
        assert_eq!(say(Protocol::Reply, b"", b"a").unwrap(), b"a");
    }

    #[test]
    fn a_datagram_has_no_exit_word() {
        assert_eq!(say(Protocol::Reply, b"-S", b"exit").unwrap(), b"exit-S");
        assert_eq!(say(Protocol::Line, b"-S", b"exit\n").unwrap(), b"exit-S\n");
    }

    #[test]
    fn the_suffix_goes_before_a_final_line_end_in_line() {
        let facts: [(&[u8], &[u8]); 9] = [
            (b"", b"-S"),
            (b"a", b"a-S"),
            (b"a\n", b"a-S\n"),
            (b"a\r\n", b"a-S\r\n"),
            (b"a\r\r\n", b"a\r-S\r\n"),
            (b"a\r", b"a\r-S"),
            (b"\n", b"-S\n"),
            (b"\r\n", b"-S\r\n"),
            (b"a\nb\n", b"a\nb-S\n"),
        ];
        for (message, answer) in facts {
            assert_eq!(say(Protocol::Line, b"-S", message).unwrap(), answer);
        }
    }

    #[test]
    fn a_suffix_may_be_longer_than_its_message() {
        let suffix = [b's'; 256];
        let answer = say(Protocol::Line, &suffix, b"a\r\n").unwrap();
        assert_eq!(answer, [&b"a"[..], &suffix, b"\r\n"].concat());
    }

    #[test]
    fn an_answer_of_more_than_65507_bytes_is_refused_never_cut() {
        for (protocol, suffix) in [(Protocol::Reply, 2), (Protocol::Line, 2), (Protocol::Rfc862, 0)]
        {
            for (length, fits) in [(65_506, true), (65_507, true), (65_508, false)] {
                let message = vec![b'a'; length - suffix];
                let said = say(protocol, b"-S", &message).map(|answer| answer.len());
                assert_eq!(said, if fits { Ok(length) } else { Err(TooLong) });
            }
        }
    }

    #[test]
    fn a_message_longer_than_what_is_there_of_it_is_refused() {
        let rule = Rule::default();
        for protocol in Protocol::ALL {
            for taken in [65_508, 65_527, usize::MAX] {
                assert_eq!(answer_datagram(&rule, protocol, &[b'a'; 16], taken), Err(TooLong));
            }
        }
    }

    #[test]
    fn a_seqpacket_message_says_exit_as_its_protocol_has_it() {
        let facts: [(&[u8], [bool; 3]); 8] = [
            (b"exit", [true, true, false]),
            (b"exit\n", [true, true, false]),
            (b"exit\r\n", [true, true, false]),
            (b"exit\r", [true, false, false]),
            (b"exitfoo", [true, false, false]),
            (b"exi", [false, false, false]),
            (b" exit", [false, false, false]),
            (b"", [false, false, false]),
        ];
        for (message, says) in facts {
            for (protocol, says) in Protocol::ALL.into_iter().zip(says) {
                assert_eq!(says_exit(&Rule::default(), protocol, message), says);
            }
        }
    }

    #[test]
    fn without_an_exit_word_nothing_says_it() {
        let rule = Rule::new(b"", b"", 1).unwrap();
        for protocol in Protocol::ALL {
            assert!(!says_exit(&rule, protocol, b""));
            assert!(!says_exit(&rule, protocol, b"\n"));
        }
    }
}
