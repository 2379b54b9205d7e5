//! Messages with bounds of their own: one in, one out, in place.

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

/// Makes the message in `buffer[..taken]` its answer, and returns the answer's
/// length. `taken` is the message's real length, which may be more than the
/// buffer has: such a message is not looked at.
///
/// # Errors
/// If the answer would have more than 65,507 bytes. The buffer is as it was.
///
/// # Panics
/// If the buffer has no room for an answer that is not too long
/// ([`super::BUFFER_SIZE`] always has).
pub fn answer_datagram(
    rule: &Rule,
    protocol: Protocol,
    buffer: &mut [u8],
    taken: usize,
) -> Result<usize, TooLong> {
    let suffix = match protocol {
        Protocol::Reply | Protocol::Line => rule.suffix(),
        Protocol::Rfc862 => b"",
    };
    let length = taken.saturating_add(suffix.len());
    if length > DATAGRAM_MAX {
        return Err(TooLong);
    }
    let place = match protocol {
        Protocol::Line => without_line_end(&buffer[..taken]).len(),
        Protocol::Reply | Protocol::Rfc862 => taken,
    };
    let behind = place + suffix.len();
    buffer.copy_within(place..taken, behind);
    buffer[place..behind].copy_from_slice(suffix);
    Ok(length)
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
    use crate::echo::BUFFER_SIZE;

    fn say(protocol: Protocol, suffix: &[u8], message: &[u8]) -> Result<Vec<u8>, TooLong> {
        let rule = Rule::new(suffix, b"exit", 1).unwrap();
        let mut buffer = vec![0xaa; BUFFER_SIZE];
        buffer[..message.len()].copy_from_slice(message);
        let length = answer_datagram(&rule, protocol, &mut buffer, message.len())?;
        buffer.truncate(length);
        Ok(buffer)
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
    fn a_long_suffix_may_overlap_nothing() {
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
    fn a_refused_message_is_left_alone_and_may_be_longer_than_the_buffer() {
        let rule = Rule::default();
        for protocol in Protocol::ALL {
            for taken in [65_508, 65_527, usize::MAX] {
                let mut buffer = [b'a'; 16];
                assert_eq!(answer_datagram(&rule, protocol, &mut buffer, taken), Err(TooLong));
                assert_eq!(buffer, [b'a'; 16]);
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
