//! The daemon as a child of the test, started as the manager starts it: its
//! sockets from descriptor 3 on, and its own process id in the environment.
#![allow(unsafe_code, reason = "only between fork and exec can descriptors be put in their places")]

use super::notify::{PATIENCE, Shared};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process, pidfd_open,
    set_parent_process_death_signal, setrlimit,
};
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Leaves out of a command's environment what it must not inherit from the
/// test's own surroundings.
pub fn forget_surroundings(command: &mut Command) {
    const FOREIGN: [&str; 5] =
        ["ECHOD_", "JOURNAL_STREAM", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"];
    for (name, _) in std::env::vars_os() {
        if FOREIGN.iter().any(|foreign| name.to_string_lossy().starts_with(foreign)) {
            command.env_remove(name);
        }
    }
}

/// A process that dies with the thread that started it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    pidfd: OwnedFd,
    reader: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts a command. The shell in between only finds out its process id, and
    /// has the same as the command that follows.
    pub fn start(
        command: &Command,
        fds: &[BorrowedFd<'_>],
        descriptors_max: Option<u64>,
        shared: &Arc<Shared>,
    ) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let places = 3..3 + i32::try_from(fds.len()).expect("there are few");
        // Above all places, so that none is overwritten before it is copied.
        let copies: Vec<_> = fds.iter().map(|fd| copy(*fd, places.end)).collect();
        let prepare = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if let Some(most) = descriptors_max {
                let limit = Rlimit { current: Some(most), maximum: Some(most) };
                setrlimit(Resource::Nofile, limit)?;
            }
            for (copy, place) in copies.iter().zip(places.clone()) {
                // SAFETY: Plain numbers; what lay at the place belongs to the
                // child, which leaves it behind by exec.
                if unsafe { libc::dup2(copy.as_raw_fd(), place) } < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            // SAFETY: Plain numbers; what is open beyond is closed by exec only.
            unsafe { libc::syscall(libc::SYS_close_range, places.end, i32::MAX, CLOEXEC) };
            Ok(())
        };
        // SAFETY: Only system calls, no allocation and no lock.
        unsafe { shell.pre_exec(prepare) };
        let mut process = shell.spawn().expect("there is a shell");
        let pid = Pid::from_child(&process);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it is not reaped yet");
        let reader = read(process.stderr.take().expect("it is piped"), shared);
        Self { process, pidfd, reader: Some(reader) }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it is not reaped yet");
    }

    /// Waits for it to die, which includes its last words on stderr.
    pub fn wait(mut self) -> ExitStatus {
        let seconds = i64::try_from(PATIENCE.as_secs()).expect("half a minute");
        let patience = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let mut asked = [PollFd::new(&self.pidfd, PollFlags::IN)];
        loop {
            match poll(&mut asked, Some(&patience)) {
                Err(Errno::INTR) => {}
                dead => {
                    assert_eq!(dead, Ok(1), "process {} does not end", self.process.id());
                    break;
                }
            }
        }
        let status = self.process.wait().expect("it is ours");
        let _ = self.reader.take().map(JoinHandle::join);
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // After wait() both do nothing.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn copy(fd: BorrowedFd<'_>, above: i32) -> OwnedFd {
    fcntl_dupfd_cloexec(fd, above).expect("there are descriptors left")
}

fn read(stderr: std::process::ChildStderr, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    let life = shared.known().life;
    std::thread::spawn(move || {
        for bytes in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            shared.change(|known| known.stderr.push((life, text)));
        }
        shared.change(|known| known.silent = known.silent.max(life));
    })
}

/// `CLOSE_RANGE_CLOEXEC`: a daemon inherits nothing that leaked into the test.
const CLOEXEC: u32 = 4;

const SCRIPT: &str = r#"
[ -z "$LISTEN_FDS" ] || export LISTEN_PID="${LISTEN_PID:-$$}"
[ -z "$WATCHDOG_USEC" ] || export WATCHDOG_PID="${WATCHDOG_PID:-$$}"
exec "$0" "$@"
"#;
