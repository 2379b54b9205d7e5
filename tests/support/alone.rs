//! A network of one's own, where every port is free.

use std::process::Command;

/// Set in the private network: the file that says that `act` has come to its end.
const INSIDE: &str = "ECHO_TEST_INSIDE";

/// Runs the calling test once more, in a network of its own, and there `act`.
/// Where that is not allowed nothing is run, with the reason printed; under CI it
/// must be allowed.
pub fn alone(test: &str, act: impl FnOnce()) {
    if let Some(done) = std::env::var_os(INSIDE) {
        act();
        return std::fs::write(done, "").expect("it can be written");
    }
    let probe = isolated("true").output().expect("util-linux is installed");
    if !probe.status.success() {
        let reason = String::from_utf8_lossy(&probe.stderr);
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "under CI nothing is skipped: {reason}"
        );
        eprintln!("skipped: no network of our own here: {}", reason.trim());
        return;
    }
    let mut inner = isolated(r#"ip link set lo up && exec "$0" "$@""#);
    inner.arg(std::env::current_exe().expect("we run"));
    let folder = tempfile::tempdir().expect("there is room");
    let done = folder.path().join("done");
    inner.args(["--exact", test, "--nocapture"]).env(INSIDE, &done);
    let status = inner.status().expect("it was just probed");
    assert!(status.success(), "in a network of its own: {status}");
    // A test that is not there succeeds.
    assert!(done.exists(), "no test is called {test}");
}

/// A shell in a network of its own, which dies with the thread that starts it.
fn isolated(script: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-c", script]);
    command
}
