//! The manual says what `--help` says, and is a clean page.

use crate::support::skip::skip;
use crate::{hold, path, read, replaced};
use clap::Arg;
use echod::conversation::{Ending, Refusal};
use echod::report::{FIELDS, MESSAGE_IDS};
use std::fmt::Write;
use std::process::Command;

const PAGE: &str = "packaging/man/echod.8";
/// The same page in Chinese.
const CHINESE_PAGE: &str = "packaging/man/zh_CN/echod.8";
const CLIENTS_PAGE: &str = "packaging/man/echo-ping.1";
const BEGIN: &str = ".\\\" The options: UPDATE=1 cargo test --test packaging\n";
const END: &str = ".\\\" The end of the options.\n";

/// Text as mdoc takes it: each sentence on lines of its own, none of them a
/// request, and no backslash an escape.
fn text(words: &str) -> String {
    const WIDTH: usize = 78;
    let mut out = String::new();
    let mut column = 0;
    for word in words.split_whitespace() {
        let word = word.replace('\\', "\\e");
        let after_sentence = out.ends_with(['.', ':']) && word.starts_with(char::is_uppercase);
        if column > 0 && (after_sentence || column + 1 + word.len() > WIDTH) {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        if column == 0 && word.starts_with(['.', '\'']) {
            out.push_str("\\&");
        }
        column += word.len();
        out.push_str(&word);
    }
    out.push('\n');
    out
}

/// An option, and the variable that stands for it, if any does.
fn option(arg: &Arg, variable: Option<String>) -> String {
    let long = arg.get_long().expect("every option has a long name");
    let mut out = ".It".to_owned();
    if let Some(short) = arg.get_short() {
        write!(out, " Fl {short} ,").expect("writing to a string");
    }
    write!(out, " Fl -{long}").expect("writing to a string");
    let optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    if let Some([name]) = arg.get_value_names().filter(|_| arg.get_action().takes_values()) {
        if optional {
            write!(out, " Ns Op = Ns Ar {name}").expect("writing to a string");
        } else {
            write!(out, " Ar {name}").expect("writing to a string");
        }
    }
    let help = arg.get_help().expect("every option is explained").to_string();
    write!(out, "\n{}", text(&help)).expect("writing to a string");
    if arg.get_action().takes_values() {
        if let [default] = arg.get_default_values() {
            let default = default.to_string_lossy();
            writeln!(out, "Default: {default}.").expect("writing to a string");
        }
    }
    if let Some(variable) = variable {
        writeln!(out, "Environment:\n.Ev {variable} .").expect("writing to a string");
    }
    out
}

/// The section, group by group as in `--help`.
fn options(command: &clap::Command, variable: fn(&Arg) -> Option<String>) -> String {
    let mut out = String::new();
    let mut group = None;
    for arg in command.get_opts() {
        if arg.get_help_heading() != group {
            if group.is_some() {
                out.push_str(".El\n");
            }
            group = arg.get_help_heading();
            let heading = group.expect("every option has a heading");
            write!(out, ".Ss {heading}\n.Bl -tag -width Ds\n").expect("writing to a string");
        }
        out.push_str(&option(arg, variable(arg)));
    }
    out.push_str(".El\n");
    let after = command.get_after_help().expect("there is text behind the options").to_string();
    for part in after.split("\n\n") {
        let mut part = part.trim_matches('\n');
        if let Some((heading, rest)) = part.split_once(":\n").filter(|_| !part.starts_with(' ')) {
            writeln!(out, ".Ss {heading}").expect("writing to a string");
            part = rest;
        } else {
            out.push_str(".Pp\n");
        }
        out.push_str(&text(part));
    }
    out
}

#[test]
fn the_options_are_those_of_help() {
    for (page, options) in [
        (PAGE, options(&echod::cli::command(), echod::cli::variable)),
        (CLIENTS_PAGE, options(&echod::ping::command(), |_| None)),
    ] {
        hold(page, &replaced(&read(page), BEGIN, END, &options));
    }
}

#[test]
fn every_kind_of_record_is_listed() {
    let rows = MESSAGE_IDS.iter().map(|(name, number)| format!(".It {name} Ta {number}\n"));
    let rows = rows.collect::<String>();
    for name in [PAGE, CHINESE_PAGE] {
        let page = read(name);
        let (begin, end) = (".\\\" The records.\n", ".\\\" The end of the records.\n");
        hold(name, &replaced(&page, begin, end, &rows));
    }
}

#[test]
fn the_words_of_the_journal_are_explained() {
    let page = read(PAGE);
    for name in Ending::ALL.map(Ending::name) {
        assert!(page.contains(&format!(".It Li {name}\n")), "the ending {name} is not explained");
    }
    for name in Refusal::ALL.map(Refusal::name) {
        assert!(page.contains(&format!(".It Li {name}\n")), "the refusal {name} is not explained");
    }
    for field in FIELDS {
        assert!(page.contains(&format!(".It Va {field}\n")), "{field} is not explained");
    }
}

#[test]
fn every_exit_status_is_explained() {
    let page = read(PAGE);
    let source = read("src/cli/exit.rs");
    let numbers = source.lines().filter_map(|line| {
        let (_, number) = line.trim().strip_suffix(',')?.split_once(" = ")?;
        number.parse::<u8>().ok()
    });
    let mut explained = 0;
    for number in numbers {
        assert!(page.contains(&format!(".It {number}\n")), "exit status {number} is not explained");
        explained += 1;
    }
    assert!(explained >= 5);
}

/// What a page says in no language: options with their variables and defaults,
/// fields, words of the journal, files, exit statuses, errors, limits, and what
/// is to be typed.
fn facts(page: &str) -> Vec<String> {
    const HEADS: [&str; 7] =
        [".It Fl ", ".It Va ", ".It Li ", ".It Ev ", ".It Pa ", ".It Dv ", ".Ev "];
    let mut facts = Vec::new();
    let mut is_literal = false;
    for line in page.lines() {
        is_literal = is_literal && line != ".Ed" || line.starts_with(".Bd ");
        let default = ["Default: ", "默认："].iter().find_map(|word| line.strip_prefix(word));
        if is_literal {
            facts.push(line.to_owned());
        } else if let Some(default) = default {
            facts.push(default.trim_end_matches(['.', '。']).to_owned());
        } else if HEADS.iter().any(|head| line.starts_with(head)) {
            // What follows is prose, or the end of a sentence.
            let fact = line.split(" No ").next().expect("there is a first");
            let fact = fact.trim_end_matches([' ', '.', ',', '。', '，']);
            facts.push(fact.strip_suffix(" Ns").unwrap_or(fact).to_owned());
        } else if let Some(row) = line.strip_prefix(".It ") {
            let number = row.parse::<u8>().is_ok().then_some(row);
            let cells = row.split(" Ta ").skip(1).filter_map(|cell| cell.split(' ').next());
            let numbers = cells.filter(|cell| cell.starts_with(|c: char| c.is_ascii_digit()));
            let is_error =
                row.starts_with("NAME") || row.contains(": REASON") || row.contains("echod");
            let error = is_error.then_some(row);
            facts.extend(number.into_iter().chain(numbers).chain(error).map(str::to_owned));
        }
    }
    facts
}

#[test]
fn both_languages_state_the_same_facts() {
    let (english, chinese) = (facts(&read(PAGE)), facts(&read(CHINESE_PAGE)));
    for (place, (english, chinese)) in english.iter().zip(&chinese).enumerate() {
        assert_eq!(english, chinese, "fact {place} of {CHINESE_PAGE}");
    }
    assert_eq!(english.len(), chinese.len());
    assert!(english.len() > 200, "{} facts", english.len());
}

#[test]
fn the_pages_are_clean() {
    // The style of other scripts it does not know: it measures escapes.
    for (page, level) in [(PAGE, "-Wstyle"), (CLIENTS_PAGE, "-Wstyle"), (CHINESE_PAGE, "-Wwarning")]
    {
        is_clean(page, level);
    }
}

fn is_clean(page: &str, level: &str) {
    match Command::new("mandoc").args(["-Tlint", level]).arg(path(page)).output() {
        Ok(lint) => {
            let said = String::from_utf8_lossy(&lint.stdout);
            // Said of a page that the reader's system does not have itself.
            let loud = said.lines().filter(|line| !line.contains("referenced manual not found"));
            assert_eq!(loud.collect::<Vec<_>>(), [""; 0]);
        }
        // A build for a distribution has no use for it; the project's own tests do.
        Err(error) => skip(format_args!("mandoc: {error}")),
    }
}
