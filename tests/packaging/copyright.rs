//! The copyright file names every crate that is linked into the program.

use crate::{hold, read, replaced};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where it is asked for: crates for other systems are not linked.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn cargo(arguments: &[&str]) -> String {
    let cargo = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    String::from_utf8(cargo.stdout).expect("cargo writes text")
}

/// `name version` of everything linked into the program, but itself.
fn linked() -> BTreeSet<String> {
    // Procedural macros run in the compiler; nothing of them is in the program.
    let tree = ["tree", "-e", "normal,no-proc-macro", "--target", TARGET, "--prefix", "none"];
    cargo(&[&tree[..], &["-f", "{p}"]].concat())
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once(" v"))
        .map(|(name, version)| format!("{name} {version}"))
        .filter(|name| !name.starts_with("echod "))
        .collect()
}

/// Whose a crate is: as its MIT licence says, else its authors.
fn holders(package: &Value) -> Vec<String> {
    let manifest = package["manifest_path"].as_str().expect("a package has a manifest");
    let folder = Path::new(manifest).parent().expect("a manifest lies in a folder");
    let said = ["LICENSE-MIT", "LICENSE", "LICENSE-BSD"]
        .iter()
        .filter_map(|name| fs::read_to_string(folder.join(name)).ok())
        .flat_map(|text| text.lines().map(str::trim).map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.starts_with("Copyright ") && !line.contains(['[', '{']))
        .map(|line| {
            let line = line.trim_start_matches("Copyright ").trim_start_matches("(c) ");
            line.replace("2019, ", "2019 ")
        })
        .collect::<Vec<_>>();
    if !said.is_empty() {
        return said;
    }
    let authors = package["authors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let authors = authors.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    if authors.is_empty() {
        vec![format!("the {} contributors", package["name"].as_str().unwrap_or_default())]
    } else {
        authors
    }
}

#[test]
fn every_linked_crate_is_named_with_its_holders_and_a_licence_that_is_here() {
    let metadata = cargo(&["metadata", "--format-version=1", "--filter-platform", TARGET]);
    let metadata = serde_json::from_str::<Value>(&metadata).expect("cargo writes JSON");
    let linked = linked();
    let mut lines = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("there are packages") {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap_or(""));
        if !linked.contains(&format!("{name} {version}")) {
            continue;
        }
        // MIT where it is offered, else Apache-2.0; nothing else is accepted.
        let licence = package["license"].as_str().unwrap_or("none");
        // A slash is how it was written once.
        let offers = licence.split(" OR ").flat_map(|it| it.split('/')).collect::<Vec<_>>();
        let chosen = ["MIT", "Apache-2.0"].into_iter().find(|ours| offers.contains(ours));
        let chosen = chosen.unwrap_or_else(|| panic!("{name} is under {licence}"));
        for holder in holders(package) {
            lines.insert(format!(" {holder} ({name} {version}: {chosen})\n"));
        }
    }
    assert!(lines.len() >= linked.len(), "{linked:?} is more than {lines:?}");
    let have = read("packaging/debian/copyright");
    let inner = lines.into_iter().collect::<String>();
    let want = replaced(&have, "Files: Cargo.lock\nCopyright:\n", "License: ", &inner);
    hold("packaging/debian/copyright", &want);
}
