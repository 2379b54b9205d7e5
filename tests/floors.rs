//! The house rules that a compiler does not know: who may use whom, and what
//! may stand where. The floors are those of the pictures in `src/lib.rs`, the
//! daemon's and the client's.
//!
//! It is long because each rule is seen to be broken, and to be kept.

#[path = "support/source.rs"]
mod source;

use std::fs;
use std::path::Path;

/// Lines of code that a file stays below, its tests not counted.
const LINES_MAX: usize = 300;

/// Words that may stand in some places only. A place is a module with all below
/// it, or one file.
struct Rule {
    words: &'static [&'static str],
    place: Place,
    why: &'static str,
}

enum Place {
    Only(&'static [&'static str]),
    NotIn(&'static [&'static str]),
}

const RULES: &[Rule] = &[
    Rule {
        words: &["unsafe"],
        place: Place::Only(&["keep", "socket", "systemd"]),
        why: "memory and system calls are theirs",
    },
    Rule { words: &["process::exit"], place: Place::Only(&[]), why: "main returns the code" },
    Rule { words: &[".unwrap()"], place: Place::Only(&[]), why: "expect says why it cannot fail" },
    Rule {
        words: &["dbg!", "todo!", "unimplemented!"],
        place: Place::Only(&[]),
        why: "the work is not finished",
    },
    Rule {
        words: &["print!", "println!", "eprint!", "eprintln!"],
        place: Place::Only(&["cli", "ping"]),
        why: "cli alone speaks to the terminal",
    },
    Rule {
        words: &["stderr", "stdout"],
        place: Place::Only(&["cli", "ping", "report"]),
        why: "what is said is a record or an answer to the operator",
    },
    Rule { words: &["tracing"], place: Place::Only(&["report"]), why: "records are in report" },
    Rule {
        words: &["env::", "env!"],
        place: Place::Only(&["bin", "cli", "main", "report.rs", "systemd"]),
        why: "the environment is read before the first thread starts",
    },
    Rule {
        words: &["block_in_place", "spawn_blocking", "thread::sleep"],
        place: Place::Only(&[]),
        why: "nothing blocks the one thread, and there is no other",
    },
    Rule {
        words: &["Condvar", "Mutex", "RwLock"],
        place: Place::Only(&[]),
        why: "one thread serves, and takes no lock",
    },
    Rule {
        words: &["Instant", "SystemTime"],
        place: Place::NotIn(PURE),
        why: "what decides is given the time",
    },
    Rule {
        words: &["TcpListener", "TcpStream", "UdpSocket", "os::fd", "os::unix::net"],
        place: Place::NotIn(PURE),
        why: "what decides is given bytes",
    },
    Rule {
        words: &["libc", "listenfd", "rustix", "sd_notify", "thread", "tokio"],
        place: Place::NotIn(PURE),
        why: "values wait for nobody and ask no kernel",
    },
];

const PURE: &[&str] = &["config", "conversation", "echo", "endpoint"];

/// The floors of a house, the highest first.
type House = Vec<Vec<String>>;

