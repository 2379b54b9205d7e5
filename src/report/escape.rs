//! Makes what a stranger wrote harmless to read: one line, nothing that a
//! terminal obeys, nothing that hides or turns text, and bounded.

use std::fmt::{self, Write};

/// The first `max` bytes of what a stranger sent, to be read as one line.
///
/// Printable UTF-8 stays. Control characters, line separators, characters that
/// cannot be seen or that turn the direction of text, bytes that are no UTF-8,
/// and the backslash itself become `\n`, `\xNN`, `\u{…}` and so on. What was
/// cut ends with its whole length: `… (65536 bytes)`. No byte becomes more
/// than four characters.
pub fn escape(bytes: &[u8], max: usize) -> Escaped<'_> {
    Escaped { head: head(bytes, max), length: bytes.len() }
}

/// What [`escape`] shows.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    head: &'a [u8],
    length: usize,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.head.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| match c {
                '\\' => f.write_str("\\\\"),
                c => visible(c, f),
            })?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        if self.head.len() < self.length {
            write!(f, "… ({} bytes)", self.length)?;
        }
        Ok(())
    }
}

/// The beginning of a message, kept to be escaped by whoever writes the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    head: Vec<u8>,
    length: usize,
}

impl Excerpt {
    /// At most `max` bytes of a message that lies in pieces.
    pub(super) fn of(pieces: &[&[u8]], max: usize) -> Self {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        // One byte more than is shown tells whether a character would be torn.
        let mut bytes: Vec<u8> = pieces.iter().copied().flatten().copied().take(max + 1).collect();
        bytes.truncate(head(&bytes, max).len());
        Self { head: bytes, length }
    }

    /// The whole message, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length as u64
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped { head: &self.head, length: self.length }.fmt(f)
    }
}

/// Our own text, which may quote a path or a name, as one harmless line. A
/// backslash stays as it is, since what was quoted may be escaped already.
pub(super) struct Line<'a>(pub(super) &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| visible(c, f))
    }
}

/// The longest beginning of at most `max` bytes that tears no character.
fn head(bytes: &[u8], max: usize) -> &[u8] {
    if bytes.len() <= max {
        return bytes;
    }
    let torn = |at: &usize| bytes[*at] & 0b1100_0000 == 0b1000_0000;
    // A character has at most three bytes after its first; more are no UTF-8.
    let whole = (max.saturating_sub(3)..=max).rev().find(|at| !torn(at));
    &bytes[..whole.unwrap_or(max)]
}

fn visible(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match c {
        // The ideographic space is seen by its width and cannot be mistaken.
        ' '..='~' | '\u{3000}' => f.write_char(c),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\u{7f}' => write!(f, "\\x{:02x}", u32::from(c)),
        c => {
            // The standard library's table knows what can be seen. Behind
            // another letter it lets combining marks be, too.
            let mut pair = [b'a'; 5];
            let end = 1 + c.encode_utf8(&mut pair[1..]).len();
            let pair = std::str::from_utf8(&pair[..end]).expect("two characters are UTF-8");
            pair.escape_debug().skip(1).try_for_each(|c| f.write_char(c))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8], max: usize) -> String {
        let text = escape(bytes, max).to_string();
        let halves = (bytes.len() / 2, bytes.len() - bytes.len() / 2);
        let (front, back) = (&bytes[..halves.0], &bytes[halves.0..]);
        assert_eq!(Excerpt::of(&[front, &[], back], max).to_string(), text);
        text
    }

    #[test]
    fn printable_text_stays_as_it_is() {
        let text = "hello-回传 “quoted” 'it' é e\u{301} हिन्दी 🙂 a\u{3000}b";
        assert_eq!(shown(text.as_bytes(), 128), text);
    }

    #[test]
    fn a_forged_record_stays_one_line() {
        assert_eq!(shown(b"x\nPRIORITY=0\nMESSAGE=owned", 128), r"x\nPRIORITY=0\nMESSAGE=owned");
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        assert_eq!(shown(b"\x1b[2J\x1b]0;t\x07\x7f", 128), r"\x1b[2J\x1b]0;t\x07\x7f");
        assert_eq!(shown("\u{9b}2J".as_bytes(), 128), r"\u{9b}2J");
        assert_eq!(shown(b"a\r\n\tb\\", 128), r"a\r\n\tb\\");
    }

    #[test]
    fn what_hides_or_turns_text_is_shown_instead() {
        assert_eq!(
            shown("a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{feff}".as_bytes(), 128),
            r"a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{feff}"
        );
    }

    #[test]
    fn a_broken_byte_is_shown_by_its_number() {
        assert_eq!(shown(b"a\xff\xe5\x9b", 128), r"a\xff\xe5\x9b");
    }

    #[test]
    fn a_mebibyte_of_zeros_is_cut_and_its_length_said() {
        let zeros = vec![0; 1 << 20];
        assert_eq!(shown(&zeros, 3), r"\x00\x00\x00… (1048576 bytes)");
        assert_eq!(shown(&zeros, 128).len(), 4 * 128 + "… (1048576 bytes)".len());
    }

    #[test]
    fn a_cut_tears_no_character() {
        assert_eq!(shown("回传".as_bytes(), 6), "回传");
        assert_eq!(shown("回传".as_bytes(), 5), "回… (6 bytes)");
        assert_eq!(shown("回传".as_bytes(), 3), "回… (6 bytes)");
        assert_eq!(shown("回传".as_bytes(), 2), "… (6 bytes)");
        assert_eq!(shown(&[0x80; 9], 5), r"\x80\x80\x80\x80\x80… (9 bytes)");
    }

    #[test]
    fn our_own_text_keeps_its_backslashes() {
        assert_eq!(Line("a\\x00b\nc").to_string(), r"a\x00b\nc");
    }

    fn harmful(c: char) -> bool {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e007f}')
    }

    proptest! {
        #[test]
        fn nothing_harmful_comes_out_of_bytes(bytes: Vec<u8>, max in 0_usize..200) {
            let text = shown(&bytes, max);
            prop_assert!(!text.contains(harmful));
            prop_assert!(text.chars().count() <= 4 * max + "… (18446744073709551615 bytes)".len());
        }

        #[test]
        fn nothing_harmful_comes_out_of_text(text: String, max in 0_usize..200) {
            prop_assert!(!shown(text.as_bytes(), max).contains(harmful));
            prop_assert!(!Line(&text).to_string().contains(harmful));
        }

        #[test]
        fn two_different_messages_are_never_shown_alike(
            one in "[\\\\nxu0-9{}\n\r\u{202e}]{0,8}", two in "[\\\\nxu0-9{}\n\r\u{202e}]{0,8}"
        ) {
            prop_assume!(one != two);
            prop_assert_ne!(shown(one.as_bytes(), 128), shown(two.as_bytes(), 128));
        }
    }
}
