//! The core, bytes in and bytes out: named facts, every cut of every short
//! input, and long inputs at random.
//!
//! It is long because three protocols are held to the same cuts by the same functions.

use super::*;
use proptest::prelude::*;

const SUFFIX: &[u8] = b"-S";

fn rule(word: &[u8]) -> Rule {
    Rule::new(SUFFIX, word, MESSAGE_MAX).unwrap()
}

/// The one place that drives the thing tested: appends the answer to one read.
fn read(
    rule: &Rule,
    protocol: Protocol,
    state: State,
    input: &[u8],
    given: &mut Vec<u8>,
) -> Outcome {
    let mut buffer = [input, &[0xaa; SUFFIX_MAX]].concat();
    drain(rule, protocol, answer(rule, protocol, state, &mut buffer, input.len()), given)
}

fn drain(rule: &Rule, protocol: Protocol, mut answer: Answer, given: &mut Vec<u8>) -> Outcome {
    while !answer.is_empty() {
        let piece = answer.next().expect("more is left");
        assert!(!piece.is_empty());
        given.extend_from_slice(piece);
    }
    assert!(answer.next().is_none());
    let outcome = answer.outcome();
    assert!(outcome.state.is_valid(protocol, rule), "{outcome:?} is called damage");
    outcome
}

/// A whole conversation, end of file and all.
#[derive(Debug, PartialEq, Eq)]
struct Talk {
    given: Vec<u8>,
    messages: u32,
    ended: bool,
}

fn talk(rule: &Rule, protocol: Protocol, reads: &[&[u8]]) -> Talk {
    let mut given = Vec::new();
    let mut state = State::START;
    let mut messages = 0;
    for input in reads {
        let outcome = read(rule, protocol, state, input, &mut given);
        state = outcome.state;
        messages += outcome.messages;
    }
    let outcome = drain(rule, protocol, farewell(rule, protocol, state), &mut given);
    Talk { given, messages: messages + outcome.messages, ended: outcome.state.ended() }
}

fn says(protocol: Protocol, reads: &[&[u8]], given: &[u8], messages: u32) {
    let expected = Talk { given: given.into(), messages, ended: false };
    assert_eq!(talk(&rule(b"exit"), protocol, reads), expected);
}

fn ends(protocol: Protocol, reads: &[&[u8]], given: &[u8], messages: u32) {
    let expected = Talk { given: given.into(), messages, ended: true };
    assert_eq!(talk(&rule(b"exit"), protocol, reads), expected);
}

// The words.

#[test]
fn a_protocol_has_one_name_and_one_number() {
    for (protocol, name, number) in [
        (Protocol::Reply, "reply", 1),
        (Protocol::Line, "line", 2),
        (Protocol::Rfc862, "rfc862", 3),
    ] {
        assert_eq!(protocol.name(), name);
        assert_eq!(protocol.to_string(), name);
        assert_eq!(name.parse(), Ok(protocol));
        assert_eq!(Protocol::from_u8(number), Some(protocol));
        assert_eq!(protocol as u8, number);
    }
    assert_eq!((0..=u8::MAX).filter_map(Protocol::from_u8).count(), 3);
}

#[test]
fn an_unknown_protocol_is_told_what_is_allowed() {
    for word in ["", "Reply", "echo", "reply "] {
        let error = word.parse::<Protocol>().unwrap_err().to_string();
        for protocol in Protocol::ALL {
            assert!(error.contains(protocol.name()));
        }
    }
}

#[test]
fn a_read_takes_a_message_in_reply_and_64_kib_elsewhere() {
    let rule = Rule::new(b"", b"", 128).unwrap();
    assert_eq!(read_max(&rule, Protocol::Reply), 128);
    assert_eq!(read_max(&rule, Protocol::Line), 65_536);
    assert_eq!(read_max(&rule, Protocol::Rfc862), 65_536);
}

// `reply`.

