//! What the manager hands over at the start: sockets to serve, and what the
//! predecessor left in the store. `listenfd` takes the descriptors; it has no
//! word for their names and none for a number that is wrong, so those are here.

use super::{BagNumber, MEMORY_NAME};
use listenfd::ListenFd;
use rustix::fs::{FileType, fstat};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{env, fmt, io, process};

/// A socket that the manager handed over: close-on-exec and non-blocking.
#[derive(Debug)]
pub struct Inherited {
    /// Its `FileDescriptorName=`; by default the socket unit's name.
    pub name: String,
    /// A socket of some kind, open.
    pub fd: OwnedFd,
}

/// Everything that the manager handed over, sorted by name.
#[derive(Debug, Default)]
pub struct Hand {
    /// Sockets to serve, in the manager's order, which means nothing.
    pub sockets: Vec<Inherited>,
    /// The predecessor's memory file: not yet looked at.
    pub memory: Option<OwnedFd>,
    /// The read ends of the predecessor's bags, with their numbers.
    pub bags: Vec<(BagNumber, OwnedFd)>,
    /// Memory files besides the newest: closed, since nobody can say whose
    /// records they hold.
    pub memories_dropped: usize,
}

/// Takes what the manager handed over.
///
/// Must be the first thing in `main`: `listenfd` clears `LISTEN_FDS` and
/// `LISTEN_PID`, which no other thread may read at that time, and a descriptor
/// that is opened before could be taken for one that was handed over.
///
/// Without `LISTEN_FDS`, and when `LISTEN_PID` is another process's, the hand is
/// empty. An error means exit 64.
pub fn inherit() -> Result<Hand, InheritError> {
    let mut hand = Hand::default();
    let Some(names) = names(|variable| env::var_os(variable), process::id())? else {
        return Ok(hand);
    };
    let mut given = ListenFd::from_env();
    for (place, name) in names.into_iter().enumerate() {
        let Ok(Some(number)) = given.take_raw_fd(place) else { break };
        let fd = open(number, &name)?;
        hand.take(fd, number, name)?;
    }
    Ok(hand)
}

/// Why the hand-over cannot be understood. The text names the descriptor.
#[derive(Debug)]
#[non_exhaustive]
pub enum InheritError {
    /// `LISTEN_FDS` or `LISTEN_FDS_FIRST_FD` is not such a number.
    Number {
        /// Which of the two.
        variable: &'static str,
        /// What it says.
        value: String,
        /// The least and the most it may say.
        allowed: (RawFd, RawFd),
    },
    /// `LISTEN_FDNAMES` and `LISTEN_FDS` disagree.
    Names {
        /// Names in `LISTEN_FDNAMES`.
        names: usize,
        /// Descriptors in `LISTEN_FDS`.
        descriptors: usize,
    },
    /// There is no such descriptor.
    Closed {
        /// The descriptor.
        number: RawFd,
        /// What the manager calls it.
        name: String,
    },
    /// It is a file, a pipe or a terminal.
    NotASocket {
        /// The descriptor.
        number: RawFd,
        /// What the manager calls it.
        name: String,
    },
    /// It bears the name of something stored, and cannot be that.
    NotStored {
        /// The descriptor.
        number: RawFd,
        /// What the manager calls it.
        name: String,
    },
    /// The kernel refused a question about it.
    Refused {
        /// The descriptor.
        number: RawFd,
        /// What the manager calls it.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { variable, value, allowed: (least, most) } => {
                write!(f, "{variable} is {value:?}, not a number from {least} to {most}")
            }
            Self::Names { names, descriptors } => write!(
                f,
                "LISTEN_FDNAMES has {names} names, but LISTEN_FDS says {descriptors} descriptors"
            ),
            Self::Closed { number, name } => {
                write!(f, "inherited descriptor {number} ({name:?}) is closed")
            }
            Self::NotASocket { number, name } => {
                write!(f, "inherited descriptor {number} ({name:?}) is not a socket")
            }
            Self::NotStored { number, name } => write!(
                f,
                "inherited descriptor {number} is called {name:?}, \
                 a name for what echod itself has stored: choose another FileDescriptorName="
            ),
            Self::Refused { number, name, .. } => {
                write!(f, "cannot take inherited descriptor {number} ({name:?})")
            }
        }
    }
}

