//! Which message a datagram answers.

use super::book::Book;
use super::heard::{Fault, Heard};
use super::payload::{Form, Name};

/// How many messages are compared with an answer that does not say whose it is.
const COMPARED: usize = 1024;
/// How many of its bytes are.
const LOOKED_AT: usize = 256;

/// What a datagram is.
pub(super) fn datagram(key: u32, bytes: &[u8], book: &Book, form: &Form) -> Heard {
    let expect = |sequence| form.expect(Name { key, sequence }, book.check(sequence)).bytes;
    let named = form.sequence(key, bytes).filter(|sequence| book.is_known(*sequence));
    let sequence = named
        .or_else(|| {
            // Small ones have no name: the oldest that is equal.
            let candidates = book.out().take(COMPARED).chain(book.back().take(COMPARED));
            let mut likely =
                candidates.filter(|sequence| form.answer_len(*sequence) == bytes.len());
            likely.find(|sequence| expect(*sequence) == bytes)
        })
        .or_else(|| {
            let likeness = |sequence: &u32| {
                let wanted = expect(*sequence);
                let pairs = wanted.iter().zip(bytes).take(LOOKED_AT);
                (pairs.filter(|(a, b)| a == b).count(), std::cmp::Reverse(*sequence))
            };
            book.out().take(COMPARED).max_by_key(likeness)
        });
    let Some(sequence) = sequence else {
        return Heard::Surplus { after: None, fault: Fault::between(bytes, b"") };
    };
    let wanted = expect(sequence);
    if wanted == bytes {
        Heard::Whole { sequence, len: bytes.len() }
    } else {
        Heard::Altered { sequence, fault: Fault::between(bytes, &wanted) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::Sizes;
    use super::*;
    use crate::echo::{Protocol, Rule};
    use std::time::Duration;

    const KEY: u32 = 0x1234_5678;

    /// Some messages on their way, and their answers.
    fn sent(size: usize, count: u32) -> (Book, Form, Vec<Vec<u8>>) {
        let form = Form::new(Sizes { min: size, max: size }, Protocol::Rfc862, &Rule::default());
        let mut book = Book::default();
        let answers = (1..=count)
            .map(|sequence| {
                let mut message = Vec::new();
                let check = form.write(Name { key: KEY, sequence }, &mut message);
                book.send(Duration::ZERO, Duration::ZERO, check);
                message
            })
            .collect();
        (book, form, answers)
    }

    #[test]
    fn each_is_known_by_its_name() {
        let (book, form, answers) = sent(56, 3);
        for (answer, sequence) in answers.iter().zip(1..) {
            assert_eq!(datagram(KEY, answer, &book, &form), Heard::Whole { sequence, len: 56 });
        }
    }

    #[test]
    fn whichever_byte_is_altered_it_is_found_and_the_message_is_known() {
        let (book, form, answers) = sent(56, 5);
        for at in 0..56 {
            let mut answer = answers[3].clone();
            answer[at] ^= 0x20;
            let heard = datagram(KEY, &answer, &book, &form);
            // A sequence number altered to that of another cannot be told from it.
            let is_number = (10..18).contains(&at);
            let Heard::Altered { sequence, fault } = heard else { panic!("{at}: {heard:?}") };
            assert!(sequence == 4 || is_number, "{at}: {sequence}");
            assert!(fault.at == at || is_number);
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_altered() {
        let (book, form, answers) = sent(56, 2);
        let answer = &answers[1];
        let longer = [&answer[..], b"\n"].concat();
        for wrong in [&answer[..55], &answer[..28], &longer] {
            let heard = datagram(KEY, wrong, &book, &form);
            assert!(matches!(heard, Heard::Altered { sequence: 2, .. }), "{heard:?}");
        }
    }

    #[test]
    fn small_ones_are_known_by_what_they_say() {
        let (mut book, form, answers) = sent(4, 3);
        assert_eq!(datagram(KEY, &answers[1], &book, &form), Heard::Whole { sequence: 2, len: 4 });
        book.came(2, Duration::ZERO);
        assert_eq!(datagram(KEY, &answers[1], &book, &form), Heard::Whole { sequence: 2, len: 4 });
        let (book, form, _) = sent(0, 2);
        assert_eq!(datagram(KEY, b"", &book, &form), Heard::Whole { sequence: 1, len: 0 });
    }

    #[test]
    fn what_nobody_asked_for_is_surplus() {
        let (mut book, form, answers) = sent(56, 1);
        book.came(1, Duration::ZERO);
        assert!(matches!(datagram(KEY, b"x", &book, &form), Heard::Surplus { after: None, .. }));
        let other = datagram(KEY + 1, &answers[0], &book, &form);
        assert!(matches!(other, Heard::Surplus { .. }));
    }
}
