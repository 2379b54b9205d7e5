//! Where a daemon listens: over TCP, Multipath TCP, or a Unix socket.

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketType, bind, connect, ipproto, listen, socket, sockopt,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Tcp,
    Mptcp,
    Unix,
}

/// An address of a family.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Mptcp(SocketAddr),
    Unix(PathBuf),
}

/// Listens; the connections have a send buffer of this size, if it says one and
/// the family passes it on. Unix sockets get a file in `folder`.
pub fn listen_at(family: Family, folder: &Path, send_buffer: Option<usize>) -> (OwnedFd, Place) {
    let listener = open(family).expect("the kernel has this family");
    if let Some(size) = send_buffer {
        sockopt::set_socket_send_buffer_size(&listener, size).expect("it is raised to fit");
    }
    let path = match family {
        Family::Unix => {
            let path = (0..).map(|number| folder.join(format!("stream-{number}")));
            let path = path.into_iter().find(|path| !path.exists()).expect("numbers do not end");
            bind(&listener, &SocketAddrUnix::new(&path).expect("it is short")).expect("it is free");
            Some(path)
        }
        Family::Tcp | Family::Mptcp => {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            bind(&listener, &any).expect("there is a loopback");
            None
        }
    };
    listen(&listener, 4_096).expect("it is bound");
    let address = || {
        let address = rustix::net::getsockname(&listener).expect("it is bound");
        address.try_into().expect("it is an IP address")
    };
    let place = match (family, path) {
        (_, Some(path)) => Place::Unix(path),
        (Family::Mptcp, None) => Place::Mptcp(address()),
        (_, None) => Place::Tcp(address()),
    };
    (listener, place)
}

impl Place {
    /// A connection that never waits. A small one can receive little, where the
    /// receiver has a say in that. Of TCP nothing is asked of it, whatever it is
    /// called here.
    pub fn connect(&self, small: bool) -> io::Result<TcpStream> {
        let stream = open(self.family())?;
        if small {
            sockopt::set_socket_recv_buffer_size(&stream, 1)?;
        }
        match self {
            Self::Unix(path) => connect(&stream, &SocketAddrUnix::new(path)?)?,
            Self::Tcp(address) | Self::Mptcp(address) => {
                connect(&stream, address)?;
                sockopt::set_tcp_nodelay(&stream, true)?;
            }
        }
        rustix::io::ioctl_fionbio(&stream, true)?;
        Ok(stream.into())
    }

    pub fn family(&self) -> Family {
        match self {
            Self::Tcp(_) => Family::Tcp,
            Self::Mptcp(_) => Family::Mptcp,
            Self::Unix(_) => Family::Unix,
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

fn open(family: Family) -> io::Result<OwnedFd> {
    let (family, protocol) = match family {
        Family::Tcp => (AddressFamily::INET, None),
        Family::Mptcp => (AddressFamily::INET, Some(ipproto::MPTCP)),
        Family::Unix => (AddressFamily::UNIX, None),
    };
    Ok(socket(family, SocketType::STREAM, protocol)?)
}
