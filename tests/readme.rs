//! The README tells the truth: its terminal scenes are played again with the
//! real program, and its picture of the floors is the one in `src/lib.rs`.
//!
//! A scene is a `console` block; those on an installed system are `shell-session`
//! blocks, and the system test's. One that starts the daemon shows what the
//! daemon says until it is told to stop; the next block talks to it from another
//! terminal. All of it happens in a network of its own, since the README names
//! ports as a reader would.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use support::alone::alone;
use support::child::forget_surroundings;

/// How the README calls what Cargo calls something else during tests.
const PROGRAMS: [&str; 2] = ["cargo run --release", "target/release/echod"];
/// What begins the lines that a scene must repeat; others are cargo's, or
/// worded differently by another systemd.
const SAID: [&str; 2] = ["echod: ", "Listening on "];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of this language in a text.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let begin = text.match_indices(&fence).map(|(at, _)| &text[at + fence.len()..]);
    begin.map(|rest| rest.split("```").next().expect("there is a first").to_owned()).collect()
}

/// One thing that somebody types at a prompt, and what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    typed: String,
    printed: String,
}

fn typed(block: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for text in block.lines() {
        if let Some(typed) = text.strip_prefix("$ ") {
            lines.push(Line { typed: typed.to_owned(), printed: String::new() });
        } else {
            let line = lines.last_mut().expect("a scene begins with a prompt");
            line.printed += text;
            line.printed += "\n";
        }
    }
    lines
}

/// `typed` in a shell, with the program under test where the README has its own.
fn shell(typed: &str) -> Command {
    let typed = PROGRAMS.iter().fold(typed.to_owned(), |typed, program| {
        typed.replace(program, env!("CARGO_BIN_EXE_echod"))
    });
    let mut shell = Command::new("bash");
    shell.args(["-c", &typed]).current_dir(env!("CARGO_MANIFEST_DIR"));
    forget_surroundings(&mut shell);
    shell.stdin(Stdio::null());
    shell
}

/// A line without what differs from run to run: ports that the kernel chose,
/// and times.
fn lasting(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let before = words.last().map_or("", String::as_str);
        let word = match (before, word.rsplit_once(':')) {
            ("with", Some((address, _))) => format!("{address}:PORT"),
            ("in", None) if word.parse::<f64>().is_ok() => "TIME".to_owned(),
            _ => word.to_owned(),
        };
        words.push(word);
    }
    words.join(" ")
}

/// The daemon in its terminal.
struct Terminal {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
    heard: Vec<String>,
}

impl Terminal {
    /// Starts it and waits until somebody can connect.
    fn start(typed: &str) -> Self {
        let mut child =
            shell(&format!("exec {typed}")).stderr(Stdio::piped()).spawn().expect("bash runs");
        let said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut terminal = Self { child, said, heard: Vec::new() };
        let sockets = typed.matches("-l ").count().max(1);
        for _ in 0..sockets {
            terminal.hear_until(|line| SAID.iter().any(|begin| line.starts_with(begin)));
        }
        terminal
    }

    fn hear_until(&mut self, found: impl Fn(&str) -> bool) {
        for line in self.said.by_ref() {
            let line = line.expect("it speaks text");
            let is_found = found(&line);
            if SAID.iter().any(|begin| line.starts_with(begin)) {
                self.heard.push(lasting(&line));
            }
            if is_found {
                return;
            }
        }
        panic!("it ended too early, after it said {:#?}", self.heard);
    }

    /// Presses Ctrl-C, and waits for the end.
    fn interrupt(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
        let rest = self.said.by_ref().map(|line| lasting(&line.expect("it speaks text")));
        self.heard.extend(rest);
        assert!(self.child.wait().expect("it ends").success());
        std::mem::take(&mut self.heard)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Whatever failed, it does not stay.
        let _ = self.child.kill();
    }
}

fn expected(printed: &str) -> Vec<String> {
    let lines = printed.lines().filter(|line| SAID.iter().any(|begin| line.starts_with(begin)));
    lines.map(lasting).collect()
}

/// Types it, and compares what it prints with the README.
fn play(line: &Line) {
    let output = shell(&line.typed).stderr(Stdio::inherit()).output().expect("bash runs");
    let printed = String::from_utf8(output.stdout).expect("it speaks text");
    assert_eq!(printed, line.printed, "{}", line.typed);
}

/// Plays all scenes. Returns how often the daemon was started.
fn play_all(scenes: &[String]) -> usize {
    let mut started = 0;
    let mut scenes = scenes.iter().map(|scene| typed(scene));
    while let Some(scene) = scenes.next() {
        let first = scene.first().expect("a scene begins with a prompt");
        if !PROGRAMS.iter().any(|program| first.typed.contains(program)) {
            scene.iter().for_each(play);
            continue;
        }
        started += 1;
        let mut terminal = Terminal::start(&first.typed);
        for line in scenes.next().expect("somebody talks to it") {
            play(&line);
            // One after the other, so that the records are too.
            terminal.hear_until(|line| line.contains(" ended "));
        }
        assert_eq!(terminal.interrupt(), expected(&first.printed), "{}", first.typed);
    }
    started
}

#[test]
fn the_scenes_are_true() {
    alone("the_scenes_are_true", || {
        let pages = ["README.md", "packaging/doc/CONTRIBUTING.md"];
        let started = pages.map(|page| play_all(&blocks(&read(page), "console")));
        assert_eq!(started, [1, 1]);
    });
}

#[test]
fn the_floors_are_those_of_the_crate() {
    let text = read("src/lib.rs");
    let comment: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let comment =
        comment.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>();
    let pictures = blocks(&comment.join("\n"), "text");
    assert_eq!(pictures.len(), 2, "src/lib.rs has a picture of each house");
    let shown = blocks(&read("README.md"), "text");
    assert!(pictures.iter().all(|picture| shown.contains(picture)), "README.md shows {shown:?}");
}

#[test]
fn what_differs_from_run_to_run_is_not_compared() {
    let lines = [
        "conversation 1 with 127.0.0.1:1 ended (x): 5 bytes received, 12 sent in 0.001 s",
        "conversation 1 with 127.0.0.1:65535 ended (x): 5 bytes received, 12 sent in 3.1 s",
        "conversation 1 with 127.0.0.1:1 ended (x): 5 bytes received, 13 sent in 0.001 s",
        "conversation 1 with 127.0.0.2:1 ended (x): 5 bytes received, 12 sent in 0.001 s",
    ];
    let [one, same, bytes, address] = lines.map(lasting);
    assert_eq!(one, same);
    assert_ne!(one, bytes);
    assert_ne!(one, address);
}