#[test]
fn a_read_comes_back_with_the_suffix_behind_it_in_one_piece() {
    let rule = Rule::default();
    let mut buffer = *b"hello       ";
    let pieces: Vec<_> =
        answer(&rule, Protocol::Reply, State::START, &mut buffer, 5).map(<[u8]>::to_vec).collect();
    assert_eq!(pieces, ["hello-回传".as_bytes()]);
}

#[test]
fn every_read_is_a_message() {
    says(Protocol::Reply, &[b"one\ntwo\n", b"three"], b"one\ntwo\n-Sthree-S", 2);
}

#[test]
fn a_message_that_begins_with_the_exit_word_ends_reply_unanswered() {
    for message in [&b"exit"[..], b"exit\n", b"exitfoo"] {
        ends(Protocol::Reply, &[b"a", message], b"a-S", 1);
    }
}

#[test]
fn an_exit_word_elsewhere_is_a_message() {
    for message in [&b"hello exit"[..], b" exit", b"EXIT", b"\0exit", b"exi"] {
        says(Protocol::Reply, &[message], &[message, SUFFIX].concat(), 1);
    }
}

#[test]
fn an_exit_word_counts_only_in_one_read() {
    says(Protocol::Reply, &[b"ex", b"it"], b"ex-Sit-S", 2);
}

#[test]
fn nothing_is_answered_after_the_exit_word() {
    for protocol in [Protocol::Reply, Protocol::Line] {
        ends(protocol, &[b"exit\n", b"more", b"exit\n"], b"", 0);
    }
}

#[test]
fn a_read_behind_a_full_one_is_its_continuation() {
    let rule = Rule::new(SUFFIX, b"exit", 5).unwrap();
    let say = |reads: &[&[u8]]| talk(&rule, Protocol::Reply, reads);
    let goes_on = |given: &[u8], messages| Talk { given: given.into(), messages, ended: false };
    let ends = |given: &[u8], messages| Talk { given: given.into(), messages, ended: true };

    // One byte below the limit, at it, and one read later.
    assert_eq!(say(&[b"abcd", b"exit"]), ends(b"abcd-S", 1));
    assert_eq!(say(&[b"abcde", b"exit"]), goes_on(b"abcde-Sexit-S", 2));
    assert_eq!(say(&[b"abcde", b"exit", b"exit"]), ends(b"abcde-Sexit-S", 2));
    assert_eq!(say(&[b"abcde", b"exit!", b"exit"]), goes_on(b"abcde-Sexit!-Sexit-S", 3));
    assert_eq!(say(&[b"exit!"]), ends(b"", 0));
}

#[test]
fn a_message_shorter_than_the_exit_word_can_never_say_it() {
    let rule = Rule::new(SUFFIX, b"exit", 3).unwrap();
    assert_eq!(talk(&rule, Protocol::Reply, &[b"exi", b"t"]).given, b"exi-St-S");
}

#[test]
fn without_an_exit_word_only_end_of_file_ends() {
    for protocol in Protocol::ALL {
        let talk = talk(&rule(b""), protocol, &[b"exit\n", b"\n", b"exit"]);
        assert!(!talk.ended);
        assert!(talk.given.ends_with(if protocol == Protocol::Rfc862 { b"it" } else { SUFFIX }));
    }
}

#[test]
fn bytes_are_bytes() {
    let every: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    says(Protocol::Reply, &[&every], &[&every, SUFFIX].concat(), 1);
    says(Protocol::Line, &[&every], &[&every, SUFFIX].concat(), 1);
    says(Protocol::Rfc862, &[&every], &every, 0);
}

#[test]
fn the_longest_message_and_the_longest_suffix_fit_the_buffer() {
    let rule = Rule::new(&[b's'; SUFFIX_MAX], b"exit", MESSAGE_MAX).unwrap();
    let mut buffer = vec![b'a'; BUFFER_SIZE];
    assert_eq!(answer_len(&rule, Protocol::Reply, State::START, &mut buffer, MESSAGE_MAX), 65_792);
}

