//! Running `echo-ping` and reading what it says.

use serde_json::Value;
use std::process::{Command, Output};

/// What a run came to.
#[derive(Debug)]
pub struct Pinged {
    pub status: i32,
    pub objects: Vec<Value>,
    pub summary: Value,
}

/// Runs it with `--json`.
pub fn ping(words: &[&str]) -> Pinged {
    ping_as(Command::new(env!("CARGO_BIN_EXE_echo-ping")).args(words).arg("--json"))
}

/// Runs a command that is an `echo-ping --json` in the end.
pub fn ping_as(command: &mut Command) -> Pinged {
    let (status, text) = said(command);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut objects: Vec<Value> = text.lines().map(parse).collect();
    let summary = objects.pop().expect("there is a summary");
    assert_eq!(summary["type"], "summary");
    Pinged { status, objects, summary }
}

/// Runs it for people.
pub fn said(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("it can be started");
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).expect("it is text"));
    assert_eq!(err, "", "it is quiet on stderr: {out}");
    (status.code().expect("it exits"), out)
}

impl Pinged {
    /// The status, and sent, received, lost, duplicated, reordered, corrupted.
    pub fn counts(&self) -> (i32, [u64; 6]) {
        let names = ["sent", "received", "lost", "duplicated", "reordered", "corrupted"];
        (self.status, names.map(|name| self.number(name)))
    }

    pub fn number(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.summary))
    }

    /// What is said of each message with this word.
    pub fn sequences(&self, word: &str) -> Vec<u64> {
        let has = |object: &&Value| object["type"] == word || object["result"] == word;
        self.objects.iter().filter(has).filter_map(|it| it["sequence"].as_u64()).collect()
    }

    /// Objects of this type.
    pub fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["type"] == kind).collect()
    }
}
