//! Facing the operator: the command line, the environment, and one line on
//! stderr when they are wrong. It reads what the operator says and turns it
//! into a [`Config`]; it opens nothing and records nothing.

mod arguments;
mod environment;
mod exit;
pub(crate) mod information;
pub(crate) mod usage;
pub(crate) mod values;

pub use environment::variable;
pub use exit::{ExitStatus, Stop, complain};

use crate::config::Config;
use arguments::Arguments;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;

const PROGRAM: &str = "echod";

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The numbers.
    pub config: Config,
    /// Each `ECHOD_…` in the environment that stands for no option, in order
    /// and as it is: whoever shows it escapes it.
    pub unknown_variables: Vec<OsString>,
}

/// The whole command line, for the manual and the shell completions.
pub fn command() -> Command {
    Arguments::command()
}

/// Reads the command line, its first word the program's name, and `ECHOD_…`
/// from the environment. Call it before the first thread starts.
///
/// # Errors
/// Not to go on: because help or the version was asked for, or because
/// something is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Stop> {
    parse_with(args, std::env::vars_os())
}

/// [`parse`] with a given environment.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Invocation, Stop> {
    let mut command_line = args.into_iter().skip(1).collect::<Vec<_>>();
    let said = matches(&command_line).map_err(|error| usage::stop(PROGRAM, &error, None))?;

    // A variable is the option it is named after, read by the same parser. It
    // goes unread where the command line has that option.
    let environment = environment::read(environment);
    let mut words = Vec::new();
    for variable in environment.variables {
        if said.value_source(variable.id.as_str()) != Some(ValueSource::CommandLine) {
            matches(&variable.words)
                .map_err(|error| usage::stop(PROGRAM, &error, Some(&variable.name)))?;
            words.extend(variable.words);
        }
    }
    words.append(&mut command_line);
    let config = matches(&words)
        .and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches))
        .map_err(|error| usage::stop(PROGRAM, &error, None))?
        .config()
        .map_err(|error| Stop::Usage(error.to_string()))?;
    Ok(Invocation { config, unknown_variables: environment.unknown })
}

fn matches(words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    command().no_binary_name(true).try_get_matches_from(words)
}

#[cfg(test)]
mod tests;