#[test]
fn an_answer_in_place_can_be_computed_again() {
    let rule = Rule::default();
    let mut buffer = *b"hello       ";
    for _ in 0..2 {
        assert_eq!(answer_len(&rule, Protocol::Reply, State::START, &mut buffer, 5), 12);
        assert_eq!(buffer, *"hello-回传".as_bytes());
    }
}

// `line`.

#[test]
fn the_suffix_goes_before_the_line_end() {
    says(Protocol::Line, &[b"a\n"], b"a-S\n", 1);
    says(Protocol::Line, &[b"a\r\n"], b"a-S\r\n", 1);
    says(Protocol::Line, &[b"one\ntwo\r\nthree\n"], b"one-S\ntwo-S\r\nthree-S\n", 3);
}

#[test]
fn an_empty_line_is_answered() {
    says(Protocol::Line, &[b"\n"], b"-S\n", 1);
    says(Protocol::Line, &[b"\r\n"], b"-S\r\n", 1);
    says(Protocol::Line, &[b"\n\n"], b"-S\n-S\n", 2);
}

#[test]
fn a_cr_inside_a_line_passes() {
    says(Protocol::Line, &[b"a\rb\n"], b"a\rb-S\n", 1);
    says(Protocol::Line, &[b"\r\r\n"], b"\r-S\r\n", 1);
    says(Protocol::Line, &[b"\r", b"\r", b"\n"], b"\r-S\r\n", 1);
}

#[test]
fn a_line_that_is_the_exit_word_ends_line_unanswered() {
    ends(Protocol::Line, &[b"exit\n"], b"", 0);
    ends(Protocol::Line, &[b"exit\r\n"], b"", 0);
    ends(Protocol::Line, &[b"a\nexit\n"], b"a-S\n", 1);
    ends(Protocol::Line, &[b"a\r\nex", b"it\r", b"\n"], b"a-S\r\n", 1);
}

#[test]
fn what_follows_the_exit_word_is_dropped() {
    ends(Protocol::Line, &[b"a\nexit\nb\nexit\nc"], b"a-S\n", 1);
}

#[test]
fn a_line_that_is_more_than_the_exit_word_is_a_line() {
    for line in [&b"exitfoo"[..], b"exit ", b" exit", b"exi", b"exit\0", b"exit\r", b"exiexit"] {
        let said = [line, b"\n"].concat();
        if line != b"exit\r" {
            says(Protocol::Line, &[&said], &[line, SUFFIX, b"\n"].concat(), 1);
        }
        says(Protocol::Line, &[line, b"x\n"], &[line, b"x", SUFFIX, b"\n"].concat(), 1);
    }
    says(Protocol::Line, &[b"exit\r\r\n"], b"exit\r-S\r\n", 1);
}

#[test]
fn nothing_is_owed_at_the_start_of_a_line() {
    says(Protocol::Line, &[], b"", 0);
    says(Protocol::Line, &[b"a\n"], b"a-S\n", 1);
}

#[test]
fn an_unterminated_line_gets_its_suffix_at_end_of_file() {
    says(Protocol::Line, &[b"a"], b"a-S", 1);
    says(Protocol::Line, &[b"a\r"], b"a\r-S", 1);
    says(Protocol::Line, &[b"exi"], b"exi-S", 1);
    says(Protocol::Line, &[b"exit\r"], b"exit\r-S", 1);
}

#[test]
fn an_unterminated_exit_word_ends_without_an_answer() {
    ends(Protocol::Line, &[b"exit"], b"", 0);
    ends(Protocol::Line, &[b"a\nex", b"it"], b"a-S\n", 1);
}

#[test]
fn a_line_goes_back_before_it_ends() {
    let mut given = Vec::new();
    let outcome = read(&rule(b"exit"), Protocol::Line, State::START, b"hello", &mut given);
    assert_eq!(given, b"hello");
    assert_eq!(outcome.messages, 0);
}

