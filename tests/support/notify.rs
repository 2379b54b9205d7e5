//! The fake manager's ears and its store, by the rules of systemd 252 and 257:
//! one file is kept once, what is too much is dropped without a word, and what
//! is watched goes when its other end closes.

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;
use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One message from the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Which start of the daemon sent it, from 1.
    pub life: u32,
    /// All of it, line by line.
    pub text: String,
}

impl Notification {
    /// What it assigns to this variable, if anything.
    pub fn value(&self, variable: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='))
    }
}

/// A descriptor in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    pub name: String,
    pub fd: Arc<OwnedFd>,
    watched: bool,
}

/// What the manager knows about the daemon.
#[derive(Debug, Default)]
pub struct Known {
    /// How often the daemon was started.
    pub life: u32,
    pub heard: Vec<Notification>,
    /// Oldest first.
    pub stored: Vec<Stored>,
    pub store_max: usize,
    /// What it wrote to stderr, and in which life.
    pub stderr: Vec<(u32, String)>,
    /// In which life stderr was closed, which is to say that it is dead.
    pub silent: u32,
    settled: u32,
}

impl Known {
    /// What the present daemon has said, oldest first.
    pub fn present(&self) -> impl DoubleEndedIterator<Item = &Notification> {
        self.heard.iter().filter(|heard| heard.life == self.life)
    }

    fn hear(&mut self, text: String, fds: Vec<OwnedFd>) {
        let notification = Notification { life: self.life, text };
        let value = |variable| notification.value(variable);
        if let Some(number) = value(SETTLED) {
            self.settled = number.parse().expect("we wrote it");
            return;
        }
        let name = value("FDNAME").filter(|name| name.len() <= 255 && !name.contains(':'));
        if value("FDSTOREREMOVE") == Some("1") {
            self.stored.retain(|stored| Some(&stored.name[..]) != name);
        } else if value("FDSTORE") == Some("1") {
            let watched = value("FDPOLL") != Some("0");
            for fd in fds {
                self.keep(Stored { name: name.unwrap_or("stored").into(), fd: fd.into(), watched });
            }
        }
        // A barrier's descriptor is closed like any other that is not stored.
        self.heard.push(notification);
    }

    fn keep(&mut self, new: Stored) {
        let file = |stored: &Stored| {
            let status = fstat(&*stored.fd).expect("it is open");
            (status.st_dev, status.st_ino)
        };
        let known = self.stored.iter().any(|stored| file(stored) == file(&new));
        if !known && self.stored.len() < self.store_max {
            self.stored.push(new);
        }
    }
}

/// The manager's side of the notification socket.
#[derive(Debug)]
pub struct Ears {
    shared: Arc<Shared>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    settlements: u32,
}

/// What threads share, and how they hear of changes.
#[derive(Debug, Default)]
pub struct Shared {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Shared {
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and tells those who wait.
    pub fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known());
        self.changed.notify_all();
    }

    /// Waits until something is to be seen; fails the test if that takes too long
    /// or, for what only the living do, if the daemon dies first.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&Known) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut known = self.known();
        loop {
            if let Some(found) = look(&known) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}{}", account(&known));
            assert!(known.silent < known.life, "died before {what}{}", account(&known));
            let woken = self.changed.wait_timeout(known, left);
            known = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// All that is known, for a test that has failed.
fn account(known: &Known) -> String {
    let mut text = format!("\nlife {}, and it said:", known.life);
    for Notification { life, text: said } in &known.heard {
        write!(text, "\n  {life}: {:?}", said.trim_end()).expect("a string takes all");
    }
    for (life, line) in &known.stderr {
        write!(text, "\n  {life} on stderr: {line}").expect("a string takes all");
    }
    text
}

impl Ears {
    pub fn open(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a place of our own takes a socket");
        let shared = Arc::new(Shared::default());
        shared.change(|known| known.store_max = 1024);
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&socket, &shared)
        });
        Self { shared, path: path.to_owned(), thread: Some(thread), settlements: 0 }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns once everything is known that was sent before.
    pub fn settle(&mut self) {
        self.settlements += 1;
        self.send(&format!("{SETTLED}={}", self.settlements));
        let deadline = Instant::now() + PATIENCE;
        let mut known = self.shared.known();
        while known.settled < self.settlements {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the fake manager hangs");
            let woken = self.shared.changed.wait_timeout(known, left);
            known = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn send(&self, text: &str) {
        let own = UnixDatagram::unbound().expect("there is a socket for us");
        own.send_to(text.as_bytes(), &self.path).expect("the ears are open");
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.send(THE_END);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn listen(socket: &UnixDatagram, shared: &Shared) {
    loop {
        let mut watched = shared.known().stored.clone();
        // What is not watched must not be held open here once it has left the store.
        watched.retain(|stored| stored.watched);
        let mut asked = vec![PollFd::new(socket, PollFlags::IN)];
        asked.extend(watched.iter().map(|stored| PollFd::new(&*stored.fd, PollFlags::empty())));
        if poll(&mut asked, None).is_err() {
            continue;
        }
        // Before the queue, so that who has settled knows of every hang-up before.
        let hung_up = |stored: &Stored| {
            watched.iter().zip(&asked[1..]).any(|(watched, answer)| {
                Arc::ptr_eq(&watched.fd, &stored.fd) && !answer.revents().is_empty()
            })
        };
        shared.change(|known| known.stored.retain(|stored| !hung_up(stored)));
        if asked[0].revents().contains(PollFlags::IN) {
            let (text, fds) = receive(socket);
            if text == THE_END {
                return;
            }
            shared.change(|known| known.hear(text, fds));
        }
    }
}

fn receive(socket: &UnixDatagram) -> (String, Vec<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 4096];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, flags);
    let length = got.expect("the socket is ours").bytes;
    let messages = control.drain();
    let fds = messages.filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    (String::from_utf8_lossy(&text[..length]).into_owned(), fds)
}

const SETTLED: &str = "X_SETTLED";
const THE_END: &str = "X_THE_END";
