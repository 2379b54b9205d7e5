//! `ECHOD_…` in the environment: it means what the same words would mean on the
//! command line, which goes before it; what is wrong is said in one line.

use super::input::Input;
use clap::ArgAction;
use echod::cli::{self, Invocation, Stop};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::LazyLock;

/// The variable of an option, how it begins on the command line, and whether it
/// is repeated for each word.
static OPTIONS: LazyLock<Vec<(String, String, bool)>> = LazyLock::new(|| {
    let command = cli::command();
    let option = |option: &clap::Arg| {
        let name = cli::variable(option)?;
        let repeats = matches!(option.get_action(), ArgAction::Append);
        Some((name, format!("--{}=", option.get_long()?), repeats))
    };
    command.get_arguments().filter_map(option).collect()
});

pub fn run(input: &[u8]) {
    let environment = environment(input);
    let mut words: Vec<OsString> = vec!["echod".into()];
    for (variable, option, repeats) in OPTIONS.iter() {
        let said = environment.iter().find(|(name, _)| name == variable.as_str());
        let Some((_, value)) = said else { continue };
        let mut say = |value: &[u8]| {
            words.push(OsString::from_vec([option.as_bytes(), value].concat()));
        };
        if *repeats {
            let blank = |byte: &u8| byte.is_ascii_whitespace();
            value.as_bytes().split(blank).filter(|word| !word.is_empty()).for_each(&mut say);
        } else {
            say(value.as_bytes());
        }
    }
    let variables = cli::parse_with(["echod".into()], environment.clone());
    match &variables {
        Ok(Invocation { config, unknown_variables }) => {
            let on_the_command_line = cli::parse_with(words.clone(), []);
            assert_eq!(on_the_command_line.map(|said| said.config).as_ref(), Ok(config));
            assert_eq!(unknown_variables, &unknown(&environment));
        }
        Err(Stop::Usage(line)) => {
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(OPTIONS.iter().any(|(name, ..)| line.contains(name)), "{line:?}");
            assert!(cli::parse_with(words.clone(), []).is_err());
        }
        Err(Stop::Say(text)) => panic!("nobody asked for {text}"),
    }
    // What the command line says is not even read from the environment.
    if let Ok(said) = cli::parse_with(words.clone(), []) {
        let both = cli::parse_with(
            words,
            environment.into_iter().map(|(name, _)| {
                let is_known = OPTIONS.iter().any(|(known, ..)| name == known.as_str());
                (name, if is_known { "\n".into() } else { OsString::new() })
            }),
        );
        if let Ok(both) = both {
            assert_eq!(both.config, said.config);
        }
    }
}

/// What an environment can be: no NUL anywhere, no `=` in a name.
fn environment(input: &[u8]) -> Vec<(OsString, OsString)> {
    let mut input = Input::new(input);
    let mut environment = Vec::new();
    while !input.is_empty() && environment.len() < 8 {
        let kind = input.byte();
        let name = match kind {
            0xff => input.field().to_vec(),
            0xfe => [b"ECHOD_", input.field()].concat(),
            known => OPTIONS[usize::from(known) % OPTIONS.len()].0.clone().into_bytes(),
        };
        let value = input.field();
        if !name.iter().any(|byte| matches!(byte, 0 | b'=')) && !value.contains(&0) {
            environment.push((OsString::from_vec(name), OsString::from_vec(value.to_vec())));
        }
    }
    environment
}

fn unknown(environment: &[(OsString, OsString)]) -> Vec<OsString> {
    let is_known = |name: &OsString| OPTIONS.iter().any(|(known, ..)| name == known.as_str());
    let names = environment.iter().map(|(name, _)| name);
    let mut unknown: Vec<_> = names
        .filter(|name| name.as_bytes().starts_with(b"ECHOD_") && !is_known(name))
        .cloned()
        .collect();
    unknown.sort_unstable();
    unknown
}
