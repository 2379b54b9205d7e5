//! Why the daemon cannot do what it was started for.

use crate::cli::ExitStatus;
use crate::keep::MemoryError;
use crate::socket::{BindError, KindError};
use crate::systemd::InheritError;
use rustix::io::Errno;
use std::error::Error;
use std::{fmt, io};

/// Ends the start, or the life.
#[derive(Debug)]
pub enum Failure {
    /// What the manager handed over makes no sense.
    Inherit(InheritError),
    /// A descriptor that cannot be served.
    Kind {
        /// Its `FileDescriptorName=`.
        name: String,
        /// What is wrong with it.
        error: KindError,
    },
    /// A socket that cannot be bound.
    Bind(BindError),
    /// A socket that cannot be prepared.
    Prepare {
        /// Its `FileDescriptorName=`, or its address.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// No memory file.
    Memory(MemoryError),
    /// No event loop, or no signals.
    Runtime(io::Error),
    /// A listener that died.
    Listener {
        /// Which.
        name: String,
        /// What of.
        error: io::Error,
    },
}

impl Failure {
    /// The exit status, from sysexits.h.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Inherit(_) | Self::Kind { .. } => ExitStatus::Usage,
            Self::Bind(error) => match error.errno {
                Errno::ACCESS | Errno::PERM => ExitStatus::NoPermission,
                _ => ExitStatus::Unavailable,
            },
            Self::Prepare { .. } | Self::Memory(_) | Self::Runtime(_) | Self::Listener { .. } => {
                ExitStatus::OsError
            }
        }
    }
}

impl Failure {
    /// The kernel's reason, if it was the kernel.
    pub fn errno(&self) -> Option<u32> {
        let errno = match self {
            Self::Bind(error) => Some(error.errno.raw_os_error()),
            Self::Memory(MemoryError::Kernel(errno)) => Some(errno.raw_os_error()),
            Self::Prepare { error, .. } | Self::Runtime(error) | Self::Listener { error, .. } => {
                error.raw_os_error()
            }
            _ => None,
        };
        errno.and_then(|errno| u32::try_from(errno).ok())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherit(error) => error.fmt(f),
            Self::Kind { name, .. } => write!(f, "cannot serve the inherited descriptor {name:?}"),
            Self::Bind(error) => write!(
                f,
                "cannot listen on {}{}",
                error.listen.endpoint,
                match error.errno {
                    // Where the unit forbids it, the sandbox answers so.
                    Errno::AFNOSUPPORT =>
                        " (a unit that lets echod bind needs the drop-in \
                         self-binding.conf, see echod(8))",
                    _ => "",
                }
            ),
            Self::Prepare { name, .. } => write!(f, "cannot prepare {name}"),
            Self::Memory(_) => f.write_str("cannot make the memory file"),
            Self::Runtime(_) => f.write_str("cannot wait for events"),
            Self::Listener { name, .. } => write!(f, "{name} can no longer be listened on"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inherit(error) => error.source(),
            Self::Kind { error, .. } => Some(error),
            Self::Bind(error) => Some(&error.errno),
            Self::Memory(error) => Some(error),
            Self::Prepare { error, .. } | Self::Runtime(error) | Self::Listener { error, .. } => {
                Some(error)
            }
        }
    }
}
