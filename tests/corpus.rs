//! Every input that the fuzzer found worth keeping goes through its target
//! again. `tests/fuzz/run` looks for more.
#![allow(unsafe_code, reason = "a target maps more memory files than a daemon does")]

#[allow(unreachable_pub, reason = "the fuzzer has the same files as a library")]
#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Some targets count what the whole process has open: nothing else may open
/// anything meanwhile.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn every_input_that_was_found_is_still_taken_as_it_should_be() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let corpus = corpora.join(name);
        let entries = fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}"));
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{corpus:?} has no input");
        let mut bytes = 0;
        for file in &files {
            let input = fs::read(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            bytes += input.len();
            assert!(catch_unwind(|| target(&input)).is_ok(), "{file:?}");
        }
        println!("{name}: {} inputs, {bytes} bytes", files.len());
    }
}

#[test]
fn every_corpus_has_a_target() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for entry in fs::read_dir(corpora).expect("there are corpora") {
        let name = entry.expect("an entry").file_name();
        assert!(targets::TARGETS.iter().any(|(target, _)| name == *target), "{name:?}");
    }
}
