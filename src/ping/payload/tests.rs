//! What messages look like, and what their answers must be.

use super::*;
use proptest::prelude::*;

fn form(size: usize, protocol: Protocol) -> Form {
    Form::new(Sizes { min: size, max: size }, protocol, &Rule::default())
}

fn message(form: &Form, key: u32, sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    form.write(Name { key, sequence }, &mut out);
    out
}

#[test]
fn a_message_says_who_sent_it_and_which_it_is() {
    let form = form(56, Protocol::Rfc862);
    let message = message(&form, 0x5f0c_2a91, 42);
    assert_eq!(message.len(), 56);
    assert!(message.starts_with(b"#5f0c2a91 0000002a "));
    assert_eq!(form.sequence(0x5f0c_2a91, &message), Some(42));
    assert_eq!(form.sequence(0x5f0c_2a92, &message), None);
    let check = crc32(&[&message[..19], &message[27..]]);
    assert_eq!(&message[19..27], format!("{check:08x}").as_bytes());
}

#[test]
fn sizes_are_swept_and_swept_again() {
    let sizes = Sizes { min: 3, max: 5 };
    let swept: Vec<_> = (1..=7).map(|sequence| sizes.of(sequence)).collect();
    assert_eq!(swept, [3, 4, 5, 3, 4, 5, 3]);
}

#[test]
fn an_answer_is_the_servers_own() {
    let name = Name { key: 7, sequence: 1 };
    for size in [1, 27, 28, 56, 70_000, 200_000] {
        for protocol in Protocol::ALL {
            let form = form(size, protocol);
            let mut message = Vec::new();
            let check = form.write(name, &mut message);
            assert_eq!(message.len(), size);
            let expected = form.expect(name, Some(check));
            assert_eq!(expected, form.expect(name, None));
            assert_eq!(expected.bytes.len(), form.answer_len(1));
            if size > 60_000 {
                continue;
            }
            let rule = Rule::default();
            let put = crate::echo::answer_datagram(&rule, protocol, &message, size).unwrap();
            assert_eq!(expected.bytes, put.pieces(&message).concat(), "{protocol} {size}");
        }
    }
}

#[test]
fn an_empty_datagram_is_a_message() {
    let form = form(0, Protocol::Rfc862);
    assert_eq!(message(&form, 1, 1), b"");
    assert_eq!(form.expect(Name { key: 1, sequence: 1 }, None).bytes, b"");
}

#[test]
fn a_line_has_one_line_end_and_no_other() {
    for size in [1, 2, 28, 56, 100_000] {
        let message = message(&form(size, Protocol::Line), 9, 3);
        assert_eq!(message.iter().position(|byte| *byte == b'\n'), Some(size - 1));
        assert!(!message.contains(&b'\r'));
    }
}

#[test]
fn what_is_sent_raw_has_every_byte_there_is() {
    let message = message(&form(60_000, Protocol::Rfc862), 9, 3);
    assert!((0..=255).all(|byte| message.contains(&byte)));
}

proptest! {
    #[test]
    fn no_message_begins_with_the_exit_word(
        byte in 1_u8.., key: u32, sequence in 1_u32.., size in 1_usize..64
    ) {
        prop_assume!(!matches!(byte, b'\r' | b'\n'));
        let rule = Rule::new(b"", &[byte], 1).unwrap();
        for protocol in [Protocol::Reply, Protocol::Line] {
            let form = Form::new(Sizes { min: size, max: size }, protocol, &rule);
            prop_assert_ne!(message(&form, key, sequence)[0], byte);
        }
    }
}
