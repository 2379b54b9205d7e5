//! What peers say, and what they must hear: long texts that repeat only after a
//! megabyte, so that a byte in the wrong place is a wrong byte.

use echod::echo::Protocol;
use std::sync::OnceLock;

/// The suffix that echod puts behind messages when nobody said otherwise.
pub const SUFFIX: &str = "-回传";

/// About a megabyte; a prime, so that no buffer's size divides it.
const LENGTH: usize = 1_048_573;

/// What is said over and over, and what is heard for it.
pub struct Text {
    pub said: Vec<u8>,
    pub heard: Vec<u8>,
    /// Where lines begin, in both; only in `line`.
    lines: Vec<(usize, usize)>,
}

/// The text for this protocol. In `reply` what is heard has the suffixes left
/// out, for only the daemon knows where its reads ended.
pub fn text(protocol: Protocol) -> &'static Text {
    static TEXTS: OnceLock<[Text; 3]> = OnceLock::new();
    let [reply, line, rfc862] = TEXTS.get_or_init(|| [reply(), line(), plain()]);
    match protocol {
        Protocol::Reply => reply,
        Protocol::Line => line,
        Protocol::Rfc862 => rfc862,
    }
}

impl Text {
    /// Bytes from this place on, as many as lie in one piece.
    pub fn said_at(&self, at: u64) -> &[u8] {
        piece(&self.said, at)
    }

    /// Likewise of what is heard.
    pub fn heard_at(&self, at: u64) -> &[u8] {
        piece(&self.heard, at)
    }

    /// A place to begin: in both texts, at the start of a line if there are any.
    pub fn start(&self, random: u64) -> (u64, u64) {
        if self.lines.is_empty() {
            let at = random % length(&self.said);
            return (at, at);
        }
        let line = random % length(&self.lines);
        let (said, heard) = self.lines[usize::try_from(line).expect("it is an index")];
        (said as u64, heard as u64)
    }

    /// The start of the line that the place `at` in what is said lies in, in both.
    pub fn line_start(&self, at: u64) -> (u64, u64) {
        let round = at / length(&self.said);
        let within = usize::try_from(at % length(&self.said)).expect("it is an index");
        let next = self.lines.partition_point(|&(said, _)| said <= within);
        let (said, heard) = self.lines[next - 1];
        (round * length(&self.said) + said as u64, round * length(&self.heard) + heard as u64)
    }
}

fn length<T>(list: &[T]) -> u64 {
    list.len() as u64
}

fn piece(bytes: &[u8], at: u64) -> &[u8] {
    &bytes[usize::try_from(at % length(bytes)).expect("it is an index")..]
}

fn plain() -> Text {
    let mut random = Random::new(862);
    let said: Vec<_> = (0..LENGTH).map(|_| random.byte()).collect();
    Text { heard: said.clone(), said, lines: Vec::new() }
}

/// Without the suffix's first byte, so that every suffix is one, and without
/// the exit word's.
fn reply() -> Text {
    let mut text = plain();
    for byte in &mut text.said {
        *byte = match *byte {
            b'-' => b'_',
            b'e' => b'f',
            byte => byte,
        };
    }
    text.heard.clone_from(&text.said);
    text
}

/// Lines of all kinds: empty and long ones, those that begin like the exit word,
/// and stray carriage returns.
fn line() -> Text {
    let mut random = Random::new(80);
    let (mut said, mut heard, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    while said.len() < LENGTH {
        lines.push((said.len(), heard.len()));
        let start = said.len();
        let length = match random.below(16) {
            0 => 0,
            1 => random.below(20_000),
            2..8 => random.below(12),
            _ => random.below(120),
        };
        match random.below(8) {
            0 => said.extend(&b"exit"[..usize::try_from(random.below(4)).expect("below 4")]),
            1 => said.extend(b"exit and more"),
            2 => said.extend(b"a\rb\r"),
            _ => {}
        }
        said.extend((0..length).map(|_| match random.byte() {
            b'\n' => b'\r',
            byte => byte,
        }));
        if &said[start..] == b"exit" || &said[start..] == b"exit\r" {
            said.push(b'!');
        }
        let content = said[start..].to_vec();
        let end: &[u8] = if random.below(3) == 0 { b"\r\n" } else { b"\n" };
        said.extend(end);
        // A carriage return that the line itself ends with belongs to its end.
        let (content, end) = match content.strip_suffix(b"\r") {
            Some(content) if end == b"\n" => (content, &b"\r\n"[..]),
            _ => (&content[..], end),
        };
        heard.extend(content);
        heard.extend(SUFFIX.as_bytes());
        heard.extend(end);
    }
    Text { said, heard, lines }
}

/// Numbers that are random enough, and the same in every run: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
