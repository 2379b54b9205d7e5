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
mod tests;
