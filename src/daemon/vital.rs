//! Signs of life: numbers for people, and a pulse for the manager's watchdog.

use crate::report;
use crate::serve::{self, Desk, stirred};
use crate::systemd::Manager;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Numbers change no more often than this.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// A manager that does not listen is told again after this time at the latest.
const STATUS_AGAIN: Duration = Duration::from_secs(60);

/// Says that every socket is being served, until it is heard: a manager that was
/// not told would count the start as failed. After a second of errors there is no
/// manager, or no memory for a word to it.
pub(super) async fn say_ready(manager: &Manager) {
    const AGAIN: Duration = Duration::from_millis(100);
    const ERRORS: u32 = 10;
    let mut errors = 0;
    while let Err(error) = manager.ready() {
        errors += u32::from(error.kind() != io::ErrorKind::WouldBlock);
        if errors == ERRORS {
            break;
        }
        sleep(AGAIN).await;
    }
}

/// Tells the manager the numbers when they have changed, and writes what the
/// records only sum up. A daemon that nobody talks to does not wake for it.
pub(super) async fn tell_status(manager: Manager) {
    let mut told = String::new();
    let mut pause = STATUS_EVERY;
    loop {
        let status = serve::with(Desk::status);
        let heard = status == told || manager.status(&status).is_ok();
        sleep(STATUS_EVERY).await;
        serve::with(Desk::tidy);
        let again = if heard {
            (told, pause) = (status, STATUS_EVERY);
            None
        } else {
            let again = Instant::now() + pause;
            pause = STATUS_AGAIN.min(pause * 2);
            Some(again)
        };
        let due = report::due().map(Instant::from_std).into_iter().chain(again).min();
        let stirred = stirred();
        match due {
            Some(due) => drop(timeout_at(due, stirred).await),
            None => stirred.await,
        }
        report::tick(std::time::Instant::now());
    }
}

/// Shows the watchdog that the loop turns: from the loop itself, so that it says
/// nothing when that one hangs.
pub(super) async fn show_life(manager: Manager) {
    let Some(interval) = manager.watchdog() else { return };
    let mut next = Instant::now();
    loop {
        // One that could not be sent is followed by another long before the manager
        // has waited for its whole interval.
        let pause = if manager.alive().is_ok() { interval / 2 } else { interval / 8 };
        next += pause;
        if next < Instant::now() {
            sleep(pause).await;
            next = Instant::now();
        } else {
            sleep_until(next).await;
        }
    }
}
