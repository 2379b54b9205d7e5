//! A network of one's own, where every port is free.

use super::isolated::{can_isolate, isolated};

/// Set in the private network: the file that says that `act` has come to its end.
const INSIDE: &str = "ECHO_TEST_INSIDE";

/// Runs the calling test once more, in a network of its own, and there `act`.
/// Where that is not allowed it is skipped.
pub fn alone(test: &str, act: impl FnOnce()) {
    if let Some(done) = std::env::var_os(INSIDE) {
        act();
        return std::fs::write(done, "").expect("it can be written");
    }
    if !can_isolate("--net", "true") {
        return;
    }
    let mut inner = isolated("--net");
    inner.args(["sh", "-c", r#"ip link set lo up && exec "$0" "$@""#]);
    inner.arg(std::env::current_exe().expect("we run"));
    let folder = tempfile::tempdir().expect("there is room");
    let done = folder.path().join("done");
    inner.args(["--exact", test, "--nocapture"]).env(INSIDE, &done);
    let status = inner.status().expect("it was just probed");
    assert!(status.success(), "in a network of its own: {status}");
    // A test that is not there succeeds.
    assert!(done.exists(), "no test is called {test}");
}
