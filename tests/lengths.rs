//! How long a file may be: 300 lines, all counted, or it says at its head why it
//! is longer.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 300;
/// Where the head of a file ends, in lines.
const HEAD: usize = 20;
const REASON: &str = "It is long because ";

/// Whether something is a program, or a part of one: data, pages and unit files
/// are as long as what they tell.
fn is_code(path: &Path, text: &str) -> bool {
    let is_source = path
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| matches!(extension, "rs" | "c" | "py"));
    is_source || text.starts_with("#!")
}

/// Whether a line is a comment that gives the reason.
fn says_why(line: &str) -> bool {
    line.trim_start_matches(['/', '!', '*', '#', ' ']).starts_with(REASON)
}

/// What is wrong with the length of a file.
fn fault(text: &str) -> Option<String> {
    let lines = text.lines().count();
    let has_reason = text.lines().take(HEAD).any(says_why);
    match (lines > LINES_MAX, has_reason) {
        (true, false) => Some(format!(
            "{lines} lines; has it a second reason to change? If not, say \"{REASON}…\" at its head"
        )),
        (false, true) => Some(format!("{lines} lines; it says why it is long, and is not")),
        _ => None,
    }
}

/// Every file of code in a folder and below.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(text) = fs::read_to_string(&path)
            && is_code(&path, &text)
        {
            found.push((path, text));
        }
    }
    found
}

#[test]
fn a_long_file_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> =
        ["src", "tests", "packaging"].iter().flat_map(|folder| files(&root.join(folder))).collect();
    assert!(files.len() > 100, "{} files were found", files.len());
    let faults: Vec<_> = files
        .iter()
        .filter_map(|(path, text)| Some(format!("{}: {}", path.display(), fault(text)?)))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_line_too_many_is_seen_and_so_is_a_reason_that_is_none() {
    let reason = format!("//! {REASON}it is.\n");
    for (text, is_fine) in [
        ("a\n".repeat(300), true),
        ("a\n".repeat(301), false),
        (reason.clone() + &"a\n".repeat(300), true),
        ("a\n".repeat(300) + &reason, false),
        (reason + &"a\n".repeat(299), false),
    ] {
        assert_eq!(fault(&text).is_none(), is_fine, "{} lines", text.lines().count());
    }
}
