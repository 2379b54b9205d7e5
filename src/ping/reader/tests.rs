use super::super::book::Came;
use super::super::payload::Sizes;
use super::*;
use crate::echo::{Protocol, Rule};
use proptest::prelude::*;
use std::time::Duration;

const KEY: u32 = 0x0bad_cafe;

/// A stream with some messages on their way.
struct Stream {
    form: Form,
    book: Book,
    reader: Reader,
    answers: Vec<Vec<u8>>,
}

/// One letter for each thing heard: `w` whole, `a` altered, `s` surplus, with
/// the message it belongs to.
type Story = Vec<(char, u32)>;

impl Stream {
    fn new(protocol: Protocol, size: usize, count: u32) -> Self {
        let sizes = Sizes { min: size, max: size };
        let mut stream = Self {
            form: Form::new(sizes, protocol, &Rule::default()),
            book: Book::default(),
            reader: Reader::new(KEY, None),
            answers: Vec::new(),
        };
        for _ in 0..count {
            stream.send();
        }
        stream
    }

    fn send(&mut self) {
        let name = Name { key: KEY, sequence: self.book.next() };
        let check = self.form.write(name, &mut Vec::new());
        self.book.send(Duration::ZERO, Duration::ZERO, check);
        self.answers.push(self.form.expect(name, Some(check)).bytes);
    }

    fn note(&mut self, heard: Heard, story: &mut Story) {
        story.push(match heard {
            Heard::Whole { sequence, .. } => ('w', sequence),
            Heard::Altered { sequence, .. } => ('a', sequence),
            Heard::Surplus { after, .. } => ('s', after.unwrap_or(0)),
        });
        if let Some(('w' | 'a', sequence)) = story.last() {
            self.book.came(*sequence, Duration::ZERO);
        }
    }

