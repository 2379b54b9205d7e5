//! The client of an echo server; all of it is in [`echod::ping`].

use std::process::ExitCode;

fn main() -> ExitCode {
    echod::ping::main(std::env::args_os()).into()
}