/// The houses in the pictures of `src/lib.rs`: each has a door to the street,
/// a program, at the top.
fn houses() -> Vec<House> {
    let text = fs::read_to_string(root().join("lib.rs")).expect("src/lib.rs can be read");
    let floor = |floor: &str| floor.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let picture = |line: &str| {
        let parts = line.trim_start_matches("//!").split('→');
        parts.map(|part| floor(part.trim_matches([' ', '{', '}']))).collect()
    };
    text.lines().filter(|line| line.contains(" → ")).map(picture).collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// The path of a file as module names: `serve/turn.rs` is `serve`, `turn`.
fn modules(file: &str) -> Vec<&str> {
    file.trim_end_matches(".rs").split('/').filter(|name| *name != "lib").collect()
}

/// What is wrong with a file, given its path below `src`.
fn faults(file: &str, text: &str, houses: &[House]) -> Vec<String> {
    let code = source::code(text);
    let mut faults = Vec::new();
    let lines = source::lines(&code);
    if lines >= LINES_MAX {
        faults.push(format!("{file}: {lines} lines of code; has it a second reason to change?"));
    }
    faults.extend(floor_faults(file, &code, houses));
    for rule in RULES {
        let is_in = |place: &&str| file == *place || modules(file).first() == Some(place);
        let is_allowed = match rule.place {
            Place::Only(places) => places.iter().any(is_in),
            Place::NotIn(places) => !places.iter().any(is_in),
        };
        for word in rule.words.iter().filter(|_| !is_allowed) {
            for line in source::lines_with(&code, word) {
                faults.push(format!("{file}:{line}: {word}: {}", rule.why));
            }
        }
    }
    faults
}

fn floor_faults(file: &str, code: &str, houses: &[House]) -> Vec<String> {
    let path = modules(file);
    let (own, is_program) = match path[..] {
        [] => return Vec::new(),
        ["bin", name, ..] => (name, true),
        [name, ..] => (name, name == "main"),
    };
    let floor = |house: &House, name: &str| {
        house.iter().position(|floor| floor.iter().any(|one| one == name))
    };
    let homes: Vec<_> =
        houses.iter().filter_map(|house| Some((house, floor(house, own)?))).collect();
    if homes.is_empty() {
        return vec![format!("{file}: {own} is on no floor")];
    }
    let (depth, krate) = if is_program { (0, "echod") } else { (path.len(), "crate") };
    let mut faults = Vec::new();
    for (line, name) in source::modules_named(code, depth, krate) {
        let is_below =
            |(house, here): &(&House, usize)| floor(house, &name).is_some_and(|it| it > *here);
        if name == own || homes.iter().any(is_below) {
            continue;
        }
        let is_somewhere = houses.iter().any(|house| floor(house, &name).is_some());
        let why = if is_somewhere {
            format!("{name} is not below {own}")
        } else {
            format!("{name} is on no floor")
        };
        faults.push(format!("{file}:{line}: {why}"));
    }
    faults
}

/// Every file below `src` that the program is made of, with its text.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut tests = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(root()).expect("it is below src").display().to_string();
            let text = fs::read_to_string(&path).expect("it is text");
            let parent = if file == "lib.rs" { "" } else { file.trim_end_matches(".rs") };
            tests.extend(
                source::test_modules(&text).iter().map(|name| format!("{parent}/{name}.rs")),
            );
            files.push((file, text));
        }
    }
    files.retain(|(file, _)| !tests.contains(file));
    files.sort();
    files
}

