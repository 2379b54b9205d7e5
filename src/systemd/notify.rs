//! What the manager is told: readiness, numbers, signs of life.
//!
//! `sd-notify` has the words. It could send them, too, but waits when the manager's
//! queue, which all services share, is full, and one thread serves everybody.

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use sd_notify::NotifyState;
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::time::Duration;
use std::{env, ffi::OsStr};

/// The service manager, if there is one. Without one, everything said to it is
/// said to nobody and succeeds.
///
/// No error here is a reason to stop. `WouldBlock` means that the manager does
/// not read at present and nothing was sent.
#[derive(Clone, Debug)]
pub struct Manager {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager of the environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`,
    /// `WATCHDOG_PID`). Call it before the first thread starts. What cannot be an
    /// address is none.
    pub fn from_env() -> Self {
        let watchdog = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero());
        Self { address: env::var_os("NOTIFY_SOCKET").and_then(|path| address(&path)), watchdog }
    }

    /// Whether there is a manager to talk to.
    pub fn is_there(&self) -> bool {
        self.address.is_some()
    }

    /// How long the manager waits for a sign of life before it kills us; none if
    /// it does not wait for any.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Every socket is being served. A start that is not reported counts as failed:
    /// after `WouldBlock` say it again.
    pub fn ready(&self) -> io::Result<()> {
        self.tell(&[NotifyState::Ready], &[], Duration::ZERO)
    }

    /// One line for `systemctl status`. Control characters are left out (a line
    /// break would begin another assignment), and so is what exceeds 4,000 bytes
    /// (the manager drops longer messages whole).
    pub fn status(&self, line: &str) -> io::Result<()> {
        self.tell(&[NotifyState::Status(&printable(line))], &[], Duration::ZERO)
    }

    /// The loop turns.
    pub fn alive(&self) -> io::Result<()> {
        self.tell(&[NotifyState::Watchdog], &[], Duration::ZERO)
    }

    /// We are about to leave.
    pub fn stopping(&self) -> io::Result<()> {
        self.tell(&[NotifyState::Stopping], &[], Duration::ZERO)
    }

    /// The start failed for this reason, an `errno`. Shown once we have left.
    pub fn errno(&self, errno: u32) -> io::Result<()> {
        self.tell(&[NotifyState::Errno(errno)], &[], Duration::ZERO)
    }

    /// Whether the manager has read all that it was sent within that time.
    pub(super) fn barrier(&self, patience: Duration) -> io::Result<bool> {
        let (ours, theirs) = UnixStream::pair()?;
        self.tell(&[NotifyState::Custom("BARRIER=1")], &[theirs.as_fd()], patience)?;
        drop(theirs);
        happens(&ours, PollFlags::empty(), patience)
    }

    /// Sends one message with descriptors, two at most, if the queue has room in time.
    pub(super) fn tell(
        &self,
        words: &[NotifyState<'_>],
        fds: &[BorrowedFd<'_>],
        patience: Duration,
    ) -> io::Result<()> {
        let Some(address) = &self.address else { return Ok(()) };
        let mut text = String::new();
        for word in words {
            writeln!(text, "{word}").expect("a string takes what fits into memory");
        }
        let queue = UnixDatagram::unbound()?;
        queue.connect_addr(address)?;
        let sent = send(&queue, &text, fds);
        if sent == Err(Errno::AGAIN) && happens(&queue, PollFlags::OUT, patience)? {
            return Ok(send(&queue, &text, fds)?);
        }
        Ok(sent?)
    }
}

/// `NOTIFY_SOCKET`: a path, or `@` and a name.
fn address(text: &OsStr) -> Option<SocketAddr> {
    match text.as_bytes() {
        [] => None,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        _ => SocketAddr::from_pathname(text).ok(),
    }
}

fn send(queue: &UnixDatagram, text: &str, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        debug_assert!(fits, "the space is for two descriptors");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(queue, &[IoSlice::new(text.as_bytes())], &mut control, flags).map(drop)
}

/// Whether this happens to the descriptor, or its end, within that time.
pub(super) fn happens(fd: &impl AsFd, event: PollFlags, patience: Duration) -> io::Result<bool> {
    let patience = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    let mut asked = [PollFd::new(fd, event)];
    loop {
        match poll(&mut asked, Some(&patience)) {
            // Only a start or a test waits here, and a signal may restart the
            // wait: there are few.
            Err(Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

fn printable(line: &str) -> String {
    let mut text: String = line.chars().filter(|letter| !letter.is_control()).collect();
    if text.len() > STATUS_MAX {
        let end = (0..=STATUS_MAX).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.expect("the beginning is a boundary"));
    }
    text
}

/// In bytes. The manager drops datagrams of more than 4,096 without a word to us.
const STATUS_MAX: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::fake::{Environment, environment};
    use std::time::Instant;

    struct Fake {
        environment: Environment,
        socket: UnixDatagram,
        _place: tempfile::TempDir,
    }

    fn fake() -> Fake {
        let environment = environment();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        environment.set("NOTIFY_SOCKET", path.to_str().unwrap());
        Fake { environment, socket, _place: place }
    }

    impl Fake {
        fn heard(&self) -> String {
            let mut buffer = [0; 8192];
            let length = self.socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        }
    }

    #[test]
    fn each_word_is_one_message() {
        let fake = fake();
        let manager = Manager::from_env();
        assert!(manager.is_there());
        manager.ready().unwrap();
        manager.status("3 conversations").unwrap();
        manager.alive().unwrap();
        manager.stopping().unwrap();
        manager.errno(98).unwrap();
        let heard: Vec<_> = (0..5).map(|_| fake.heard()).collect();
        let said = ["READY=1\n", "STATUS=3 conversations\n", "WATCHDOG=1\n", "STOPPING=1\n"];
        assert_eq!(heard[..4], said);
        assert_eq!(heard[4], "ERRNO=98\n");
    }

    #[test]
    fn a_status_stays_one_short_line() {
        let fake = fake();
        let manager = Manager::from_env();
        manager.status("one\nREADY=1\r\u{1b}[2J\u{85}two").unwrap();
        assert_eq!(fake.heard(), "STATUS=oneREADY=1[2Jtwo\n");
        manager.status(&"传".repeat(1334)).unwrap();
        assert_eq!(fake.heard().len(), "STATUS=\n".len() + 3999);
        manager.status(&"x".repeat(4000)).unwrap();
        assert_eq!(fake.heard().len(), "STATUS=\n".len() + 4000);
    }

    #[test]
    fn a_manager_that_does_not_read_delays_nothing() {
        let fake = fake();
        let manager = Manager::from_env();
        let begin = Instant::now();
        let error = (0..100_000).find_map(|_| manager.alive().err()).expect("a queue has an end");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(begin.elapsed() < Duration::from_secs(20));
        fake.heard();
        manager.alive().unwrap();
    }

    #[test]
    fn a_manager_that_is_gone_is_an_error_and_no_more() {
        let fake = fake();
        let manager = Manager::from_env();
        drop(fake.socket);
        assert_eq!(manager.ready().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(manager.alive().is_err());
    }

    #[test]
    fn a_manager_may_have_a_name_and_no_path() {
        let fake = fake();
        let name = format!("echod-test-{}", std::process::id());
        let socket = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&socket).unwrap();
        fake.environment.set("NOTIFY_SOCKET", &format!("@{name}"));
        let (_, theirs) = UnixStream::pair().unwrap();
        Manager::from_env().tell(&[NotifyState::Ready], &[theirs.as_fd()], Duration::ZERO).unwrap();
        let mut heard = [0; 64];
        let length = socket.recv(&mut heard).unwrap();
        assert_eq!(heard[..length], *b"READY=1\n");
    }

    #[test]
    fn without_a_manager_everything_succeeds() {
        let environment = environment();
        environment.clear("NOTIFY_SOCKET");
        let manager = Manager::from_env();
        assert!(!manager.is_there());
        manager.ready().unwrap();
        manager.status("nobody hears this").unwrap();
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        let fake = fake();
        let watchdog = |usec: &str, pid: &str| {
            fake.environment.set("WATCHDOG_USEC", usec);
            fake.environment.set("WATCHDOG_PID", pid);
            Manager::from_env().watchdog()
        };
        let own = std::process::id().to_string();
        assert_eq!(watchdog("2000000", &own), Some(Duration::from_secs(2)));
        assert_eq!(watchdog("2000000", "1"), None);
        assert_eq!(watchdog("0", &own), None);
        assert_eq!(watchdog("soon", &own), None);
    }
}
