//! `packaging/release` refuses what is not in order. The repository here is made
//! for each test, so that the state of the real one does not matter.

use super::path;
use crate::support::skip::skip;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const FILES: [(&str, &str); 8] = [
    (".gitignore", "target\n"),
    (TESTS, "[ \"$CI\" = true ]\n"),
    (BUILD, "mkdir \"$DEB_OUT\" && cd \"$DEB_OUT\" && touch echod.deb echod.dsc echod.tar.xz\n"),
    ("Cargo.toml", "[package]\nname = \"echod\"\nversion = \"1.2.3\"\n\n[dependencies]\n"),
    (
        "Cargo.lock",
        "[[package]]\nname = \"ech\"\nversion = \"9.0.0\"\n\n[[package]]\nname = \"echod\"\nversion = \"1.2.3\"\n",
    ),
    (
        "packaging/debian/changelog",
        "echod (1.2.3) unstable; urgency=medium\n\n  * Added: all.\n\n -- A <a@b>  Wed, 25 Nov 2026 12:00:00 +0000\n",
    ),
    ("packaging/man/echod.8", ".\\\" Head\n.Dd November 25, 2026\n.Dt ECHOD 8\n"),
    ("packaging/man/zh_CN/echod.8", ".Dd November 25, 2026\n.Dt ECHOD 8\n"),
];

/// What is run before a release, and is a stand-in here.
const TESTS: &str = "tests/run";
const BUILD: &str = "packaging/build-deb";

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().expect("it is in a folder")).expect("it can be made");
    if [TESTS, BUILD].contains(&name) {
        fs::write(&file, format!("#!/bin/sh\n{text}")).expect("it can be written");
        fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("it is ours");
    } else {
        fs::write(&file, text).expect("it can be written");
    }
}

/// A command for which there is one person, A, with no habits of their own. Run by
/// a hook of git, it would be told of the real repository by `GIT_DIR` and others.
fn anonymous(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A").env(format!("GIT_{role}_EMAIL"), "a@b");
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

/// What git prints.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = anonymous("git");
    let output = git.args(arguments).current_dir(folder).output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// A repository in which everything is committed and in order.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("there is room");
    for (name, text) in FILES {
        write(folder.path(), name, text);
    }
    fs::copy(path("packaging/release"), folder.path().join("packaging/release")).expect("a copy");
    git(folder.path(), &["init", "--quiet"]);
    commit(folder.path());
    folder
}

fn commit(folder: &Path) {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", "All"]);
}

fn release(folder: &Path, arguments: &[&str]) -> Output {
    let program = folder.join("packaging/release");
    anonymous(program).args(arguments).output().expect("the script is there")
}

/// What it says when it refuses.
fn refusal(folder: &Path, how: &str) -> String {
    let output = release(folder, &[how]);
    assert_eq!(output.status.code(), Some(1), "it was not refused: {output:?}");
    String::from_utf8(output.stderr).expect("it is text")
}

#[test]
fn what_is_in_order_may_be_released() {
    if !has_git() {
        return;
    }
    let output = release(repository().path(), &["--check-only"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1.2.3 is in order"), "{said}");
}

#[test]
fn a_dirty_tree_is_refused() {
    if !has_git() {
        return;
    }
    let folder = repository();
    fs::write(folder.path().join("letter"), "dear").expect("it can be written");
    assert!(refusal(folder.path(), "--check-only").contains("not clean:\n?? letter"));
    commit(folder.path());
    fs::write(folder.path().join("letter"), "Dear").expect("it can be written");
    assert!(refusal(folder.path(), "--check-only").contains("not clean:\n M letter"));
}

#[test]
fn what_disagrees_about_the_version_is_refused() {
    if !has_git() {
        return;
    }
    for (file, from, to, said) in [
        ("Cargo.toml", "1.2.3", "1.2.4", "Cargo.lock says 1.2.3, Cargo.toml 1.2.4"),
        ("Cargo.lock", "1.2.3", "1.2.2", "Cargo.lock says 1.2.2, Cargo.toml 1.2.3"),
        ("packaging/debian/changelog", "1.2.3", "1.2.30", "the changelog begins with"),
        ("packaging/debian/changelog", "unstable", "UNRELEASED", "the changelog says UNRELEASED"),
        ("packaging/debian/changelog", "25 Nov", "26 Nov", "the changelog of November 26, 2026"),
        ("packaging/debian/changelog", " -- A", "A", "the changelog has no date\n"),
        ("packaging/man/echod.8", "25", "24", "echod.8 is of November 24, 2026"),
        ("packaging/man/zh_CN/echod.8", "25", "24", "zh_CN/echod.8 is of November 24, 2026"),
    ] {
        let folder = repository();
        let changed = folder.path().join(file);
        let text = fs::read_to_string(&changed).expect("it is there");
        fs::write(&changed, text.replace(from, to)).expect("it can be written");
        commit(folder.path());
        let refusal = refusal(folder.path(), "--check-only");
        assert!(refusal.contains(said), "{refusal:?} does not say {said:?}");
    }
}

#[test]
fn what_was_released_is_not_released_again() {
    if !has_git() {
        return;
    }
    let folder = repository();
    git(folder.path(), &["tag", "v1.2.3"]);
    assert!(refusal(folder.path(), "--check-only").contains("there is a tag v1.2.3"));
}

#[test]
fn what_is_green_is_tagged_with_its_changes() {
    if !has_git() {
        return;
    }
    let folder = repository();
    let output = release(folder.path(), &["--tag"]);
    assert!(output.status.success(), "{output:?}");
    let head = git(folder.path(), &["rev-parse", "HEAD"]);
    assert_eq!(git(folder.path(), &["rev-parse", "v1.2.3^{commit}"]), head);
    let said = git(folder.path(), &["for-each-ref", "--format=%(contents)", "refs/tags"]);
    assert_eq!(said.trim_end(), "echod 1.2.3\n\n* Added: all.");
}

#[test]
fn what_is_not_green_is_not_tagged() {
    if !has_git() {
        return;
    }
    for (file, script, said) in [
        (TESTS, "exit 1", "tests/run has failed"),
        (TESTS, "touch letter", "not clean:\n?? letter"),
        (TESTS, "git commit --quiet --allow-empty --message More", "is another commit now"),
        (BUILD, "exit 1", "packaging/build-deb has failed"),
        (
            BUILD,
            "mkdir \"$DEB_OUT\" && cd \"$DEB_OUT\" && touch a.dsc a.tar.xz && pwd >a.deb",
            "two builds differ",
        ),
    ] {
        let folder = repository();
        write(folder.path(), file, script);
        commit(folder.path());
        let refusal = refusal(folder.path(), "--tag");
        assert!(refusal.contains(said), "{refusal:?} does not say {said:?}");
        assert_eq!(git(folder.path(), &["tag"]), "");
    }
}

#[test]
fn nothing_is_released_by_an_option_that_there_is_not() {
    for arguments in [&["--force"][..], &["--tag", "--check-only"]] {
        let output = release(path("").as_path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
}

/// A build for a distribution has no use for it; the project's own tests do.
fn has_git() -> bool {
    let git = Command::new("git").arg("--version").output();
    git.inspect_err(|error| skip(format_args!("git: {error}"))).is_ok()
}
