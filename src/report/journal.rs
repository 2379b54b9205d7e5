//! The journal's native protocol, by way of `tracing-journald`, which ignores
//! what sending says and waits for a slow journal. The waiting is harmless in
//! the writer's thread; what was not taken is found out here.

use super::escape::Line;
use super::record::Record;
use crate::config::Level;
use crate::conversation::{Ending, Refusal};
use crate::echo::Protocol;
use crate::endpoint::{Party, Transport};
use std::io;
use std::os::unix::net::UnixDatagram;
use tracing::{Dispatch, dispatcher};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt;

/// Where journald listens; the same for everybody.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A journal that answered when it was opened.
pub(super) struct Journal {
    dispatch: Dispatch,
}

impl Journal {
    /// Fails when nobody listens on the journal's socket.
    pub(super) fn open() -> io::Result<Self> {
        let priorities = PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        };
        let layer = tracing_journald::layer()?
            // With a prefix, MESSAGE_ID would not be what the catalogue looks for.
            .with_field_prefix(None)
            .with_priority_mappings(priorities)
            .with_syslog_identifier("echod".to_owned());
        Ok(Self { dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)) })
    }

    /// Waits until the journal has room. Fails if nobody listens any more; the
    /// next record may find it back.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        dispatcher::with_default(&self.dispatch, || send(record));
        // To connect is to ask whether somebody is there, without a word that
        // would have to be read. Asked afterwards, because the long wait is in
        // the sending. A journal that comes back in between escapes notice.
        UnixDatagram::unbound()?.connect(SOCKET)
    }
}

fn send(record: &Record) {
    // One place in the program for each level, because that is how `tracing`
    // has its levels. A field without a value is not written.
    macro_rules! event {
        ($level:ident, $values:expr) => {
            tracing::event!(
                tracing::Level::$level,
                MESSAGE_ID = $values.message_id,
                ECHO_CONVERSATION = $values.conversation,
                ECHO_TRANSPORT = $values.transport,
                ECHO_PROTOCOL = $values.protocol,
                ECHO_LOCAL = $values.local,
                ECHO_PEER = $values.peer,
                ECHO_PEER_ADDRESS = $values.peer_address,
                ECHO_PEER_PORT = $values.peer_port,
                ECHO_PEER_PID = $values.peer_pid,
                ECHO_PEER_UID = $values.peer_uid,
                ECHO_BYTES_RECEIVED = $values.received,
                ECHO_BYTES_SENT = $values.sent,
                ECHO_MESSAGES = $values.messages,
                ECHO_DURATION_USEC = $values.micros,
                ECHO_ENDING = $values.ending,
                ECHO_REFUSAL = $values.refusal,
                "{}",
                Line(&$values.text)
            )
        };
    }
    let values = Values::of(record);
    match record.level() {
        Level::Error => event!(ERROR, values),
        Level::Warning => event!(WARN, values),
        Level::Info => event!(INFO, values),
        Level::Debug => event!(DEBUG, values),
    }
}

/// A record as the journal has it. A peer is whole and also taken apart, so
/// that the journal can be searched for any part of it.
struct Values {
    text: String,
    message_id: Option<&'static str>,
    conversation: Option<u64>,
    transport: Option<&'static str>,
    protocol: Option<&'static str>,
    local: Option<String>,
    peer: Option<String>,
    peer_address: Option<String>,
    peer_port: Option<u32>,
    peer_pid: Option<u32>,
    peer_uid: Option<u32>,
    received: Option<u64>,
    sent: Option<u64>,
    messages: Option<u64>,
    micros: Option<u64>,
    ending: Option<&'static str>,
    refusal: Option<&'static str>,
}

impl Values {
    fn of(record: &Record) -> Self {
        let fields = record.fields();
        let known = |party: Option<Party>| party.filter(|party| *party != Party::Unknown);
        let (local, peer) = (known(fields.local), known(fields.peer));
        let (peer_address, peer_port, process) = match peer {
            Some(Party::Ip(at)) => (Some(at.ip().to_string()), Some(at.port().into()), None),
            Some(Party::Process { pid, uid }) => (None, None, Some((pid, uid))),
            Some(Party::Vsock { port, .. }) => (None, Some(port), None),
            Some(Party::Unknown) | None => (None, None, None),
        };
        Self {
            text: record.to_string(),
            message_id: record.message_id(),
            conversation: fields.conversation.map(|id| id.0.get()),
            transport: fields.transport.map(Transport::name),
            protocol: fields.protocol.map(Protocol::name),
            local: local.map(|local| local.to_string()),
            peer: peer.map(|peer| peer.to_string()),
            peer_address,
            peer_port,
            peer_pid: process.map(|(pid, _)| pid),
            peer_uid: process.map(|(_, uid)| uid),
            received: fields.received,
            sent: fields.sent,
            messages: fields.messages,
            micros: fields.micros,
            ending: fields.ending.map(Ending::name),
            refusal: fields.refusal.map(Refusal::name),
        }
    }
}
