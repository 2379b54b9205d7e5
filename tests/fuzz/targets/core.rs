//! `reply` and `rfc862`, read by read; datagrams and sequential packets in all
//! three protocols.

use super::input::Input;
use super::talk::Talk;
use echod::echo::{self, DATAGRAM_MAX, Protocol, Rule};

pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let rule = input.rule();
    let mut reads = Vec::new();
    while !input.is_empty() {
        reads.push((input.byte(), input.field()));
    }
    for protocol in [Protocol::Reply, Protocol::Rfc862] {
        let mut talk = Talk::new(&rule, protocol);
        let limit = echo::read_max(&rule, protocol);
        for (death, read) in &reads {
            for read in read.chunks(limit) {
                talk.read(read, (*death).into());
            }
        }
        let reads: Vec<&[u8]> = reads.iter().flat_map(|(_, read)| read.chunks(limit)).collect();
        let ended = talk.state.ended();
        let said = (talk.given.clone(), talk.messages, ended);
        assert_eq!(said, model(&rule, protocol, &reads));
        talk.end(0);
        assert_eq!(talk.given, said.0, "nothing is owed at end of file");
    }
    for (length, message) in &reads {
        datagram(&rule, message, usize::from(*length) << 8 | message.len());
    }
}

fn model(rule: &Rule, protocol: Protocol, reads: &[&[u8]]) -> (Vec<u8>, u64, bool) {
    if protocol == Protocol::Rfc862 {
        return (reads.concat(), 0, false);
    }
    let word = rule.exit_word();
    let says_exit = |place: usize| {
        let continues = place > 0 && reads[place - 1].len() == rule.message_max();
        !word.is_empty() && !continues && reads[place].starts_with(word)
    };
    let end = (0..reads.len()).find(|&place| says_exit(place));
    let heard = &reads[..end.unwrap_or(reads.len())];
    let given = heard.iter().flat_map(|read| [read, rule.suffix()]).collect::<Vec<_>>().concat();
    (given, heard.len() as u64, end.is_some())
}

/// A datagram of this length, of which `message` is there.
fn datagram(rule: &Rule, message: &[u8], length: usize) {
    let text = |end: &[u8]| message.strip_suffix(end).map(|text| (text, end.to_vec()));
    let (line, end) = text(b"\r\n").or_else(|| text(b"\n")).unwrap_or((message, Vec::new()));
    for (protocol, wanted) in [
        (Protocol::Reply, [message, rule.suffix()].concat()),
        (Protocol::Line, [line, rule.suffix(), &end].concat()),
        (Protocol::Rfc862, message.to_vec()),
    ] {
        let insertion = echo::answer_datagram(rule, protocol, message, message.len());
        let insertion = insertion.expect("a short answer fits");
        assert_eq!(insertion.pieces(message).concat(), wanted);
        let suffix = wanted.len() - message.len();
        if length + suffix > DATAGRAM_MAX {
            assert!(echo::answer_datagram(rule, protocol, message, length).is_err());
        }
    }
    let word = rule.exit_word();
    for (protocol, says) in [
        (Protocol::Reply, message.starts_with(word)),
        (Protocol::Line, line == word),
        (Protocol::Rfc862, false),
    ] {
        assert_eq!(echo::says_exit(rule, protocol, message), says && !word.is_empty());
    }
}
