//! The program. What it inherited, its command line and its environment are
//! read here, before the first thread starts; the rest is [`echod::daemon`].

use echod::cli::{self, ExitStatus};
use echod::daemon::{self, Beginning, Failure};
use echod::report;
use echod::socket;
use echod::systemd::{Manager, inherit};
use std::process::ExitCode;
use std::time::Duration;

/// How long the last records may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// The same where the last one says why: on a busy machine a writer that has just
/// begun may not have had its turn by then, and nobody would ever know.
const REASON: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // First, because a descriptor opened earlier could be taken for one of them.
    let hand = inherit();
    let manager = Manager::from_env();
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(stop) => return stop.end().into(),
    };
    let config = invocation.config;
    let reporter = match report::start(&config.records, socket::live_apart) {
        Ok(reporter) => reporter,
        Err(error) => {
            cli::complain(format_args!("cannot write records: {error}"));
            return ExitStatus::OsError.into();
        }
    };
    for name in &invocation.unknown_variables {
        report::unknown_variable(name);
    }
    let result = hand
        .map_err(Failure::Inherit)
        .and_then(|hand| daemon::live(Beginning { config, hand, manager: manager.clone() }));
    let (status, patience) = match result {
        Ok(()) => (ExitStatus::Ok, LAST_WORDS),
        Err(failure) => {
            report::failed(&failure);
            if let Some(errno) = failure.errno() {
                // Shown by `systemctl status`; a help, no more.
                let _ = manager.errno(errno);
            }
            (failure.exit_status(), REASON)
        }
    };
    let _ = reporter.finish(patience);
    status.into()
}
