//! All targets in one binary: `ECHOD_FUZZ` names the one that libFuzzer feeds.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<echod_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("ECHOD_FUZZ").expect("ECHOD_FUZZ names a target");
    let known = echod_fuzz::TARGETS.iter().find(|(target, _)| *target == name);
    known.expect("there is a target of this name").1
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET(input));
