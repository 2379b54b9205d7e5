//! What an ordeal begins with: a manager that listens, and a daemon to be started.

use crate::peers::place::{Family, Place, listen_at};
use crate::support::manager::Manager;
use echod::echo::Protocol;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A daemon that has not begun yet.
pub struct Scene {
    pub manager: Manager,
    pub arguments: Vec<String>,
}

impl Scene {
    /// A daemon with these arguments, and none that would fill the test's output.
    pub fn new(arguments: &[&str]) -> Self {
        Self::of(env!("CARGO_BIN_EXE_echod"), &[&["--record-rate", "0"], arguments].concat())
    }

    /// Another program, with these arguments.
    pub fn of(program: &str, arguments: &[&str]) -> Self {
        // A core of a daemon that was aborted helps nobody.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).expect("less is always allowed");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { manager: Manager::of(program), arguments }
    }

    /// Listens; the connections have a send buffer of this size, if it says one.
    pub fn listen(&mut self, protocol: Protocol, send_buffer: Option<usize>) -> SocketAddr {
        match self.listen_over(Family::Tcp, protocol, send_buffer) {
            Place::Tcp(address) => address,
            other => panic!("{other:?} is no TCP"),
        }
    }

    /// The same, of any family.
    pub fn listen_over(
        &mut self,
        family: Family,
        protocol: Protocol,
        send_buffer: Option<usize>,
    ) -> Place {
        let (listener, place) = listen_at(family, self.manager.place(), send_buffer);
        self.manager.listen(listener, protocol.name());
        place
    }

    pub fn start(&mut self) {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        self.manager.start(&arguments, &[]);
    }
}

/// What lies in the manager's store.
pub fn stored(manager: &mut Manager) -> Vec<(String, Arc<OwnedFd>)> {
    // Settles before it looks.
    let _ = manager.stored();
    manager.wait("what is stored", |known| {
        let stored = known.stored.iter();
        Some(stored.map(|stored| (stored.name.clone(), Arc::clone(&stored.fd))).collect())
    })
}
