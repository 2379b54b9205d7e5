//! The daemon without a manager, as a shell starts it: it binds sockets itself,
//! and says in its ready record where.

use super::child::{Child, forget_surroundings};
use super::notify::Shared;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

/// A daemon. It dies with the thread that started it.
#[derive(Debug)]
pub struct Daemon {
    child: Option<Child>,
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
}

impl Daemon {
    /// One that speaks `protocol` on loopback, on a port of the kernel's choice.
    pub fn speaking(protocol: &str, arguments: &[&str]) -> Self {
        let listen = format!("--listen-stream={protocol}=127.0.0.1:0");
        Self::start(&[&[&listen[..]], arguments].concat())
    }

    /// Starts one and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_echod"));
        command.args(arguments);
        Self::run(command, None)
    }

    /// Starts one that may have so many descriptors.
    pub fn with_descriptors(most: u64, protocol: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_echod"));
        command.arg(format!("--listen-stream={protocol}=127.0.0.1:0"));
        Self::run(command, Some(most))
    }

    /// Starts one through another command, and waits until it is ready.
    pub fn run(command: Command, descriptors_max: Option<u64>) -> Self {
        let mut daemon = Self::begin(command, descriptors_max);
        let ready = daemon.wait_line(|line| line.starts_with("echod: ready on "));
        daemon.addresses = addresses(&ready);
        daemon
    }

    /// Starts one, and does not wait.
    pub fn begin(mut command: Command, descriptors_max: Option<u64>) -> Self {
        forget_surroundings(&mut command);
        let shared = Arc::new(Shared::default());
        shared.change(|known| known.life = 1);
        let child = Some(Child::start(&command, &[], descriptors_max, &shared));
        Self { child, shared, addresses: Vec::new() }
    }

    /// Where it listens first.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens, in the order of its arguments.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.child.as_ref().expect("it runs").signal(signal);
    }

    /// From now on it may have so many descriptors.
    pub fn limit_descriptors(&self, most: u64) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        prlimit(pid, Resource::Nofile, limit).expect("it is ours");
    }

    /// Waits for a line on its stderr, and returns it.
    pub fn wait_line(&self, pleases: impl Fn(&str) -> bool) -> String {
        self.shared.wait("a line on stderr", |known| {
            known.stderr.iter().find(|(_, line)| pleases(line)).map(|(_, line)| line.clone())
        })
    }

    /// Waits until so many conversations have ended in this way.
    pub fn wait_endings(&self, ending: &str, count: usize) {
        let words = format!("ended ({ending})");
        self.shared.wait(&format!("{count} × {words}"), |known| {
            let ended = known.stderr.iter().filter(|(_, line)| line.contains(&words)).count();
            (ended >= count).then_some(())
        });
    }

    /// What it wrote to stderr so far.
    pub fn lines(&self) -> Vec<String> {
        self.shared.known().stderr.iter().map(|(_, line)| line.clone()).collect()
    }

    /// Waits until it is dead: how it ended, and all it wrote to stderr.
    pub fn wait_exit(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.take().expect("it runs").wait();
        (status, self.lines())
    }

    /// Asks it to end, and waits until it is dead.
    pub fn kill(self, signal: Signal) -> (ExitStatus, Vec<String>) {
        self.signal(signal);
        self.wait_exit()
    }
}

/// The addresses in `echod: ready on tcp 127.0.0.1:7 (reply), …; at most …`.
fn addresses(ready: &str) -> Vec<SocketAddr> {
    ready.split([' ', ',', ';']).filter_map(|word| word.parse().ok()).collect()
}
