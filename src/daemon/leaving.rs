//! Leaving: a process cannot tell a stop from a restart, so there is one way.

use crate::report::{self, Parting};
use crate::serve::{self, Desk, Who};
use crate::systemd::Manager;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// With a store nothing is brought to an end; only what is readable is answered.
const SETTLE: Duration = Duration::from_millis(50);

/// The signals that ask the daemon to leave.
pub(super) struct Leave {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Leave {
    /// From now on the signals ask, and do not kill.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until somebody asks.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Leaves: with a store at once, without one after the conversations have
    /// been brought to an end, or at the second Ctrl-C.
    pub(super) async fn take(&mut self, manager: &Manager, has_store: bool, drain: Duration) {
        let _ = manager.stopping();
        let conversations = u64::from(serve::with(|desk: &mut Desk| desk.conversations()));
        if has_store {
            report::stopping(Parting::Keep(conversations));
            serve::drain(Who::Unkept, SETTLE).await;
            // Last: nothing has a turn between this and the end.
            serve::settle(SETTLE).await;
        } else {
            report::stopping(Parting::Drain(conversations));
            tokio::select! {
                () = serve::drain(Who::All, drain) => {}
                _ = self.interrupt.recv() => serve::give_up(Who::All),
            }
        }
    }
}
