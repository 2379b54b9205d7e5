//! For tests: the process's environment, one test at a time, and in it a manager
//! that keeps descriptors.

use super::Manager;
use rustix::cmsg_space;
use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use std::collections::VecDeque;
use std::env;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

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

pub(super) fn environment() -> Environment {
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

/// A manager with a store, and a thread that reads what it is told.
pub(super) struct Fake {
    inside: Arc<Inside>,
    path: std::path::PathBuf,
    thread: Option<JoinHandle<()>>,
    _environment: Environment,
    _place: tempfile::TempDir,
}

#[derive(Default)]
struct Inside {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    store_max: usize,
    stored: VecDeque<(String, OwnedFd)>,
    heard: Vec<String>,
    paused: bool,
    /// It has noticed.
    waits: bool,
}

pub(super) fn keeping(store_max: usize) -> Fake {
    let environment = environment();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    environment.set("NOTIFY_SOCKET", path.to_str().unwrap());
    let inside = Arc::new(Inside::default());
    inside.lock().store_max = store_max;
    let thread = std::thread::spawn({
        let inside = Arc::clone(&inside);
        move || inside.listen(&socket)
    });
    Fake { inside, path, thread: Some(thread), _environment: environment, _place: place }
}

impl Fake {
    #[allow(clippy::unused_self, reason = "it is this one as long as this one lives")]
    pub(super) fn manager(&self) -> Manager {
        Manager::from_env()
    }

    /// Oldest first.
    pub(super) fn stored(&self) -> Vec<(String, OwnedFd)> {
        let state = self.inside.lock();
        let copy = |(name, fd): &(String, OwnedFd)| (name.clone(), fd.try_clone().unwrap());
        state.stored.iter().map(copy).collect()
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.inside.lock().heard.clone()
    }

    /// Changes the store's size, and drops the newest that are too many.
    pub(super) fn keep_at_most(&self, store_max: usize) {
        let mut state = self.inside.lock();
        state.store_max = store_max;
        state.stored.truncate(store_max);
    }

    /// Reads no more until told to go on.
    pub(super) fn pause(&self) {
        let mut state = self.inside.lock();
        state.paused = true;
        self.send(b"wake up");
        while !state.waits {
            state = self.inside.changed.wait(state).unwrap();
        }
    }

    pub(super) fn go_on(&self) {
        self.inside.lock().paused = false;
        self.inside.changed.notify_all();
    }

    fn send(&self, text: &[u8]) {
        let own = UnixDatagram::unbound().unwrap();
        own.connect(&self.path).unwrap();
        send(&own, text, SendFlags::empty()).unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.go_on();
        self.send(b"the end");
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Inside {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, socket: &UnixDatagram) {
        loop {
            let (text, fd) = receive(socket);
            let mut state = self.lock();
            while state.paused {
                state.waits = true;
                self.changed.notify_all();
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waits = false;
            let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
            let name = name.unwrap_or("stored").to_owned();
            match text.lines().next() {
                Some("the end") => return,
                Some("FDSTORE=1") if state.stored.len() < state.store_max => {
                    state.stored.push_back((name, fd.unwrap()));
                }
                Some("FDSTOREREMOVE=1") => state.stored.retain(|(known, _)| *known != name),
                _ => {}
            }
            state.heard.push(text);
        }
    }
}

fn receive(socket: &UnixDatagram) -> (String, Option<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 8192];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, flags).unwrap();
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (String::from_utf8(text[..got.bytes].to_vec()).unwrap(), fd)
}