fn pieces(protocol: Protocol, suffix: &[u8], input: &[u8]) -> Vec<Vec<u8>> {
    let rule = Rule::new(suffix, b"exit", MESSAGE_MAX).unwrap();
    let mut buffer = [input, suffix].concat();
    answer(&rule, protocol, State::START, &mut buffer, input.len()).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_line_end_goes_out_with_the_line_behind_it() {
    assert_eq!(pieces(Protocol::Line, b"-S", b"a\n"), [&b"a"[..], b"-S", b"\n"]);
    assert_eq!(
        pieces(Protocol::Line, b"-S", b"a\r\n\nexitb\nex"),
        [&b"a"[..], b"-S", b"\r\n", b"-S", b"\nexitb", b"-S", b"\n"]
    );
}

#[test]
fn what_has_nothing_put_in_is_one_piece() {
    let long = vec![b'a'; MESSAGE_MAX];
    assert_eq!(pieces(Protocol::Line, b"-S", &long), [&long[..]]);
    assert_eq!(pieces(Protocol::Line, b"", b"a\nb\r\n\n"), [b"a\nb\r\n\n"]);
    assert_eq!(pieces(Protocol::Rfc862, b"-S", b"a\nb\n"), [b"a\nb\n"]);
    assert_eq!(pieces(Protocol::Reply, b"-S", b"a\nb\n"), [b"a\nb\n-S"]);
}

#[test]
fn lines_count_as_messages_without_a_suffix_too() {
    let rule = Rule::new(b"", b"exit", 1).unwrap();
    let talk = talk(&rule, Protocol::Line, &[b"a\nb", b"\r\n\nc"]);
    assert_eq!(talk, Talk { given: b"a\nb\r\n\nc".into(), messages: 4, ended: false });
}

// `rfc862`.

#[test]
fn every_byte_comes_back_unchanged() {
    for input in [&b"a"[..], b"exit\n", b"a\r\n", b"\0"] {
        says(Protocol::Rfc862, &[input, input], &[input, input].concat(), 0);
    }
}

// All three.

#[test]
fn no_bytes_no_answer_and_no_change() {
    for protocol in Protocol::ALL {
        for state in reachable(protocol) {
            let mut given = Vec::new();
            let outcome = read(&rule(b"exit"), protocol, state, b"", &mut given);
            assert_eq!((given.len(), outcome), (0, Outcome { state, messages: 0 }));
        }
    }
}

#[test]
fn only_line_owes_something_at_end_of_file() {
    for protocol in [Protocol::Reply, Protocol::Rfc862] {
        for state in reachable(protocol) {
            assert!(farewell(&rule(b"exit"), protocol, state).is_empty());
        }
    }
}

#[test]
fn a_farewell_that_has_begun_is_the_same_again() {
    let rule = rule(b"exit");
    for state in reachable(Protocol::Line) {
        let mut given = Vec::new();
        let last = farewell(&rule, Protocol::Line, state);
        let is_owed = !last.is_empty();
        let outcome = drain(&rule, Protocol::Line, last, &mut given);
        assert_eq!(outcome.state.last(), is_owed);
        assert_eq!(state.with_last().is_valid(Protocol::Line, &rule), is_owed);
        if is_owed {
            assert_eq!(outcome.state, state.with_last());
            let mut again = Vec::new();
            let last = farewell(&rule, Protocol::Line, outcome.state);
            assert_eq!(drain(&rule, Protocol::Line, last, &mut again), outcome);
            assert_eq!(again, given);
        }
    }
}

#[test]
fn nothing_is_answered_after_end_of_file() {
    let rule = rule(b"exit");
    let mut given = Vec::new();
    let middle = read(&rule, Protocol::Line, State::START, b"a", &mut given).state;
    let outcome = read(&rule, Protocol::Line, middle.with_last(), b"b\n", &mut given);
    assert_eq!((&given[..], outcome.state), (&b"a"[..], middle.with_last()));
}

#[test]
fn an_answer_can_be_taken_up_at_every_byte() {
    let rule = Rule::default();
    for protocol in Protocol::ALL {
        for state in reachable(protocol) {
            for input in [&b"one\ntwo\r\nexi\r\n\nexit"[..], b"t\r\nx", b"\n", b"exit\nx"] {
                let mut buffer = [input, &[0; 16]].concat();
                let whole = answer(&rule, protocol, state, &mut buffer, input.len());
                taken_up_at_every_byte(&rule, protocol, &whole);
            }
            taken_up_at_every_byte(&rule, protocol, &farewell(&rule, protocol, state));
        }
    }
}

fn taken_up_at_every_byte(rule: &Rule, protocol: Protocol, whole: &Answer) {
    let mut given = Vec::new();
    let outcome = drain(rule, protocol, whole.clone(), &mut given);
    for start in 0..=given.len() {
        let mut rest = whole.clone();
        assert!(rest.skip_bytes(start as u64));
        assert_eq!(rest.is_empty(), start == given.len());
        let mut tail = Vec::new();
        assert_eq!(drain(rule, protocol, rest, &mut tail), outcome);
        assert_eq!(tail, given[start..]);
    }
    for too_many in [given.len() as u64 + 1, u64::MAX] {
        let mut rest = whole.clone();
        assert!(!rest.skip_bytes(too_many));
        assert!(rest.is_empty());
    }
}

#[test]
fn the_length_of_an_answer_is_what_is_given() {
    for protocol in Protocol::ALL {
        for state in reachable(protocol) {
            let input = b"t\r\none\r\ntwo\nexi";
            let mut given = Vec::new();
            read(&rule(b"exit"), protocol, state, input, &mut given);
            let mut buffer = [&input[..], SUFFIX].concat();
            let length = answer_len(&rule(b"exit"), protocol, state, &mut buffer, input.len());
            assert_eq!(length, given.len() as u64);
        }
    }
}

/// Every state that `protocol` comes to with the exit word "exit".
fn reachable(protocol: Protocol) -> Vec<State> {
    let rule = Rule::new(SUFFIX, b"exit", 5).unwrap();
    let mut states = vec![State::START];
    let mut next = 0;
    while let Some(&state) = states.get(next) {
        next += 1;
        for input in [&b"e"[..], b"x", b"i", b"t", b"\r", b"\n", b"exit", b"12345"] {
            let outcome = read(&rule, protocol, state, input, &mut Vec::new());
            if !states.contains(&outcome.state) {
                states.push(outcome.state);
            }
        }
    }
    states
}

#[test]
fn every_valid_state_is_reached() {
    let rule = rule(b"exit");
    for (protocol, count) in [(Protocol::Reply, 3), (Protocol::Line, 9), (Protocol::Rfc862, 1)] {
        let mut reached: Vec<u16> = reachable(protocol).into_iter().map(State::bits).collect();
        reached.sort_unstable();
        let valid: Vec<u16> = (0..=u16::MAX)
            .filter(|&bits| State::from_bits(bits).is_valid(protocol, &rule))
            .filter(|&bits| !State::from_bits(bits).last())
            .collect();
        assert_eq!(reached, valid);
        assert_eq!(reached.len(), count);
    }
}

// Cuts.

/// What `line` gives for all this and an end of file: from the whole, and so
/// plainly that it cannot be wrong.
fn lines(rule: &Rule, input: &[u8]) -> Talk {
    let mut talk = Talk { given: Vec::new(), messages: 0, ended: false };
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let (text, end) = if let Some(text) = line.strip_suffix(b"\r\n") {
            (text, &b"\r\n"[..])
        } else if let Some(text) = line.strip_suffix(b"\n") {
            (text, &b"\n"[..])
        } else {
            (line, &b""[..])
        };
        if !rule.exit_word().is_empty() && text == rule.exit_word() {
            talk.ended = true;
            break;
        }
        talk.given.extend_from_slice(&[text, rule.suffix(), end].concat());
        talk.messages += 1;
    }
    talk
}

