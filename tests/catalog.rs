//! What `journalctl -x` explains is what echod records, in both languages.

use echod::conversation::Ending;
use echod::report::{FIELDS, MESSAGE_IDS};
use std::collections::{BTreeMap, BTreeSet};

struct Explanation {
    heads: BTreeMap<String, String>,
    text: String,
}

const CATALOGUES: [&str; 2] = ["echod.catalog", "echod.zh_CN.catalog"];

fn catalogue(name: &str) -> BTreeMap<String, Explanation> {
    let path = format!("{}/packaging/catalog/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the catalogue is there");
    let mut entries = BTreeMap::new();
    for entry in format!("\n{text}").split("\n-- ").skip(1) {
        let (id, entry) = entry.split_once('\n').expect("an id is a line");
        let (heads, text) = entry.split_once("\n\n").expect("a text follows");
        let heads = heads.lines().map(|head| head.split_once(": ").expect("a head and its value"));
        let heads = heads.map(|(head, value)| (head.to_owned(), value.to_owned())).collect();
        let explanation = Explanation { heads, text: text.trim().to_owned() };
        let twice = entries.insert(id.to_owned(), explanation).is_some();
        assert!(!twice, "{name} explains {id} twice");
    }
    entries
}

#[test]
fn every_kind_of_record_is_explained_and_nothing_else() {
    let kinds: BTreeSet<_> = MESSAGE_IDS.iter().map(|(_, id)| (*id).to_owned()).collect();
    assert_eq!(kinds.len(), MESSAGE_IDS.len(), "each kind has its own id");
    for name in CATALOGUES {
        let explained: BTreeSet<_> = catalogue(name).into_keys().collect();
        assert_eq!(explained, kinds, "{name}");
    }
}

#[test]
fn an_id_is_what_the_journal_takes_for_one() {
    for (kind, id) in MESSAGE_IDS {
        let digits = id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        assert!(digits && id.len() == 32, "{kind}");
    }
}

#[test]
fn every_explanation_has_a_subject_and_a_text_and_leads_to_the_manual() {
    for name in CATALOGUES {
        for (id, explanation) in catalogue(name) {
            let head = |head: &str| explanation.heads.get(head).map(String::as_str);
            assert!(head("Subject").is_some_and(|subject| !subject.is_empty()), "{name}: {id}");
            assert_eq!(head("Defined-By"), Some("echod"), "{name}: {id}");
            assert_eq!(head("Documentation"), Some("man:echod(8)"), "{name}: {id}");
            assert!(!explanation.text.is_empty(), "{name}: {id}");
        }
    }
}

#[test]
fn both_languages_show_the_same_fields_and_only_fields_that_are_recorded() {
    let [english, chinese] = CATALOGUES.map(|name| {
        let shown = catalogue(name).into_iter().map(|(id, explanation)| {
            let text = format!("{} {}", explanation.heads["Subject"], explanation.text);
            let fields = text.split('@').skip(1).step_by(2).map(str::to_owned);
            (id, fields.collect::<BTreeSet<_>>())
        });
        shown.collect::<BTreeMap<_, _>>()
    });
    assert_eq!(english, chinese);
    let fields = english.values().flatten();
    assert!(fields.clone().count() > 0);
    fields.for_each(|field| assert!(FIELDS.contains(&field.as_str()), "{field}"));
}

#[test]
fn every_way_to_end_is_explained() {
    let (_, ended) = MESSAGE_IDS.iter().find(|(kind, _)| *kind == "ended").expect("a kind");
    for name in CATALOGUES {
        let text = &catalogue(name)[*ended].text;
        for ending in Ending::ALL {
            let quoted = format!("\"{}\"", ending.name());
            assert!(text.contains(&quoted), "{name} has no {quoted}");
        }
    }
}