    fn hear_into(&mut self, bytes: &[u8], story: &mut Story) {
        self.reader.take(bytes);
        while let Some(heard) = self.reader.next(&self.book, &self.form) {
            self.note(heard, story);
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Story {
        let mut story = Vec::new();
        self.hear_into(bytes, &mut story);
        story
    }

    fn give_up(&mut self) -> Story {
        let mut story = Vec::new();
        if let Some(heard) = self.reader.give_up(&self.book, &self.form) {
            self.note(heard, &mut story);
        }
        story
    }
}

fn rfc862(count: u32) -> Stream {
    Stream::new(Protocol::Rfc862, 56, count)
}

#[test]
fn a_right_stream_is_right_at_any_cut() {
    for protocol in Protocol::ALL {
        for size in [1, 9, 28, 56] {
            for cut in 1..70 {
                let mut stream = Stream::new(protocol, size, 4);
                let all = stream.answers.concat();
                let mut story = Story::new();
                for piece in all.chunks(cut) {
                    stream.hear_into(piece, &mut story);
                }
                assert_eq!(story, [('w', 1), ('w', 2), ('w', 3), ('w', 4)], "{protocol} {size}");
            }
        }
    }
}

#[test]
fn a_dropped_message_is_left_out() {
    let mut stream = rfc862(4);
    let heard = [&stream.answers[0], &stream.answers[2], &stream.answers[3]].map(Vec::clone);
    assert_eq!(stream.hear(&heard.concat()), [('w', 1), ('w', 3), ('w', 4)]);
    assert_eq!(stream.book.out().collect::<Vec<_>>(), [2]);
}

#[test]
fn a_doubled_message_is_known_again() {
    let mut stream = rfc862(3);
    let [one, two, three] = [0, 1, 2].map(|at| stream.answers[at].clone());
    let heard = [&one, &one, &two, &three, &three].map(Vec::clone).concat();
    assert_eq!(stream.hear(&heard), [('w', 1), ('w', 1), ('w', 2), ('w', 3), ('w', 3)]);
}

#[test]
fn messages_in_another_order_are_known() {
    let mut stream = rfc862(5);
    let order = [1_usize, 3, 2, 0, 4];
    let heard: Vec<u8> = order.iter().flat_map(|at| stream.answers[*at].clone()).collect();
    assert_eq!(stream.hear(&heard), [('w', 2), ('w', 4), ('w', 3), ('w', 1), ('w', 5)]);
}

#[test]
fn whichever_byte_is_altered_one_message_is_and_the_next_is_not() {
    for at in 0..56 {
        let mut stream = rfc862(3);
        let mut all = stream.answers.concat();
        all[56 + at] ^= 0x81;
        assert_eq!(stream.hear(&all), [('w', 1), ('a', 2), ('w', 3)], "byte {at}");
    }
}

#[test]
fn whatever_is_cut_away_one_message_is_altered_and_the_next_is_not() {
    for at in 0..56 {
        for len in 1..(56 - at) {
            let mut stream = rfc862(3);
            let mut all = stream.answers.concat();
            all.drain(56 + at..56 + at + len);
            let story = stream.hear(&all);
            assert_eq!(story, [('w', 1), ('a', 2), ('w', 3)], "bytes {at} to {}", at + len);
        }
    }
}

#[test]
fn whatever_is_put_in_one_message_is_altered_and_the_next_is_not() {
    for at in 1..=56 {
        let mut stream = rfc862(3);
        let mut all = stream.answers.concat();
        all.splice(56 + at..56 + at, *b"\r\nx");
        let story = stream.hear(&all);
        if at == 56 {
            assert_eq!(story, [('w', 1), ('w', 2), ('s', 2), ('w', 3)]);
        } else {
            assert_eq!(story, [('w', 1), ('a', 2), ('w', 3)], "byte {at}");
        }
    }
}

#[test]
fn what_follows_an_answer_belongs_to_it() {
    let mut stream = rfc862(1);
    let answer = stream.answers[0].clone();
    assert_eq!(stream.hear(&answer), [('w', 1)]);
    assert_eq!(stream.hear("-回传".as_bytes()), [('s', 1)]);
    stream.send();
    let answer = stream.answers[1].clone();
    assert_eq!(stream.hear(&answer), [('w', 2)]);
}

#[test]
fn a_greeting_belongs_to_no_message() {
    let mut stream = rfc862(1);
    assert_eq!(stream.hear(b"220 hello\r\n"), []);
    let answer = stream.answers[0].clone();
    assert_eq!(stream.hear(&answer), [('s', 0), ('w', 1)]);
}

#[test]
fn a_missing_suffix_is_a_cut() {
    let mut stream = Stream::new(Protocol::Reply, 56, 1);
    let answer = stream.answers[0].clone();
    assert_eq!(stream.hear(&answer[..56]), []);
    assert!(stream.reader.is_within());
    assert_eq!(stream.give_up(), [('a', 1)]);
    assert!(!stream.reader.is_within());
    assert_eq!(stream.give_up(), []);
}

#[test]
fn what_was_right_to_the_end_of_the_stream_is_not_altered() {
    let mut stream = rfc862(2);
    let mut all = stream.answers.concat();
    all.truncate(100);
    assert_eq!(stream.hear(&all), [('w', 1)]);
    assert_eq!(stream.reader.finish(&stream.book, &stream.form), None);

    let mut stream = rfc862(1);
    let mut answer = stream.answers[0].clone();
    answer[3] ^= 1;
    assert_eq!(stream.hear(&answer[..20]), []);
    let last = stream.reader.finish(&stream.book, &stream.form);
    assert!(matches!(last, Some(Heard::Altered { sequence: 1, .. })));
}

#[test]
fn an_answer_to_what_was_given_up_is_still_known() {
    let mut stream = rfc862(2);
    assert_eq!(stream.book.lose(), Some(1));
    let all = stream.answers.concat();
    stream.reader.take(&all);
    let heard = stream.reader.next(&stream.book, &stream.form);
    assert_eq!(heard, Some(Heard::Whole { sequence: 1, len: 56 }));
    assert_eq!(stream.book.came(1, Duration::ZERO), Came::Late);
    assert_eq!(stream.hear(b""), [('w', 2)]);
}

#[test]
fn a_long_message_may_have_suffixes_at_its_cuts_and_a_short_one_not() {
    for (segment, story) in [(Some(55), &[('w', 1)]), (Some(56), &[('a', 1)]), (None, &[('a', 1)])]
    {
        let mut stream = Stream::new(Protocol::Reply, 56, 1);
        stream.reader = Reader::new(KEY, segment);
        let suffix = "-回传".as_bytes();
        let mut answer = stream.answers[0].clone();
        answer.splice(40..40, suffix.iter().copied());
        let heard = stream.hear(&answer);
        assert_eq!(heard.first(), story.first(), "{segment:?}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_reader_comes_to_an_end(
        size in 1_usize..80,
        junk in proptest::collection::vec((0_usize..400, any::<u8>(), 0_u8..3), 0..8),
        cut in 1_usize..100,
    ) {
        let mut stream = Stream::new(Protocol::Rfc862, size, 5);
        let mut all = stream.answers.concat();
        for (at, byte, what) in junk {
            let at = at % all.len().max(1);
            match what {
                0 if at < all.len() => all[at] = byte,
                1 if at < all.len() => { all.remove(at); }
                _ => all.insert(at, byte),
            }
        }
        let mut heard = Story::new();
        for piece in all.chunks(cut) {
            stream.hear_into(piece, &mut heard);
        }
        prop_assert!(heard.len() <= all.len());
    }
}
