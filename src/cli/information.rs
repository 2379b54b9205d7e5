//! The options that only print something, which every program has.

use clap::ArgAction;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Information")]
pub(crate) struct InformationArguments {
    /// Print this text.
    #[arg(long, short, action = ArgAction::Help, verbatim_doc_comment)]
    help: Option<bool>,

    /// Print the version.
    #[arg(long, short = 'V', action = ArgAction::Version, verbatim_doc_comment)]
    version: Option<bool>,
}
