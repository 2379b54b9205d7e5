//! `packaging/release` refuses what is not in order. The repository here is made
//! for each test, so that the state of the real one does not matter.

use super::path;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const FILES: [(&str, &str); 5] = [
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

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]);
    git.args(["-c", "tag.gpgsign=false"]);
    let output = git.args(arguments).current_dir(folder).output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
}

/// A repository in which everything is committed and in order.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("there is room");
    for (name, text) in FILES {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("it can be made");
        fs::write(file, text).expect("it can be written");
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
    Command::new(program).args(arguments).output().expect("the script is there")
}

/// What it says when it refuses.
fn refusal(folder: &Path) -> String {
    let output = release(folder, &["--check-only"]);
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
    assert!(refusal(folder.path()).contains("not clean:\n?? letter"));
    commit(folder.path());
    fs::write(folder.path().join("letter"), "Dear").expect("it can be written");
    assert!(refusal(folder.path()).contains("not clean:\n M letter"));
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
        ("packaging/man/echod.8", "25", "24", "echod.8 is of November 24, 2026"),
        ("packaging/man/zh_CN/echod.8", "25", "24", "zh_CN/echod.8 is of November 24, 2026"),
    ] {
        let folder = repository();
        let changed = folder.path().join(file);
        let text = fs::read_to_string(&changed).expect("it is there");
        fs::write(&changed, text.replace(from, to)).expect("it can be written");
        commit(folder.path());
        let refusal = refusal(folder.path());
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
    assert!(refusal(folder.path()).contains("there is a tag v1.2.3"));
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
    assert!(git.is_ok() || std::env::var_os("CI").is_none(), "git is not installed");
    git.is_ok()
}
