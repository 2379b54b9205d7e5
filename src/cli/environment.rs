//! `ECHOD_…` in the environment: each variable is the option of its name.
//!
//! clap could read the environment itself, but then it would neither name the
//! variable that is wrong nor take an environment from a test.

use clap::{Arg, ArgAction, Id};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const PREFIX: &str = "ECHOD_";

/// What the environment says.
pub(super) struct Environment {
    /// Options, in the order of the manual.
    pub(super) variables: Vec<Variable>,
    /// Names that stand for no option.
    pub(super) unknown: Vec<OsString>,
}

/// One option from the environment.
pub(super) struct Variable {
    /// Its option.
    pub(super) id: Id,
    /// `ECHOD_…`
    pub(super) name: String,
    /// What the command line would have been.
    pub(super) words: Vec<OsString>,
}

/// The variable that stands for an option; none for `--help` and `--version`.
pub fn variable(option: &Arg) -> Option<String> {
    let asks = matches!(option.get_action(), ArgAction::Help | ArgAction::Version);
    let name = option.get_long().filter(|_| !asks)?;
    Some(format!("{PREFIX}{}", name.to_uppercase().replace('-', "_")))
}

pub(super) fn read(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    let mut ours = environment
        .into_iter()
        .filter(|(name, _)| name.as_bytes().starts_with(PREFIX.as_bytes()))
        .collect::<Vec<_>>();
    let mut variables = Vec::new();
    for option in super::command().get_arguments() {
        let Some(name) = variable(option) else { continue };
        if let Some(at) = ours.iter().position(|(theirs, _)| *theirs == *name) {
            let (_, value) = ours.swap_remove(at);
            // Said twice, the first counts, as everywhere.
            ours.retain(|(theirs, _)| *theirs != *name);
            variables.push(Variable {
                id: option.get_id().clone(),
                name,
                words: words(option, &value),
            });
        }
    }
    let mut unknown = ours.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    unknown.sort_unstable();
    Environment { variables, unknown }
}

/// A repeatable option is repeated for each word between blanks.
fn words(option: &Arg, value: &OsStr) -> Vec<OsString> {
    let word = |value: &[u8]| {
        let mut word = format!("--{}=", option.get_long().unwrap_or_default()).into_bytes();
        word.extend_from_slice(value);
        OsString::from_vec(word)
    };
    match option.get_action() {
        ArgAction::Append => value
            .as_bytes()
            .split(u8::is_ascii_whitespace)
            .filter(|value| !value.is_empty())
            .map(word)
            .collect(),
        _ => vec![word(value.as_bytes())],
    }
}
