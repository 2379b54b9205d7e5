//! What the package installs agrees with the program.
//! `UPDATE=1 cargo test --test packaging` rewrites what can be written by rule:
//! shell completions, the manual's OPTIONS, the list of linked crates.

#[path = "../support/mod.rs"]
mod support;

mod copyright;
mod manual;
mod release;
mod units;

use clap_complete::{Shell, generate};
use std::fs;
use std::path::PathBuf;

/// A file of the tree; of `packaging/debian` also where dpkg-buildpackage has it.
fn path(file: &str) -> PathBuf {
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let there = top.join(file);
    match file.strip_prefix("packaging/") {
        Some(staged) if !there.exists() => top.join(staged),
        _ => there,
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Holds a file against what it should be, or makes it so.
fn hold(file: &str, want: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path(file), want).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    assert!(
        fs::read_to_string(path(file)).unwrap_or_default() == want,
        "{file} is stale: UPDATE=1 cargo test --test packaging"
    );
}

/// What stands between two lines of a file, replaced.
fn replaced(text: &str, from: &str, to: &str, inner: &str) -> String {
    let begin = text.find(from).unwrap_or_else(|| panic!("no {from:?}")) + from.len();
    let end = begin + text[begin..].find(to).unwrap_or_else(|| panic!("no {to:?}"));
    format!("{}{inner}{}", &text[..begin], &text[end..])
}

#[test]
fn completions_are_those_of_the_options() {
    for mut command in [echod::cli::command(), echod::ping::command()] {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, name.clone()),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let mut want = Vec::new();
            generate(shell, &mut command, &name, &mut want);
            let want = String::from_utf8(want).expect("completions are text");
            hold(&format!("packaging/completions/{file}"), &want);
        }
    }
}

#[test]
fn the_changelog_begins_with_this_version() {
    // A local suffix, 0.1.0+x, is the same version.
    let changelog = read("packaging/debian/changelog");
    let head = changelog.strip_prefix("echod (").and_then(|rest| rest.split_once(')'));
    let version = head.expect("the changelog begins with a version").0;
    assert_eq!(version.split('+').next(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_defaults_offer_options_only() {
    let variables =
        echod::cli::command().get_arguments().filter_map(echod::cli::variable).collect::<Vec<_>>();
    let mut offered = 0;
    for line in read("packaging/default/echod").lines() {
        if let Some((name, _)) = line.strip_prefix("#ECHOD_").and_then(|line| line.split_once('='))
        {
            assert!(variables.contains(&format!("ECHOD_{name}")), "ECHOD_{name} is no option");
            offered += 1;
        } else {
            assert!(line.is_empty() || line.starts_with("# "), "{line:?} would change a default");
        }
    }
    assert!(offered > 0);
}