fn model(rule: &Rule, protocol: Protocol, input: &[u8]) -> Talk {
    match protocol {
        Protocol::Line => lines(rule, input),
        Protocol::Rfc862 => Talk { given: input.into(), messages: 0, ended: false },
        Protocol::Reply => unreachable!("in reply a read is the message"),
    }
}

/// Every input over an alphabet, grown byte by byte.
struct Tree<'a> {
    rule: &'a Rule,
    protocol: Protocol,
    alphabet: &'a [u8],
    input: Vec<u8>,
    /// What `input` was answered.
    given: Vec<u8>,
    /// Where the first n bytes of `input` lead, for n from 0 to all.
    heard: Vec<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    state: State,
    /// In bytes.
    given: usize,
    messages: u32,
}

impl Tree<'_> {
    /// Goes on to inputs that are longer by up to `depth` bytes.
    ///
    /// A cut input is some cut of its first n bytes, and then one read. Where
    /// the first n bytes lead is known already, however they were cut; so if
    /// the last read leads to the same from every n, then every cut does.
    fn try_every_cut(&mut self, depth: usize) {
        self.compare();
        if depth == 0 {
            return;
        }
        for &byte in self.alphabet {
            self.input.push(byte);
            let uncut = self.read_from(0);
            for cut in 1..self.input.len() {
                assert_eq!(self.read_from(cut), uncut, "{} cut at {cut}", self.escaped());
            }
            let (after, given) = uncut;
            let before = std::mem::replace(&mut self.given, given);
            self.heard.push(after);
            self.try_every_cut(depth - 1);
            self.heard.pop();
            self.given = before;
            self.input.pop();
        }
    }

    /// All that was given, if the input from `cut` on comes in one read.
    fn read_from(&self, cut: usize) -> (Heard, Vec<u8>) {
        let before = self.heard[cut];
        let mut given = self.given[..before.given].to_vec();
        let outcome = read(self.rule, self.protocol, before.state, &self.input[cut..], &mut given);
        let messages = before.messages + outcome.messages;
        (Heard { state: outcome.state, given: given.len(), messages }, given)
    }

    /// If the input ends here, the answer is the model's.
    fn compare(&self) {
        let before = self.heard[self.input.len()];
        let mut given = self.given.clone();
        let last = farewell(self.rule, self.protocol, before.state);
        let outcome = drain(self.rule, self.protocol, last, &mut given);
        let messages = before.messages + outcome.messages;
        let said = Talk { given, messages, ended: outcome.state.ended() };
        assert_eq!(said, model(self.rule, self.protocol, &self.input), "{}", self.escaped());
    }

    fn escaped(&self) -> String {
        self.input.escape_ascii().to_string()
    }
}

