//! The life: take what was inherited, bind the rest, say that it is ready,
//! serve, leave. Here a failure becomes the end of the daemon; nowhere below.

mod failure;
mod leaving;
mod sockets;
mod vital;

pub use failure::Failure;

use crate::config::{Config, Connections};
use crate::keep::{self, Memory, MemoryError};
use crate::report::{self, Adopted};
use crate::serve::{self, Listener, Opening, Post};
use crate::systemd::{Hand, Manager, Store};
use leaving::Leave;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockets::Served;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
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
    keep::pack_heap();
    let mut served = sockets::take(std::mem::take(&mut hand.sockets), &config)?;
    served.bind(&config)?;
    let (memory, is_new) = remember(hand.memory.take())?;
    let descriptors = raise_descriptor_limit();
    let fresh = is_new.then(|| memory.file());
    let open = || Store::open(&manager, &hand, fresh, descriptors, Instant::now());
    // A process for its connections alone has no successor, and its unit no store.
    let store = if served.is_alone() { None } else { open() };
    let wanted = config.limits.connections;
    config.limits.connections = allowed(wanted, memory.file(), descriptors, store.is_some());
    find_room(memory.file()).map_err(Failure::Runtime)?;
    let opening = Opening { memory, store, bags: hand.bags };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(run(served, &manager, opening, &config, wanted));
    // The tasks let go of their connections before the desk does.
    drop(runtime);
    serve::close_desk();
    result
}

/// The predecessor's memory, or a fresh one and that it is one. A kernel that
/// refuses to give it now may give it to the next start: nobody is reset for that.
fn remember(inherited: Option<OwnedFd>) -> Result<(Memory, bool), Failure> {
    match inherited.map(Memory::adopt) {
        Some(Ok(memory)) => return Ok((memory, false)),
        Some(Err(error @ MemoryError::Kernel(_))) => return Err(Failure::Memory(error)),
        Some(Err(error)) => report::memory_unreadable(&error),
        None => {}
    }
    Ok((Memory::create().map_err(Failure::Memory)?, true))
}

async fn run(
    mut served: Served,
    manager: &Manager,
    opening: Opening,
    config: &Config,
    wanted: Connections,
) -> Result<(), Failure> {
    let mut leave = Leave::listen().map_err(Failure::Runtime)?;
    let has_store = opening.store.is_some();
    let opened = serve::open_desk(opening, config);
    if opened.adopted != Adopted::default() {
        report::adopted(opened.adopted);
    }
    let names = served.names();
    let mut accepting = JoinSet::new();
    for (name, listener) in served.listeners.drain(..) {
        accepting.spawn(accept(name, listener));
    }
    for (name, post) in served.open_mailboxes()? {
        accepting.spawn(answer(name, post));
    }
    let is_alone = accepting.is_empty();
    for connection in served.connections.drain(..) {
        serve::begin(connection).map_err(Failure::Runtime)?;
    }
    let mut vital = JoinSet::new();
    vital.spawn(serve::keep_order());
    vital.spawn(serve::keep_time());
    vital.spawn(vital::tell_status(manager.clone()));
    vital.spawn(vital::show_life(manager.clone()));
    let connections = config.limits.connections.get();
    let lowered_from = (connections < wanted.get()).then_some(wanted.get());
    report::ready(&names, connections, lowered_from);
    let greet = async {
        vital::say_ready(manager).await;
        if let Some(suspect) = opened.suspect {
            serve::face(suspect);
        }
        std::future::pending().await
    };
    let event = tokio::select! {
        // Said before anything can end, and nothing waits for who does not hear it.
        biased;
        event = greet => event,
        () = leave.asked() => Event::Asked,
        () = serve::all_over(), if is_alone => Event::Asked,
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
    vital.shutdown().await;
    leave.take(manager, has_store, config.patience.drain.get()).await;
    result
}

enum Event {
    Asked,
    Dead((String, io::Error)),
}

async fn accept(name: String, listener: Listener) -> (String, io::Error) {
    (name, serve::accept_all(listener).await)
}

async fn answer(name: String, post: Post) -> (String, io::Error) {
    (name, serve::answer_all(post).await)
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

/// Whether the runtime will have its descriptors. It panics for want of one for
/// its signals, and what is wrong is to be said in a line.
fn find_room(any: BorrowedFd<'_>) -> io::Result<()> {
    // Events, a call to wake up, and for the signals a pair and a copy.
    const RUNTIME: usize = 5;
    let copies: io::Result<Vec<_>> = (0..RUNTIME).map(|_| any.try_clone_to_owned()).collect();
    copies.map(drop)
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
