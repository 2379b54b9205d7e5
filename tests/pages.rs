//! The pages under packaging/doc tell the truth: what they link to is there, the
//! functions that they name are in the files that they name, and the tutorial's
//! looks at the kernel show what `ss` shows.

mod support;

use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use support::alone::alone;
use support::daemon::Daemon;
use support::peer::wait_for;

/// Pages that say the same in two languages.
const TWINS: [(&str, &str); 2] = [("tutorial.md", "tutorial.zh.md"), (README, "README.zh.md")];

/// It leads to the pages, and is held to the same.
const README: &str = "../../README.md";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/doc")
}

fn page(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn pages() -> Vec<(String, String)> {
    let files = fs::read_dir(folder()).expect("there are pages");
    let names = files.map(|file| file.expect("it has a name").file_name());
    let names = names.map(|name| name.into_string().expect("it is text"));
    let names = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"));
    names.chain([README.to_owned()]).map(|name| (name.clone(), page(&name))).collect()
}

/// Where a link of a page leads.
fn place(page: &str, target: &str) -> PathBuf {
    folder().join(page).parent().expect("a page lies in a folder").join(target)
}

/// What a page links to beside itself, and the functions it names behind each
/// link: `name()` in backquotes, until the next link.
fn links(text: &str) -> Vec<(&str, Vec<&str>)> {
    let parts = text.split("](").skip(1);
    parts
        .filter_map(|part| {
            let (target, rest) = part.split_once(')')?;
            // The next link's own text may have backquotes.
            let named = rest.split('`').skip(1).step_by(2);
            let functions = named.filter_map(|word| word.strip_suffix("()"));
            Some((target, functions.collect()))
        })
        .filter(|(target, _)| !target.contains("://") && !target.starts_with('#'))
        .collect()
}

#[test]
fn every_link_leads_to_a_file() {
    let mut followed = 0;
    for (name, text) in pages() {
        for (target, _) in links(&text) {
            let file = target.split('#').next().expect("there is a first");
            assert!(place(&name, file).exists(), "{name} links to {target}");
            followed += 1;
        }
    }
    assert!(followed > 20);
}

#[test]
fn every_function_is_where_a_page_says() {
    let mut found = 0;
    for (name, text) in pages() {
        for (target, functions) in links(&text) {
            for function in functions {
                let source = fs::read_to_string(place(&name, target)).unwrap_or_default();
                let is_there =
                    ["(", "<"].iter().any(|next| source.contains(&format!("fn {function}{next}")));
                assert!(is_there, "{name}: no function {function} in {target}");
                found += 1;
            }
        }
    }
    assert!(found > 20);
}

/// A page without its prose: where it leads, what it names there, its blocks.
fn bones(name: &str) -> (Vec<(PathBuf, Vec<String>)>, Vec<String>) {
    let text = page(name);
    // The first link is to the other language.
    let links = links(&text).split_off(1).into_iter().map(|(target, functions)| {
        let file = place(name, target).canonicalize().unwrap_or_else(|error| {
            panic!("{name} links to {target}: {error}");
        });
        (file, functions.into_iter().map(str::to_owned).collect())
    });
    let blocks = text.split("```").skip(1).step_by(2);
    (links.collect(), blocks.map(str::to_owned).collect())
}

/// Writes the blocks of one page into the other, as far as that has as many.
fn copy_blocks(from: &str, to: &str) {
    let (from, into) = (page(from), page(to));
    let mut blocks = from.split("```").skip(1).step_by(2);
    let parts = into.split("```").enumerate();
    let parts = parts.map(|(place, part)| match place % 2 {
        1 => blocks.next().unwrap_or(part),
        _ => part,
    });
    let text = parts.collect::<Vec<_>>().join("```");
    fs::write(folder().join(to), text).expect("the page can be written");
}

/// `UPDATE=1 cargo test --test pages` carries blocks over; prose is translated by
/// hand.
#[test]
fn both_languages_show_the_same() {
    for (english, chinese) in TWINS {
        if std::env::var_os("UPDATE").is_some() {
            copy_blocks(english, chinese);
        }
        assert_eq!(bones(english), bones(chinese), "{english} and {chinese}");
    }
}

#[test]
fn the_pages_are_short_enough_to_be_read() {
    for (name, most) in [("architecture.md", 120), ("CONTRIBUTING.md", 120), (README, 170)] {
        let lines = page(name).lines().count();
        assert!(lines <= most, "{name} has {lines} lines");
    }
}

#[test]
fn the_picture_of_the_floors_is_the_readmes() {
    let (text, readme) = (page("architecture.md"), page(README));
    let (_, picture) = text.split_once("```text\n").expect("there is a picture");
    let (picture, _) = picture.split_once("```").expect("it ends");
    assert!(readme.contains(picture), "the README has another");
}

#[test]
fn every_file_of_tests_is_in_the_table() {
    let text = page("CONTRIBUTING.md");
    let listed: Vec<_> = links(&text).into_iter().map(|(target, _)| target).collect();
    let files = fs::read_dir(folder().join("../../tests")).expect("there are tests");
    let mut found = 0;
    for file in files {
        let file = file.expect("it has a name");
        let mut name = file.file_name().into_string().expect("it is text");
        if file.path().is_dir() {
            name += "/main.rs";
        } else if file.path().extension().is_none_or(|end| end != "rs") {
            continue;
        }
        let link = format!("../../tests/{name}");
        if place("CONTRIBUTING.md", &link).exists() {
            assert!(listed.contains(&link.as_str()), "{link}");
            found += 1;
        }
    }
    assert!(found > 20);
}

fn scenes(text: &str) -> Vec<&str> {
    let begin = text.split("```console\n").skip(1);
    begin.map(|scene| scene.split("```").next().expect("there is a first")).collect()
}

/// The rows that `ss` printed, without widths, ports that the kernel chose, and
/// numbers of processes and descriptors; in an order of their own.
fn rows(printed: &str) -> Vec<String> {
    let mut rows: Vec<_> = printed.lines().skip(1).map(row).collect();
    rows.sort();
    rows
}

fn row(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word.rsplit_once(':') {
        Some(("users", who)) => who.split('"').nth(1).expect("a process has a name").to_owned(),
        Some((address, port)) if !["8080", "*"].contains(&port) => format!("{address}:PORT"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Looks until the kernel shows what the page does.
fn look(scene: &str) {
    let (typed, printed) = scene.split_once('\n').expect("a scene has an answer");
    let typed = typed.strip_prefix("$ ").expect("a scene begins with a prompt");
    let mut seen = Vec::new();
    let shown = rows(printed);
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("what the page shows", || {
            let output = Command::new("sh").args(["-c", typed]).output().expect("there is a shell");
            seen = rows(&String::from_utf8(output.stdout).expect("it is text"));
            (seen == shown).then_some(())
        });
    }));
    assert!(found.is_ok(), "the page shows {shown:#?}, the kernel {seen:#?}");
}

/// netcat, as a reader has it in a second terminal.
struct Terminal {
    netcat: Child,
    keyboard: ChildStdin,
}

impl Terminal {
    fn open() -> Self {
        let mut netcat = Command::new("nc");
        netcat.args(["-N", "127.0.0.1", "8080"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut netcat = netcat.spawn().expect("netcat-openbsd is installed");
        let keyboard = netcat.stdin.take().expect("a pipe");
        Self { netcat, keyboard }
    }

    fn say(&mut self, line: &str) {
        use std::io::Write as _;
        self.keyboard.write_all(line.as_bytes()).expect("it reads");
    }

    /// Ctrl-D.
    fn end(self) -> Child {
        self.netcat
    }
}

#[test]
fn the_kernel_shows_what_the_tutorial_does() {
    alone("the_kernel_shows_what_the_tutorial_does", || {
        let text = page("tutorial.md");
        let [listening, connected, waiting, answered, half, over, exit] = scenes(&text)[..] else {
            panic!("the tutorial has seven scenes");
        };
        let daemon = Daemon::run(Command::new(env!("CARGO_BIN_EXE_echod")), None);
        look(listening);
        daemon.signal(Signal::STOP);
        let mut terminal = Terminal::open();
        look(connected);
        terminal.say("hello\n");
        look(waiting);
        daemon.signal(Signal::CONT);
        look(answered);
        daemon.signal(Signal::STOP);
        let mut netcat = terminal.end();
        look(half);
        daemon.signal(Signal::CONT);
        look(over);
        assert!(netcat.wait().expect("it ends").success());
        let mut terminal = Terminal::open();
        terminal.say("exit\n");
        look(exit);
        let _ = terminal.end().wait();
    });
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_report() {
    let report = page("performance.md");
    for (row, english, chinese) in [
        ("| 50 peers, 128 B | echod rfc862, all on | CPU per message |", "times", "倍"),
        ("| 1,000 peers, 128 B | echod rfc862, all on | CPU per message |", "times", "倍"),
        ("| 9,000 idle peers | echod, all on | PSS per conversation |", "bytes", "字节"),
        ("| exec to first answer, listener inherited | echod, all on | ms |", "ms", "毫秒"),
    ] {
        let cells = report.lines().find_map(|line| line.strip_prefix(row));
        // Behind the limit.
        let measured = cells.and_then(|cells| cells.split('|').nth(1)?.split_whitespace().next());
        let measured = measured.unwrap_or_else(|| panic!("the report has no row {row}"));
        for (name, unit) in [(README, english), ("README.zh.md", chinese)] {
            let text = page(name).split_whitespace().collect::<Vec<_>>().join(" ");
            let figure = format!(" {measured} {unit}");
            assert!(text.contains(&figure), "{name} does not say{figure}");
        }
    }
}

#[test]
fn a_picture_is_text_and_needs_nothing_else() {
    for picture in ["tcp-states.svg", "outlive.svg"] {
        let text = page(picture);
        assert!(text.contains("<title>") && text.contains("<desc>"), "{picture} is not described");
        let foreign = text.split("http").skip(1).find(|rest| !rest.starts_with("://www.w3.org/"));
        assert_eq!(foreign, None, "{picture} fetches something");
    }
}