impl std::error::Error for InheritError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The descriptors' names, in order; none if they are not meant for us. Public
/// for the tests: [`inherit`] alone takes what is named.
#[doc(hidden)]
pub fn names(
    variable: impl Fn(&str) -> Option<OsString>,
    own_pid: u32,
) -> Result<Option<Vec<String>>, InheritError> {
    let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    // listenfd takes a missing LISTEN_PID for ours, and so must we.
    let pid = text("LISTEN_PID").unwrap_or_default();
    if !pid.is_empty() && pid.parse() != Ok(own_pid) {
        return Ok(None);
    }
    let Some(count) = text(COUNT) else { return Ok(None) };
    let count = number(COUNT, count, (0, DESCRIPTORS_MAX))?;
    if let Some(first) = text(FIRST) {
        number(FIRST, first, (DESCRIPTOR_FIRST, DESCRIPTORS_MAX))?;
    }
    let descriptors = usize::try_from(count).expect("the number is not negative");
    if descriptors == 0 {
        return Ok(None);
    }
    let Some(list) = text("LISTEN_FDNAMES") else {
        return Ok(Some(vec![NAMELESS.to_owned(); descriptors]));
    };
    let names: Vec<_> = list.split(':').map(str::to_owned).collect();
    if names.len() != descriptors {
        return Err(InheritError::Names { names: names.len(), descriptors });
    }
    Ok(Some(names))
}

fn number(
    variable: &'static str,
    value: String,
    allowed: (RawFd, RawFd),
) -> Result<RawFd, InheritError> {
    match value.parse() {
        Ok(number) if (allowed.0..=allowed.1).contains(&number) => Ok(number),
        _ => Err(InheritError::Number { variable, value, allowed }),
    }
}

/// Makes a number a descriptor of ours, if there is one behind it.
fn open(number: RawFd, name: &str) -> Result<OwnedFd, InheritError> {
    // SAFETY: The borrow ends in this line, and a closed descriptor only makes
    // the question fail.
    if fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_err() {
        return Err(InheritError::Closed { number, name: name.to_owned() });
    }
    // SAFETY: It is open, listenfd gives each number once, and by inherit()'s
    // contract nothing else in this process has opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl Hand {
    fn take(&mut self, fd: OwnedFd, number: RawFd, name: String) -> Result<(), InheritError> {
        let kind = match prepare(fd.as_fd()) {
            Ok(kind) => kind,
            Err(error) => return Err(InheritError::Refused { number, name, source: error.into() }),
        };
        match (Role::of(&name), kind) {
            (Role::Memory, What::File) if self.memory.is_none() => self.memory = Some(fd),
            // The store hands out the newest first.
            (Role::Memory, What::File) => self.memories_dropped += 1,
            (Role::Bag(bag), What::BagEnd) => self.bags.push((bag, fd)),
            (Role::Socket, What::Socket | What::BagEnd) => {
                self.sockets.push(Inherited { name, fd });
            }
            (Role::Socket, What::File) => return Err(InheritError::NotASocket { number, name }),
            (Role::Memory | Role::Bag(_), _) => {
                return Err(InheritError::NotStored { number, name });
            }
        }
        Ok(())
    }
}

/// What a name says that a descriptor is.
enum Role {
    Memory,
    Bag(BagNumber),
    Socket,
}

impl Role {
    fn of(name: &str) -> Self {
        if name == MEMORY_NAME {
            return Self::Memory;
        }
        BagNumber::from_name(name).map_or(Self::Socket, Self::Bag)
    }
}

/// What the kernel says that a descriptor is, as far as it matters here.
enum What {
    /// Not a socket.
    File,
    /// Connected and message by message, as a bag's end is.
    BagEnd,
    /// Any other socket.
    Socket,
}

