//! The ways in which the store can refuse a connection.

use std::{fmt, io};

/// Why a connection got no place in the store. It is served without.
#[derive(Debug)]
#[non_exhaustive]
pub enum NoPlace {
    /// Another got none less than a second ago.
    Resting,
    /// The manager does not keep bags: it has no store, or a full one.
    NotKept,
    /// The manager does not read.
    Manager(io::Error),
    /// The kernel gives no socket for a bag, or no room in it: `ETOOMANYREFS` if as
    /// many descriptors lie in bags as `LimitNOFILE=` allows to be open.
    Kernel(io::Error),
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resting => "the store was full a moment ago",
            Self::NotKept => "the service manager keeps no more descriptors",
            Self::Manager(_) => "the service manager does not listen",
            Self::Kernel(_) => "the kernel makes no room",
        })
    }
}

impl std::error::Error for NoPlace {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Manager(error) | Self::Kernel(error) => Some(error),
            Self::Resting | Self::NotKept => None,
        }
    }
}
