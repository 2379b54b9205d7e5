//! Something of one's own that the machine has once: a network, a mount table.

use super::skip::skip;
use std::process::Command;

/// A command with something of its own, `--net` or `--mount`, where it is root. It
/// dies with the thread that starts it.
pub fn isolated(what: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", what]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// Whether this shell script can have that; if not, the test is skipped.
pub fn can_isolate(what: &str, script: &str) -> bool {
    let probe = isolated(what).args(["sh", "-c", script]).output();
    let probe = probe.expect("util-linux is installed");
    if !probe.status.success() {
        let reason = String::from_utf8_lossy(&probe.stderr);
        skip(format_args!("unshare {what} is not allowed: {}", reason.trim()));
    }
    probe.status.success()
}
