//! The sockets to serve: those that were inherited, and those that echod binds.

use super::Failure;
use crate::config::{self, Config, Level, Listen};
use crate::echo::Protocol;
use crate::endpoint::{Endpoint, Kind as Wanted, Party, Transport};
use crate::serve::{Connection, Listener, Mailbox, Post};
use crate::socket::{self, Kind, Manner, WantsHops};
use crate::systemd::Inherited;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// What will be served, each under the name that records and errors use.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) listeners: Vec<(String, Listener)>,
    pub(super) mailboxes: Vec<(String, Mailbox)>,
    /// Connections that the manager accepted (`Accept=yes`).
    pub(super) connections: Vec<Connection>,
    /// Socket files of our own making, which go when we go.
    files: Vec<PathBuf>,
}

/// Takes the inherited sockets. Each is what the kernel says it is; its name
/// only says what it speaks.
pub(super) fn take(inherited: Vec<Inherited>, config: &Config) -> Result<Served, Failure> {
    let mut served = Served::default();
    for Inherited { name, fd } in inherited {
        let kind = socket::kind(fd.as_fd())
            .map_err(|error| Failure::Kind { name: name.clone(), error })?;
        let protocol = name.parse().unwrap_or(config.protocol);
        match kind {
            Kind::Listener(transport) => served.add(fd, transport, protocol, name)?,
            Kind::Connection(transport) => served.add_connection(fd, transport, protocol),
            Kind::Datagrams(transport) => {
                served.add_mailbox(fd, transport, protocol, name, config)?;
            }
        }
    }
    Ok(served)
}

impl Served {
    /// Binds what the operator named. Where nothing was named and nothing
    /// inherited, the loopback addresses, of which one is enough.
    pub(super) fn bind(&mut self, config: &Config) -> Result<(), Failure> {
        for listen in &config.listen {
            self.bind_one(listen, config)?;
        }
        if self.is_alone() && self.connections.is_empty() {
            let default = config::default_listen();
            let results = default.each_ref().map(|listen| self.bind_one(listen, config));
            if self.listeners.is_empty() {
                return results.into_iter().collect();
            }
        }
        Ok(())
    }

    fn bind_one(&mut self, listen: &Listen, config: &Config) -> Result<(), Failure> {
        let transport = match (listen.kind, &listen.endpoint) {
            (Wanted::Stream, Endpoint::Path(_) | Endpoint::Abstract(_)) => Transport::UnixStream,
            (Wanted::Stream, Endpoint::Vsock { .. }) => Transport::Vsock,
            (Wanted::Stream, _) => Transport::Tcp,
            (Wanted::Datagram, Endpoint::Path(_) | Endpoint::Abstract(_)) => {
                Transport::UnixDatagram
            }
            (Wanted::Datagram, _) => Transport::Udp,
            (Wanted::SequentialPacket, _) => Transport::UnixSeqpacket,
        };
        let manner = Manner { backlog: config.limits.backlog.into(), mptcp: config.mptcp };
        let socket = socket::bind(listen, manner).map_err(Failure::Bind)?;
        if let Endpoint::Path(path) = &listen.endpoint {
            self.files.push(path.clone());
        }
        // The kernel may have fallen back from Multipath TCP.
        let transport = match socket::kind(socket.as_fd()) {
            Ok(Kind::Listener(transport)) => transport,
            _ => transport,
        };
        let (protocol, name) =
            (listen.protocol.unwrap_or(config.protocol), listen.endpoint.to_string());
        match listen.kind {
            Wanted::Datagram => self.add_mailbox(socket, transport, protocol, name, config),
            _ => self.add(socket, transport, protocol, name),
        }
    }

    fn add(
        &mut self,
        socket: OwnedFd,
        transport: Transport,
        protocol: Protocol,
        name: String,
    ) -> Result<(), Failure> {
        socket::prepare_listener(socket.as_fd(), transport)
            .map_err(|error| Failure::Prepare { name: name.clone(), error })?;
        let name = full_name(&socket, transport, protocol, &name);
        let counted = socket::is_counted(socket.as_fd());
        let listener = Listener { socket: Arc::new(socket), transport, protocol, counted };
        self.listeners.push((name, listener));
        Ok(())
    }

    fn add_mailbox(
        &mut self,
        socket: OwnedFd,
        transport: Transport,
        protocol: Protocol,
        name: String,
        config: &Config,
    ) -> Result<(), Failure> {
        let hops = match config.records.level {
            Level::Debug => WantsHops::Yes,
            _ => WantsHops::No,
        };
        socket::prepare_datagrams(socket.as_fd(), transport, hops)
            .map_err(|error| Failure::Prepare { name: name.clone(), error })?;
        let name = full_name(&socket, transport, protocol, &name);
        let mailbox = Mailbox { socket: Arc::new(socket), transport, protocol };
        self.mailboxes.push((name, mailbox));
        Ok(())
    }

    /// Whether nobody else can come: there are but the connections that the
    /// manager accepted.
    pub(super) fn is_alone(&self) -> bool {
        self.listeners.is_empty() && self.mailboxes.is_empty()
    }

    fn add_connection(&mut self, stream: OwnedFd, transport: Transport, protocol: Protocol) {
        // Fails only on a connection that has ended, which its first read tells.
        let _ = socket::prepare_stream(stream.as_fd(), transport);
        self.connections.push(Connection { stream, transport, protocol });
    }

    /// Opens all mailboxes, before the first is asked for more.
    pub(super) fn open_mailboxes(&mut self) -> Result<Vec<(String, Post)>, Failure> {
        let open = |(name, mailbox)| match Post::open(mailbox) {
            Ok(post) => Ok((name, post)),
            Err(error) => Err(Failure::Prepare { name, error }),
        };
        self.mailboxes.drain(..).map(open).collect()
    }

    /// Each socket with its protocol, as people write it.
    pub(super) fn names(&self) -> Vec<String> {
        let listeners = self.listeners.iter().map(|(name, _)| name.clone());
        let mailboxes = self.mailboxes.iter().map(|(name, _)| name.clone());
        let connections = self.connections.iter().map(Connection::name);
        listeners.chain(mailboxes).chain(connections).collect()
    }
}

/// A socket's name with what it is, where it is, and what it speaks.
fn full_name(socket: &OwnedFd, transport: Transport, protocol: Protocol, name: &str) -> String {
    match socket::local(socket.as_fd()) {
        Party::Unknown => format!("{} {name} ({protocol})", transport.name()),
        local => format!("{} {local} ({protocol})", transport.name()),
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}