fn prepare(fd: BorrowedFd<'_>) -> rustix::io::Result<What> {
    fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    if FileType::from_raw_mode(fstat(fd)?.st_mode) != FileType::Socket {
        return Ok(What::File);
    }
    ioctl_fionbio(fd, true)?;
    let bag_end = sockopt::socket_domain(fd)? == AddressFamily::UNIX
        && sockopt::socket_type(fd)? == SocketType::SEQPACKET
        && !sockopt::socket_acceptconn(fd)?;
    Ok(if bag_end { What::BagEnd } else { What::Socket })
}

const COUNT: &str = "LISTEN_FDS";
/// An extension of listenfd's: where the descriptors begin, if not at 3.
const FIRST: &str = "LISTEN_FDS_FIRST_FD";
const DESCRIPTOR_FIRST: RawFd = 3;
/// More names than fit into one environment string, so more than a manager can
/// pass: 65,536 names of one letter and a colon fill its 131,072 bytes.
const DESCRIPTORS_MAX: RawFd = 65_536;
/// What `sd_listen_fds_with_names(3)` calls them when nobody has named them, as
/// with systemd-socket-activate without `--fdname=`.
const NAMELESS: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::fcntl_dupfd_cloexec;
    use rustix::net::{SocketFlags, socketpair};
    use std::fs::File;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::os::unix::net::UnixStream;

    const PID: u32 = 4711;

    fn offered(environment: &[(&str, &str)]) -> Result<Option<Vec<String>>, InheritError> {
        let find = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        };
        names(find, PID)
    }

    fn complaint(environment: &[(&str, &str)]) -> String {
        offered(environment).expect_err("this environment is wrong").to_string()
    }

    #[test]
    fn descriptors_for_another_process_are_ignored_whatever_else_is_said() {
        let foreign = [("LISTEN_PID", "4712"), ("LISTEN_FDS", "junk")];
        assert_eq!(offered(&foreign).unwrap(), None);
        assert_eq!(offered(&[("LISTEN_PID", "x"), ("LISTEN_FDS", "1")]).unwrap(), None);
        assert_eq!(offered(&[("LISTEN_PID", "4711")]).unwrap(), None);
        assert_eq!(offered(&[]).unwrap(), None);
    }

    #[test]
    fn names_come_in_the_order_of_descriptors() {
        let environment =
            [("LISTEN_PID", "4711"), ("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "reply::echo.socket")];
        assert_eq!(offered(&environment).unwrap().unwrap(), ["reply", "", "echo.socket"]);
    }

    #[test]
    fn a_manager_that_names_nothing_leaves_them_nameless() {
        let environment = [("LISTEN_PID", "4711"), ("LISTEN_FDS", "2")];
        assert_eq!(offered(&environment).unwrap().unwrap(), ["unknown", "unknown"]);
    }

    #[test]
    fn no_descriptors_are_no_mistake() {
        let environment = [("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")];
        assert_eq!(offered(&environment).unwrap(), None);
    }

    #[test]
    fn a_count_that_is_no_number_or_absurd_is_named() {
        for value in ["many", "", "-1", "65537", "4294967299", "3 "] {
            let text = complaint(&[("LISTEN_PID", "4711"), ("LISTEN_FDS", value)]);
            assert_eq!(text, format!("LISTEN_FDS is {value:?}, not a number from 0 to 65536"));
        }
    }

    #[test]
    fn the_first_descriptor_is_never_a_standard_stream() {
        let text = complaint(&[("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "2")]);
        assert_eq!(text, "LISTEN_FDS_FIRST_FD is \"2\", not a number from 3 to 65536");
    }

    #[test]
    fn more_or_fewer_names_than_descriptors_are_a_mistake() {
        let text = complaint(&[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "a:b:c")]);
        assert_eq!(text, "LISTEN_FDNAMES has 3 names, but LISTEN_FDS says 2 descriptors");
    }

    fn handed(given: impl IntoIterator<Item = (&'static str, OwnedFd)>) -> Result<Hand, String> {
        let mut hand = Hand::default();
        for (name, fd) in given {
            let number = fd.as_raw_fd();
            if let Err(error) = hand.take(fd, number, name.to_owned()) {
                return Err(error.to_string().replace(&number.to_string(), "N"));
            }
        }
        Ok(hand)
    }

    fn listener() -> OwnedFd {
        TcpListener::bind("127.0.0.1:0").unwrap().into()
    }

    fn file() -> OwnedFd {
        tempfile::tempfile().unwrap().into()
    }

    fn bag_end() -> OwnedFd {
        let kind = (AddressFamily::UNIX, SocketType::SEQPACKET);
        socketpair(kind.0, kind.1, SocketFlags::empty(), None).unwrap().0
    }

    #[test]
    fn what_was_stored_is_told_from_what_is_to_be_served_by_its_name() {
        let given = [
            ("echod-bag-12", bag_end()),
            ("reply", listener()),
            ("echod-memory", file()),
            ("echod-bag-x", listener()),
            ("echod-bag-007", bag_end()),
        ];
        let hand = handed(given).unwrap();
        assert!(hand.memory.is_some());
        assert_eq!(hand.bags[0].0, BagNumber(12));
        assert_eq!(hand.bags.len(), 1);
        let names: Vec<_> = hand.sockets.iter().map(|socket| &socket.name[..]).collect();
        assert_eq!(names, ["reply", "echod-bag-x", "echod-bag-007"]);
    }

    #[test]
    fn the_newest_memory_counts() {
        let newest = file();
        let inode = fstat(&newest).unwrap().st_ino;
        let hand = handed([("echod-memory", newest), ("echod-memory", file())]).unwrap();
        assert_eq!(fstat(hand.memory.unwrap()).unwrap().st_ino, inode);
        assert_eq!(hand.memories_dropped, 1);
    }

    #[test]
    fn a_listener_with_the_name_of_something_stored_is_a_mistake() {
        for name in ["echod-memory", "echod-bag-1"] {
            let text = handed([(name, listener())]).unwrap_err();
            assert!(text.starts_with("inherited descriptor N is called"), "{text}");
        }
        assert!(handed([("echod-bag-1", file())]).is_err());
    }

    #[test]
    fn a_file_is_not_served() {
        let text = handed([("echo.socket", file())]).unwrap_err();
        assert_eq!(text, "inherited descriptor N (\"echo.socket\") is not a socket");
    }

    #[test]
    fn sockets_become_non_blocking_and_stay_out_of_children() {
        let fd = listener();
        fcntl_setfd(&fd, FdFlags::empty()).unwrap();
        let hand = handed([("reply", fd)]).unwrap();
        let fd = &hand.sockets[0].fd;
        assert!(fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC));
        assert!(rustix::fs::fcntl_getfl(fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }

    #[test]
    fn a_closed_descriptor_is_named() {
        let highest = fcntl_dupfd_cloexec(File::open("/dev/null").unwrap(), 900).unwrap();
        let number = highest.as_raw_fd();
        drop(highest);
        let text = open(number, "rfc862").unwrap_err().to_string();
        assert_eq!(text, format!("inherited descriptor {number} (\"rfc862\") is closed"));
    }

    #[test]
    fn the_environment_is_taken_once() {
        let environment = crate::systemd::fake::environment();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let number = fcntl_dupfd_cloexec(&ours, 600).unwrap().into_raw_fd().to_string();
        environment.set("LISTEN_FDS", "1");
        environment.set("LISTEN_FDS_FIRST_FD", &number);
        environment.set("LISTEN_FDNAMES", "line");
        let hand = inherit().unwrap();
        assert_eq!(hand.sockets[0].name, "line");
        assert_eq!(hand.sockets[0].fd.as_raw_fd().to_string(), number);
        assert!(inherit().unwrap().sockets.is_empty());
    }
}
