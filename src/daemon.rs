//! The life: take what was inherited, bind the rest, say that it is ready,
//! serve, leave. Here a failure becomes the end of the daemon; nowhere below.

mod failure;
mod leaving;
mod sockets;
mod vital;

pub use failure::Failure;

use crate::config::{Config, Connections};
use crate::keep::Memory;
use crate::report;
use crate::serve::{self, Listener, Opening};
use crate::systemd::{Hand, Manager, Store};
use leaving::Leave;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockets::Served;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;
use tokio::task::JoinSet;

/// What the life begins with. It was all taken before the first thread started.
#[derive(Debug)]
pub struct Beginning {
    /// What the operator chose.
    pub config: Config,
    /// What the manager handed over.
    pub hand: Hand,
    /// The manager.
    pub manager: Manager,
}

/// Lives, until a signal or a failure ends it.
pub fn live(beginning: Beginning) -> Result<(), Failure> {
    let Beginning { mut config, mut hand, manager } = beginning;
    let mut served = sockets::take(std::mem::take(&mut hand.sockets), &config)?;
    served.bind(&config)?;
    let memory = Memory::create().map_err(Failure::Memory)?;
    let descriptors = raise_descriptor_limit();
    let store = Store::open(&manager, &hand, Some(memory.file()), descriptors, Instant::now());
    let wanted = config.limits.connections;
    config.limits.connections = allowed(wanted, memory.file(), descriptors, store.is_some());
    let connections = config.limits.connections.get();
    let has_store = store.is_some();
    serve::open_desk(Opening { memory, store }, &config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(async {
        let lowered = (connections < wanted.get()).then_some(wanted.get());
        report::ready(&served.names(), connections, lowered);
        run(served, &manager, has_store, &config).await
    });
    // The tasks let go of their connections before the desk does.
    drop(runtime);
    serve::close_desk();
    result
}

async fn run(
    mut served: Served,
    manager: &Manager,
    has_store: bool,
    config: &Config,
) -> Result<(), Failure> {
    let mut leave = Leave::listen().map_err(Failure::Runtime)?;
    let mut accepting = JoinSet::new();
    for (name, listener) in served.listeners.drain(..) {
        accepting.spawn(accept(name, listener));
    }
    let mut vital = JoinSet::new();
    vital.spawn(serve::keep_order());
    vital.spawn(vital::tell_status(manager.clone()));
    vital.spawn(vital::show_life(manager.clone()));
    // A manager that is not told would count the start as failed.
    let _ = manager.ready();
    let event = tokio::select! {
        () = leave.asked() => Event::Asked,
        Some(dead) = accepting.join_next() => Event::Dead(dead.expect("nobody aborts it yet")),
    };
    // A connection is accepted with its record and its place, or not at all.
    accepting.shutdown().await;
    let result = match event {
        Event::Asked => Ok(()),
        Event::Dead((name, error)) => {
            report::listener_failed(&name, &error);
            Err(Failure::Listener { name, error })
        }
    };
    leave.take(manager, has_store, config.patience.drain.get()).await;
    vital.shutdown().await;
    result
}

enum Event {
    Asked,
    Dead((String, io::Error)),
}

async fn accept(name: String, listener: Listener) -> (String, io::Error) {
    (name, serve::accept_all(listener).await)
}

/// Raises the soft limit of descriptors to the hard one: nothing here uses
/// select(2), which is all that the lower one protects. Returns what holds now.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // The sandbox may forbid it; there the manager has set both.
        Err(_) => limit.current,
    };
    limit.unwrap_or(u64::MAX)
}

/// As many conversations as the descriptor limit allows: each has one, and with
/// a store another one is in flight and counts against the same limit.
fn allowed(
    wanted: Connections,
    newest: BorrowedFd<'_>,
    descriptors: u64,
    has_store: bool,
) -> Connections {
    // The runtime, signals, the journal, the open bag, and what an accept needs.
    const SPARE: u64 = 12;
    let used = u64::try_from(newest.as_raw_fd()).unwrap_or(0) + SPARE;
    let free = descriptors.saturating_sub(used);
    let most = if has_store { free.min(descriptors / 2) } else { free };
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
    Connections::new(wanted.get().min(most)).expect("it is between 1 and what was wanted")
}