#[test]
fn the_program_keeps_the_rules() {
    let houses = houses();
    let faults: Vec<_> =
        files().iter().flat_map(|(file, text)| faults(file, text, &houses)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_picture_shows_every_module_and_no_other() {
    let mut shown: Vec<_> = houses().concat().concat();
    shown.sort();
    // What carries both houses is shown twice.
    shown.dedup();
    let files = files();
    let names = files.iter().filter_map(|(file, _)| file.strip_suffix(".rs"));
    let mut found: Vec<_> = names.map(|name| name.strip_prefix("bin/").unwrap_or(name)).collect();
    found.retain(|name| !name.contains('/') && *name != "lib");
    found.sort_unstable();
    assert_eq!(shown, found);
}

/// Whether this text in this file is complained about, with these words.
fn complaint(file: &str, text: &str) -> String {
    faults(file, text, &houses()).join("\n")
}

#[test]
fn a_look_upwards_or_sideways_is_seen() {
    for (file, text, fault) in [
        ("serve/turn.rs", "use crate::daemon::Failure;", "daemon is not below serve"),
        ("serve.rs", "\nfn f() { crate::daemon::live() }", "serve.rs:2: daemon"),
        ("report.rs", "use crate::cli;", "cli is not below report"),
        (
            "config.rs",
            "use crate::{echo::{Rule, State},\n keep::Memory};",
            "keep is not below config",
        ),
        ("echo/line.rs", "use super::super::endpoint::Party;", "endpoint is not below echo"),
        ("echo.rs", "use super::conversation;", "conversation is not below echo"),
        ("serve.rs", "use crate::util;", "util is on no floor"),
        ("util.rs", "", "util is on no floor"),
        ("cli.rs", "pub(crate) use crate::main::x;", "main is not below cli"),
        ("daemon.rs", "use echod::x; use crate::main;", "main is not below daemon"),
        ("main.rs", "use echod::util;", "util is on no floor"),
        ("ping/run.rs", "use crate::serve;", "serve is not below ping"),
        ("serve.rs", "use crate::ping;", "ping is not below serve"),
        ("main.rs", "use echod::ping;", "ping is not below main"),
        ("bin/echo-ping.rs", "use echod::daemon;", "daemon is not below echo-ping"),
    ] {
        assert!(complaint(file, text).contains(fault), "{file}: {text}: {}", complaint(file, text));
    }
}

#[test]
fn a_look_downwards_is_fine() {
    for (file, text) in [
        ("main.rs", "use echod::{cli::{self, Stop}, daemon, report};"),
        ("serve/turn.rs", "use crate::keep::Memory; use super::desk; use crate::serve::Desk;"),
        ("serve/turn.rs", "use super::report;"),
        ("keep/verdict.rs", "use crate::{\n    config::Limits,\n    echo,\n};"),
        ("lib.rs", "pub mod cli;\npub mod daemon;"),
        ("bin/echo-ping.rs", "fn main() { echod::ping::main() }"),
        ("ping/run.rs", "use crate::{cli, config, socket};"),
    ] {
        assert_eq!(complaint(file, text), "", "{file}: {text}");
    }
}

#[test]
fn a_word_out_of_place_is_seen() {
    for (file, text, fault) in [
        ("serve.rs", "fn f() { unsafe { g() } }", "serve.rs:1: unsafe"),
        ("main.rs", "fn f() {\n    std::process::exit(1)\n}", "main.rs:2: process::exit"),
        ("socket.rs", "fn f() { g().unwrap() }", "unwrap"),
        ("report/writer.rs", "fn f() { eprintln!() }", "eprintln!"),
        ("daemon.rs", "fn f() { std::io::stderr(); }", "stderr"),
        ("serve/turn.rs", "fn f() { tracing::info!() }", "tracing"),
        ("report/writer.rs", "fn f() { std::env::var(\"X\") }", "env::"),
        ("daemon.rs", "fn f() { std::thread::sleep(ONE_SECOND) }", "thread::sleep"),
        ("echo/line.rs", "use std::time::Instant;", "Instant"),
        ("config.rs", "use tokio::net::TcpListener;", "tokio"),
        ("endpoint.rs", "fn f(a: std::net::TcpStream) {}", "TcpStream"),
    ] {
        assert!(complaint(file, text).contains(fault), "{file}: {text}: {}", complaint(file, text));
    }
}

#[test]
fn a_word_in_its_place_in_a_comment_a_text_or_a_test_is_fine() {
    for (file, text) in [
        ("socket.rs", "#![expect(unsafe_code)]\nfn f() { unsafe { g() } }"),
        ("cli/exit.rs", "fn f() { eprintln!() }"),
        ("report.rs", "fn f() { std::env::var(\"X\") }"),
        ("config.rs", "// unsafe\n/* tokio /* Instant */ unsafe */\n/// `x.unwrap()`\nfn f() {}"),
        ("config.rs", "const A: &str = \"unsafe \\\" tokio\"; const B: &str = r#\"\" unsafe\"#;"),
        (
            "config.rs",
            "fn f<'a>(a: &'a str) -> char { let q = '\"'; let _ = '\\''; q } // \" unsafe",
        ),
        (
            "config.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::daemon;\n    fn f() { g().unwrap() }\n}",
        ),
        ("config.rs", "#[cfg(test)]\nuse crate::{daemon, serve};\nfn f() {}"),
    ] {
        assert_eq!(complaint(file, text), "", "{file}: {text}");
    }
}

#[test]
fn what_follows_a_test_is_looked_at() {
    for text in [
        "#[cfg(test)]\nmod tests;\nfn f() { g().unwrap() }",
        "#[cfg(test)]\nuse crate::{daemon, serve};\nfn f() { g().unwrap() }",
        "#[cfg(test)]\n#[derive(Debug)]\nstruct A { b: [u8; 3] }\nfn f() { g().unwrap() }",
    ] {
        let last = text.lines().count();
        assert!(
            complaint("config.rs", text).starts_with(&format!("config.rs:{last}: .unwrap()")),
            "{text}"
        );
    }
}

#[test]
fn a_long_file_is_seen_and_its_tests_are_not_counted() {
    let lines = |count: usize| "f();\n\n// Why.\n".repeat(count);
    assert!(complaint("serve.rs", &lines(LINES_MAX)).contains("300 lines"));
    let rest = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(LINES_MAX));
    assert_eq!(complaint("serve.rs", &(lines(LINES_MAX - 1) + &rest)), "");
}
