//! A daemon of which each life can begin in a way of its own.

use crate::support::manager::Manager;
use rustix::process::Signal;
use std::path::PathBuf;

pub(crate) struct Lives {
    pub(crate) manager: Manager,
    /// What a shell does before it becomes the next life.
    way: PathBuf,
}

impl Lives {
    pub(crate) fn new() -> Self {
        let manager = Manager::of("/bin/sh");
        let way = manager.place().join("way");
        Self { manager, way }
    }

    /// The first, in the usual way.
    pub(crate) fn begin(&mut self, options: &[&str]) {
        std::fs::write(&self.way, "").unwrap();
        let way = self.way.to_str().unwrap();
        let own = ["-c", r#". "$0"; exec "$@""#, way, env!("CARGO_BIN_EXE_echod")];
        self.manager.start(&[&own, options].concat(), &[]);
        self.manager.wait_ready();
    }

    /// Kills it, and begins the next in this way.
    pub(crate) fn kill(&mut self, way: &str) {
        self.manager.kill(Signal::KILL);
        self.start(way);
        self.manager.wait_ready();
    }

    /// Begins the next in this way, and does not wait for it.
    pub(crate) fn start(&mut self, way: &str) {
        std::fs::write(&self.way, way).unwrap();
        self.manager.start_again();
    }
}
