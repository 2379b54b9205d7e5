//! `line`: however the network cuts it, it is what is plainly right of the whole.

use super::input::Input;
use super::talk::Talk;
use echod::echo::{Protocol, Rule};

pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let rule = input.rule();
    let mut cut = Talk::new(&rule, Protocol::Line);
    let mut whole = Vec::new();
    while !input.is_empty() {
        let death = input.byte();
        let piece = piece(&rule, &mut input);
        cut.read(&piece, death.into());
        whole.extend(piece);
    }
    let mut uncut = Talk::new(&rule, Protocol::Line);
    uncut.read(&whole, u64::MAX);
    assert_eq!(said(&cut), said(&uncut), "a cut changes something");
    cut.end(whole.len() as u64);
    assert_eq!(said(&cut), model(&rule, &whole));
}

/// Few bytes are enough for much of what means something in `line`.
fn piece(rule: &Rule, input: &mut Input) -> Vec<u8> {
    let mut piece = Vec::new();
    for &byte in input.field() {
        match byte {
            0xf0 => piece.extend_from_slice(rule.exit_word()),
            0xf1 => piece.extend_from_slice(b"\r\n"),
            0xf2 => piece.extend([rule.exit_word(), b"\n"].concat()),
            0xf3 => piece.extend_from_slice(&[b'.'; 40]),
            _ => piece.push(byte),
        }
    }
    piece
}

fn said(talk: &Talk) -> (Vec<u8>, u64, bool) {
    (talk.given.clone(), talk.messages, talk.state.ended())
}

fn model(rule: &Rule, input: &[u8]) -> (Vec<u8>, u64, bool) {
    let (mut given, mut messages) = (Vec::new(), 0);
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
        let (text, end) = line.split_at(line.len() - end);
        if !rule.exit_word().is_empty() && text == rule.exit_word() {
            return (given, messages, true);
        }
        given.extend([text, rule.suffix(), end].concat());
        messages += 1;
    }
    (given, messages, false)
}