fn no_cut_matters(protocol: Protocol, word: &[u8], alphabet: &[u8], length: usize) {
    let start = Heard { state: State::START, given: 0, messages: 0 };
    let (rule, input, given, heard) = (&rule(word), Vec::new(), Vec::new(), vec![start]);
    Tree { rule, protocol, alphabet, input, given, heard }.try_every_cut(length);
}

#[test]
fn no_cut_matters_to_the_exit_word() {
    no_cut_matters(Protocol::Line, b"exit", b"exit\r\na", 7);
}

#[test]
fn no_cut_matters_to_an_exit_word_of_one_letter() {
    no_cut_matters(Protocol::Line, b"e", b"e\r\na", 7);
}

#[test]
fn no_cut_matters_to_an_exit_word_that_begins_again_inside_itself() {
    no_cut_matters(Protocol::Line, b"ee", b"e\r\na", 7);
    no_cut_matters(Protocol::Line, b"eae", b"e\r\na", 7);
}

#[test]
fn no_cut_matters_without_an_exit_word() {
    no_cut_matters(Protocol::Line, b"", b"e\r\na", 7);
}

#[test]
fn no_cut_matters_to_rfc862() {
    no_cut_matters(Protocol::Rfc862, b"exit", b"exit\r\na", 5);
}

