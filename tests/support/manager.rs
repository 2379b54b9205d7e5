//! A service manager for one daemon, which does what systemd would do with it:
//! it listens before the daemon does, hands its sockets over, hears its
//! notifications, keeps its descriptors, and starts it again.
//!
//! Everything here waits for what it wants to see, and fails the test when that
//! takes longer than half a minute.

pub use super::notify::{Notification, PATIENCE};

use super::child::{Child, forget_surroundings};
use super::notify::{Ears, Known, Stored};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;

/// The manager. When it goes, so does the daemon.
///
/// The daemon also dies with the thread that started it, so start it from a
/// thread that stays.
#[derive(Debug)]
pub struct Manager {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    sockets: Vec<(String, OwnedFd)>,
    watchdog: Option<Duration>,
    descriptors_max: Option<u64>,
    unset: Vec<&'static str>,
    child: Option<Child>,
    ears: Ears,
    place: TempDir,
}

impl Manager {
    /// A manager of echod, with a store for 1,024 descriptors.
    pub fn new() -> Self {
        Self::of(env!("CARGO_BIN_EXE_echod"))
    }

    /// A manager of another program.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        let place = tempfile::tempdir().expect("there is a temporary directory");
        let ears = Ears::open(&place.path().join("notify"));
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            sockets: Vec::new(),
            watchdog: None,
            descriptors_max: None,
            unset: Vec::new(),
            child: None,
            ears,
            place,
        }
    }

    /// `FileDescriptorStoreMax=`: so many descriptors are kept, more are dropped
    /// without a word.
    pub fn store_max(&mut self, most: usize) {
        self.ears.shared().change(|known| known.store_max = most);
    }

    /// `WatchdogSec=`. Nobody is killed for it.
    pub fn watchdog(&mut self, interval: Duration) {
        self.watchdog = Some(interval);
    }

    /// `LimitNOFILE=`.
    pub fn descriptors_max(&mut self, most: u64) {
        self.descriptors_max = Some(most);
    }

    /// Leaves out a variable that the manager would set.
    pub fn unset(&mut self, variable: &'static str) {
        self.unset.push(variable);
    }

    /// A directory that goes with the manager.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Listens for streams on a port of the kernel's choice.
    pub fn listen_tcp(&mut self, name: &str) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
        let address = socket.local_addr().expect("it is bound");
        self.listen(socket, name);
        address
    }

    /// Takes datagrams on a port of the kernel's choice.
    pub fn listen_udp(&mut self, name: &str) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a loopback");
        let address = socket.local_addr().expect("it is bound");
        self.listen(socket, name);
        address
    }

    /// Hands any descriptor over, under this name.
    pub fn listen(&mut self, fd: impl Into<OwnedFd>, name: &str) {
        self.sockets.push((name.to_owned(), fd.into()));
    }

    /// Starts the daemon, and does not wait for it.
    pub fn start(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        self.environment = environment.iter().map(owned).collect();
        self.start_again();
    }

    /// Starts the daemon as it was started before: its sockets first, then what
    /// it has stored, the newest first.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.ears.shared().change(|known| known.life += 1);
        let stored = self.ears.shared().known().stored.clone();
        let sockets = self.sockets.iter().map(|(name, fd)| (&name[..], fd.as_fd()));
        let newest_first =
            stored.iter().rev().map(|Stored { name, fd, .. }| (&name[..], fd.as_fd()));
        let (names, fds): (Vec<_>, Vec<_>) = sockets.chain(newest_first).unzip();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        forget_surroundings(&mut command);
        command.env("NOTIFY_SOCKET", self.ears.path());
        if !fds.is_empty() {
            command.env("LISTEN_FDS", fds.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        if let Some(interval) = self.watchdog {
            command.env("WATCHDOG_USEC", interval.as_micros().to_string());
        }
        for variable in &self.unset {
            command.env_remove(variable);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let shared = self.ears.shared();
        self.child = Some(Child::start(&command, &fds, self.descriptors_max, shared));
    }

    /// Waits for READY=1 from the present daemon.
    pub fn wait_ready(&self) {
        self.wait("READY=1", |known| {
            known.present().any(|heard| heard.value("READY") == Some("1")).then_some(())
        });
    }

    /// Waits for a STATUS= of the present daemon that pleases, and returns it.
    pub fn wait_status(&self, pleases: impl Fn(&str) -> bool) -> String {
        self.wait("a STATUS=", |known| {
            let mut statuses = known.present().filter_map(|heard| heard.value("STATUS"));
            statuses.rfind(|status| pleases(status)).map(str::to_owned)
        })
    }

    /// Waits for a line on the present daemon's stderr, and returns it.
    pub fn wait_stderr(&self, pleases: impl Fn(&str) -> bool) -> String {
        self.wait("a line on stderr", |known| {
            let mut lines = known.stderr.iter().filter(|(life, _)| *life == known.life);
            lines.find(|(_, line)| pleases(line)).map(|(_, line)| line.clone())
        })
    }

    /// Waits until the names of what is stored, oldest first, please.
    pub fn wait_stored(&self, pleases: impl Fn(&[&str]) -> bool) {
        self.wait("other names in the store", |known| {
            let names: Vec<_> = known.stored.iter().map(|stored| &stored.name[..]).collect();
            pleases(&names).then_some(())
        });
    }

    /// Waits for anything that the living daemon can show.
    pub fn wait<T>(&self, what: &str, look: impl FnMut(&Known) -> Option<T>) -> T {
        self.ears.shared().wait(what, look)
    }

    /// All that the daemon has said in all its lives.
    pub fn notifications(&mut self) -> Vec<Notification> {
        self.ears.settle();
        self.ears.shared().known().heard.clone()
    }

    /// The names of what is stored, oldest first.
    pub fn stored(&mut self) -> Vec<String> {
        self.ears.settle();
        self.ears.shared().known().stored.iter().map(|stored| stored.name.clone()).collect()
    }

    /// What the daemon wrote to stderr in all its lives, so far.
    pub fn stderr(&self) -> Vec<String> {
        self.ears.shared().known().stderr.iter().map(|(_, line)| line.clone()).collect()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.child.as_ref().expect("it runs").signal(signal);
    }

    /// Waits until the daemon is dead, and hears its last words. What is stored
    /// stays.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let status = self.child.take().expect("it runs").wait();
        self.ears.settle();
        status
    }

    /// Sends a signal that ends the daemon, and waits until it is dead. Who dies of
    /// something else before a KILL was at fault.
    pub fn kill(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let status = self.wait_exit();
        let is_killed = signal != Signal::KILL || status.signal() == Some(signal.as_raw());
        assert!(is_killed, "it died by itself, {status}: {:#?}", self.stderr());
        status
    }

    /// Asks the daemon to end, and waits until it is dead. What is stored stays.
    pub fn terminate(&mut self) -> ExitStatus {
        self.kill(Signal::TERM)
    }

    /// `systemctl restart`: returns how the first ended, once the second is ready.
    pub fn restart(&mut self) -> ExitStatus {
        let status = self.terminate();
        self.start_again();
        self.wait_ready();
        status
    }

    /// `systemctl stop`: afterwards the store is empty.
    pub fn stop(&mut self) -> ExitStatus {
        let status = self.terminate();
        self.ears.shared().change(|known| known.stored.clear());
        // The ears wake up, and let go of what they watched.
        self.ears.settle();
        status
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // Before the ears: a daemon that nobody hears could wait.
        self.child = None;
    }
}
