//! Binding the sockets that no service manager hands over.

use crate::config::Listen;
use crate::endpoint::{Endpoint, Kind};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, SocketAddrUnix, SocketFlags, SocketType, ipproto, sockopt,
};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Why a socket could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// Which one.
    pub listen: Listen,
    /// What the kernel said.
    pub errno: Errno,
}

/// How a socket is made: its backlog, and whether it offers Multipath TCP.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Falls back to plain TCP by itself.
    pub mptcp: bool,
}

/// Binds one socket, and listens on it if it is not for datagrams.
pub fn bind(listen: &Listen, manner: Manner) -> Result<OwnedFd, BindError> {
    open(listen, manner).map_err(|errno| BindError { listen: listen.clone(), errno })
}

fn open(listen: &Listen, manner: Manner) -> Result<OwnedFd, Errno> {
    let socket = match &listen.endpoint {
        Endpoint::Port(port) => open_port(listen.kind, *port, manner)?,
        Endpoint::Ip(address) => open_ip(listen.kind, *address, manner)?,
        Endpoint::Link { address, port, interface } => {
            let probe = make(AddressFamily::INET6, Kind::Datagram, None)?;
            let scope = rustix::net::netdevice::name_to_index(&probe, interface)?;
            let address = SocketAddrV6::new(*address, *port, 0, scope);
            open_ip(listen.kind, address.into(), manner)?
        }
        Endpoint::Path(path) => open_path(listen.kind, path)?,
        Endpoint::Abstract(name) => {
            let socket = make(AddressFamily::UNIX, listen.kind, None)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
            socket
        }
        Endpoint::Vsock { cid, port } => {
            let socket = make(AddressFamily::VSOCK, listen.kind, None)?;
            super::vsock::bind(socket.as_fd(), *cid, *port)?;
            socket
        }
    };
    if listen.kind != Kind::Datagram {
        rustix::net::listen(&socket, manner.backlog)?;
    }
    Ok(socket)
}

/// One socket for IPv6 and IPv4, or one for IPv4 where IPv6 is off.
fn open_port(kind: Kind, port: u16, manner: Manner) -> Result<OwnedFd, Errno> {
    match open_ip(kind, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), manner) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            open_ip(kind, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), manner)
        }
        result => result,
    }
}

fn open_ip(kind: Kind, address: SocketAddr, manner: Manner) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = match (kind, manner.mptcp) {
        (Kind::Stream, true) => make(family, kind, Some(ipproto::MPTCP))
            .or_else(|_| make(family, kind, Some(ipproto::TCP)))?,
        _ => make(family, kind, None)?,
    };
    if kind == Kind::Stream {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if address.is_ipv6() {
        // Every address of both families is one socket, whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// A socket file that nobody answers on is left from somebody who died.
fn open_path(kind: Kind, path: &Path) -> Result<OwnedFd, Errno> {
    let socket = make(AddressFamily::UNIX, kind, None)?;
    let address = SocketAddrUnix::new(path)?;
    match rustix::net::bind(&socket, &address) {
        Err(Errno::ADDRINUSE) if is_socket(path) && is_stale(kind, &address) => {
            rustix::fs::unlink(path)?;
            rustix::net::bind(&socket, &address)?;
        }
        result => result?,
    }
    Ok(socket)
}

/// To connect to any other file fails as it does when nobody answers.
fn is_socket(path: &Path) -> bool {
    rustix::fs::lstat(path)
        .is_ok_and(|file| FileType::from_raw_mode(file.st_mode) == FileType::Socket)
}

fn is_stale(kind: Kind, address: &SocketAddrUnix) -> bool {
    make(AddressFamily::UNIX, kind, None)
        .and_then(|probe| rustix::net::connect(&probe, address))
        .is_err_and(|errno| errno == Errno::CONNREFUSED)
}

fn make(family: AddressFamily, kind: Kind, protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    let form = match kind {
        Kind::Stream => SocketType::STREAM,
        Kind::Datagram => SocketType::DGRAM,
        Kind::SequentialPacket => SocketType::SEQPACKET,
    };
    rustix::net::socket_with(family, form, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, protocol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    const MANNER: Manner = Manner { backlog: 16, mptcp: false };

    fn stream(endpoint: Endpoint) -> Listen {
        Listen { kind: Kind::Stream, endpoint, protocol: None }
    }

    fn port(socket: &OwnedFd) -> u16 {
        SocketAddr::try_from(rustix::net::getsockname(socket).unwrap()).unwrap().port()
    }

    #[test]
    fn a_bare_port_answers_on_both_families() {
        let socket = bind(&stream(Endpoint::Port(0)), MANNER).unwrap();
        let port = port(&socket);
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        TcpStream::connect(("::1", port)).unwrap();
    }

    #[test]
    fn a_port_in_use_is_an_error_that_names_it() {
        let first = bind(&stream(Endpoint::Ip("127.0.0.1:0".parse().unwrap())), MANNER).unwrap();
        let again = stream(Endpoint::Ip(([127, 0, 0, 1], port(&first)).into()));
        let error = bind(&again, MANNER).unwrap_err();
        assert_eq!((error.listen, error.errno), (again, Errno::ADDRINUSE));
    }

    #[test]
    fn only_a_stale_socket_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let listen = stream(Endpoint::Path(folder.path().join("x.sock")));
        let alive = bind(&listen, MANNER).unwrap();
        assert_eq!(bind(&listen, MANNER).unwrap_err().errno, Errno::ADDRINUSE);
        drop(alive);
        bind(&listen, MANNER).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("letter");
        std::fs::write(&file, "dear").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for path in [&file, &link] {
            let listen = stream(Endpoint::Path(path.clone()));
            assert_eq!(bind(&listen, MANNER).unwrap_err().errno, Errno::ADDRINUSE);
            assert!(path.symlink_metadata().is_ok(), "{path:?} is gone");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "dear");
    }

    #[test]
    fn multipath_falls_back_by_itself() {
        let listen = stream(Endpoint::Ip("127.0.0.1:0".parse().unwrap()));
        let socket = bind(&listen, Manner { mptcp: true, ..MANNER }).unwrap();
        TcpStream::connect(("127.0.0.1", port(&socket))).unwrap();
    }

    #[test]
    fn an_interface_is_found_by_its_name() {
        let on = |interface: &str| {
            let interface = interface.to_owned();
            stream(Endpoint::Link { address: Ipv6Addr::LOCALHOST, port: 0, interface })
        };
        assert!(bind(&on("lo"), MANNER).is_ok());
        assert_eq!(bind(&on("no-such-link"), MANNER).unwrap_err().errno, Errno::NODEV);
    }
}