/// What all continuations have in common can be given at once; the rest cannot.
#[test]
fn nothing_is_held_back_that_is_certain() {
    for (word, alphabet, length) in [
        (&b"exit"[..], &b"exit\r\na"[..], 5),
        (b"e", b"e\r\na", 6),
        (b"ee", b"e\r\na", 6),
        (b"", b"e\r\na", 6),
    ] {
        let rule = rule(word);
        for input in inputs(alphabet, length) {
            let mut given = Vec::new();
            let state = read(&rule, Protocol::Line, State::START, &input, &mut given).state;
            if state.ended() {
                continue;
            }
            let mut certain = lines(&rule, &input).given;
            let rests = (0..=word.len()).map(|start| [&word[start..], b"\n"].concat());
            for rest in rests.chain([b"a".into(), b"\r\n".into()]) {
                let other = lines(&rule, &[&input[..], &rest].concat()).given;
                let same = certain.iter().zip(&other).take_while(|(a, b)| a == b).count();
                certain.truncate(same);
            }
            assert_eq!(given, certain, "after {:?}", input.escape_ascii().to_string());
        }
    }
}

/// Every input over `alphabet` of up to `length` bytes.
fn inputs(alphabet: &[u8], length: usize) -> Vec<Vec<u8>> {
    let mut inputs = vec![Vec::new()];
    let mut shorter = 0;
    for _ in 0..length {
        for place in std::mem::replace(&mut shorter, inputs.len())..inputs.len() {
            for byte in alphabet {
                inputs.push([&inputs[place][..], &[*byte]].concat());
            }
        }
    }
    inputs
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let suffix = prop::collection::vec(any::<u8>(), 0..=SUFFIX_MAX);
    let byte = prop_oneof![Just(b'e'), Just(b'x'), any::<u8>()];
    let no_line_end = byte.prop_filter("no line end", |byte| !matches!(byte, b'\r' | b'\n'));
    let word = prop_oneof![
        prop::collection::vec(no_line_end.clone(), 0..6),
        prop::collection::vec(no_line_end, 0..=EXIT_WORD_MAX),
    ];
    (suffix, word, 1..=MESSAGE_MAX).prop_map(|(suffix, word, message_max)| {
        Rule::new(&suffix, &word, message_max).expect("it is in range")
    })
}

/// Text in which the rule's exit word, its beginnings and line ends abound.
fn any_text(word: &[u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let word = word.to_vec();
    let beginning = (0..=word.len()).prop_map(move |length| word[..length].to_vec());
    let part = prop_oneof![
        4 => beginning,
        2 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 1..4),
        1 => prop::collection::vec(Just(b'a'), 0..3000),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

fn rule_text_and_cuts() -> impl Strategy<Value = (Rule, Vec<u8>, Vec<prop::sample::Index>)> {
    any_rule().prop_flat_map(|rule| {
        let text = any_text(rule.exit_word());
        (Just(rule), text, prop::collection::vec(any::<prop::sample::Index>(), 0..20))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_matters_to_long_inputs((rule, text, cuts) in rule_text_and_cuts()) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let reads: Vec<&[u8]> = places.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        for protocol in [Protocol::Line, Protocol::Rfc862] {
            prop_assert_eq!(talk(&rule, protocol, &reads), model(&rule, protocol, &text));
        }
    }

    #[test]
    fn a_long_answer_can_be_taken_up_anywhere(
        (rule, text, starts) in rule_text_and_cuts(),
        protocol in prop::sample::select(&Protocol::ALL[..]),
    ) {
        let mut given = Vec::new();
        let outcome = read(&rule, protocol, State::START, &text, &mut given);
        for start in starts {
            let start = start.index(given.len() + 1);
            let mut buffer = [&text[..], &[0; SUFFIX_MAX]].concat();
            let mut rest = answer(&rule, protocol, State::START, &mut buffer, text.len());
            prop_assert!(rest.skip_bytes(start as u64));
            let mut tail = Vec::new();
            prop_assert_eq!(drain(&rule, protocol, rest, &mut tail), outcome);
            prop_assert_eq!(&tail, &given[start..]);
        }
    }
}
