//! For tests: the process's environment, one test at a time.

use std::env;
use std::sync::{Mutex, MutexGuard, PoisonError};

static LOCK: Mutex<()> = Mutex::new(());

/// The environment without a manager, and nobody else who changes it.
pub(super) struct Environment {
    _only: MutexGuard<'static, ()>,
}

const OURS: [&str; 7] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_FDS_FIRST_FD",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

pub(super) fn lock() -> Environment {
    let environment = Environment { _only: LOCK.lock().unwrap_or_else(PoisonError::into_inner) };
    environment.clear_all();
    environment
}

#[allow(clippy::unused_self, reason = "who has no lock changes nothing")]
impl Environment {
    pub(super) fn set(&self, name: &str, value: &str) {
        // SAFETY: The tests' threads read the environment only through the
        // standard library, which has a lock of its own.
        unsafe { env::set_var(name, value) }
    }

    pub(super) fn clear(&self, name: &str) {
        // SAFETY: As above.
        unsafe { env::remove_var(name) }
    }

    fn clear_all(&self) {
        for name in OURS {
            self.clear(name);
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.clear_all();
    }
}
