//! Every record as a value: small to build where time matters, told in words
//! and fields by whoever writes it.

use super::catalog;
use super::escape::Excerpt;
use super::{Adopted, Envelope, Introduction, Parting};
use crate::config::Level;
use crate::conversation::{Ending, Id, Refusal, Totals};
use crate::echo::Protocol;
use crate::endpoint::{Party, Transport};

/// Every record echod can write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Ready { sockets: Vec<String>, connections: u32, wanted: Option<u32> },
    Adopted(Adopted),
    Stopping(Parting),
    Failed(String),
    Began(Introduction),
    Ended(Introduction, Ending, Totals),
    Received(Id, Excerpt),
    Sent(Id, Excerpt),
    DatagramReceived(Envelope, Excerpt),
    DatagramSent(Envelope, Excerpt),
    Summed(Summed),
    Repeated { event: Event, times: u64 },
    ListenerFailed { socket: String, error: String },
    UnknownVariable(String),
    MemoryUnreadable(String),
    NoJournal(String),
    Lost(u64),
}

/// What may happen a thousand times a second, and is told once a minute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Refused(Refusal, Party),
    CannotAccept(String),
    StoreFull,
    NotKept(String),
    Contradiction(Id),
    Struck(Id, u8),
    StruckOut(Id),
}

/// Conversations that the budget did not cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summed {
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// What the journal can be searched for. An absent field is not written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) conversation: Option<Id>,
    pub(super) transport: Option<Transport>,
    pub(super) protocol: Option<Protocol>,
    pub(super) local: Option<Party>,
    pub(super) peer: Option<Party>,
    pub(super) received: Option<u64>,
    pub(super) sent: Option<u64>,
    pub(super) messages: Option<u64>,
    pub(super) micros: Option<u64>,
    pub(super) ending: Option<Ending>,
    pub(super) refusal: Option<Refusal>,
}

impl Record {
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Failed(_) | Self::ListenerFailed { .. } => Level::Error,
            // To refuse is what the operator asked for.
            Self::Repeated { event: Event::Refused(..), .. }
            | Self::Ready { .. }
            | Self::Adopted(_)
            | Self::Stopping(_)
            | Self::Began(_)
            | Self::Ended(..)
            | Self::Summed(_) => Level::Info,
            Self::Repeated { .. }
            | Self::UnknownVariable(_)
            | Self::MemoryUnreadable(_)
            | Self::NoJournal(_)
            | Self::Lost(_) => Level::Warning,
            Self::Received(..)
            | Self::Sent(..)
            | Self::DatagramReceived(..)
            | Self::DatagramSent(..) => Level::Debug,
        }
    }

    pub(super) fn message_id(&self) -> Option<&'static str> {
        Some(match self {
            Self::Ready { .. } => catalog::READY,
            Self::Adopted(_) => catalog::ADOPTED,
            Self::Stopping(_) => catalog::STOPPING,
            Self::Failed(_) => catalog::FAILED,
            Self::Began(_) => catalog::BEGAN,
            Self::Ended(..) => catalog::ENDED,
            Self::Summed(_) => catalog::SUMMED,
            Self::Repeated { event, .. } => event.message_id(),
            Self::ListenerFailed { .. } => catalog::LISTENER_FAILED,
            Self::UnknownVariable(_) => catalog::UNKNOWN_VARIABLE,
            Self::MemoryUnreadable(_) => catalog::MEMORY_UNREADABLE,
            Self::Lost(_) => catalog::LOST,
            Self::Received(..)
            | Self::Sent(..)
            | Self::DatagramReceived(..)
            | Self::DatagramSent(..)
            | Self::NoJournal(_) => return None,
        })
    }

    pub(super) fn fields(&self) -> Fields {
        match self {
            Self::Began(who) => who.fields(),
            Self::Ended(who, ending, totals) => Fields {
                received: Some(totals.received),
                sent: Some(totals.sent),
                messages: totals.messages,
                micros: Some(u64::try_from(totals.duration.as_micros()).unwrap_or(u64::MAX)),
                ending: Some(*ending),
                ..who.fields()
            },
            Self::Received(id, message) => Fields {
                conversation: Some(*id),
                received: Some(message.length()),
                ..Fields::default()
            },
            Self::Sent(id, answer) => {
                Fields { conversation: Some(*id), sent: Some(answer.length()), ..Fields::default() }
            }
            Self::DatagramReceived(envelope, message) => {
                Fields { received: Some(message.length()), ..envelope.fields() }
            }
            Self::DatagramSent(envelope, answer) => {
                Fields { sent: Some(answer.length()), ..envelope.fields() }
            }
            Self::Summed(summed) => Fields {
                received: Some(summed.received),
                sent: Some(summed.sent),
                ..Fields::default()
            },
            Self::Repeated { event, .. } => event.fields(),
            Self::Ready { .. }
            | Self::Adopted(_)
            | Self::Stopping(_)
            | Self::Failed(_)
            | Self::ListenerFailed { .. }
            | Self::UnknownVariable(_)
            | Self::MemoryUnreadable(_)
            | Self::NoJournal(_)
            | Self::Lost(_) => Fields::default(),
        }
    }
}

impl Event {
    /// Whether both are told together.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused(one, _), Self::Refused(two, _)) => one == two,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    fn message_id(&self) -> &'static str {
        match self {
            Self::Refused(..) => catalog::REFUSED,
            Self::CannotAccept(_) => catalog::CANNOT_ACCEPT,
            Self::StoreFull => catalog::STORE_FULL,
            Self::NotKept(_) => catalog::NOT_KEPT,
            Self::Contradiction(_) => catalog::CONTRADICTION,
            Self::Struck(..) => catalog::STRUCK,
            Self::StruckOut(_) => catalog::STRUCK_OUT,
        }
    }

    fn fields(&self) -> Fields {
        match self {
            Self::Refused(refusal, peer) => {
                Fields { refusal: Some(*refusal), peer: Some(*peer), ..Fields::default() }
            }
            Self::Contradiction(id) | Self::Struck(id, _) | Self::StruckOut(id) => {
                Fields { conversation: Some(*id), ..Fields::default() }
            }
            Self::CannotAccept(_) | Self::StoreFull | Self::NotKept(_) => Fields::default(),
        }
    }
}

impl Introduction {
    fn fields(&self) -> Fields {
        Fields {
            conversation: Some(self.id),
            transport: Some(self.transport),
            protocol: Some(self.protocol),
            local: Some(self.local),
            peer: Some(self.peer),
            ..Fields::default()
        }
    }
}

impl Envelope {
    fn fields(&self) -> Fields {
        Fields {
            transport: Some(self.transport),
            protocol: Some(self.protocol),
            local: Some(self.local),
            peer: Some(self.peer),
            ..Fields::default()
        }
    }
}
