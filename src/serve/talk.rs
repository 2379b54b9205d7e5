//! One conversation: what this process knows of it.

use crate::conversation::{Ending, Id};
use crate::echo::Protocol;
use crate::endpoint::{Party, Transport};
use crate::keep::{Done, Slot, Terms};
use crate::report::{Introduction, Recording};
use crate::socket::{self, Meter, Meters};
use crate::systemd::BagNumber;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Waker;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One conversation, as long as this process has it. What every message asks,
/// in two cache lines: with many peers, fetching those is what a turn costs.
#[repr(align(64))]
pub(super) struct Talk {
    pub(super) stream: Arc<OwnedFd>,
    pub(super) rare: Box<Rare>,
    pub(super) transport: Transport,
    pub(super) terms: Terms,
    pub(super) done: Done,
    pub(super) owed: Option<Box<Owed>>,
    /// When the peer was last heard, or last took the rest of an answer; kept only
    /// with an idle timeout, and where the kernel does not know it better.
    pub(super) heard: Instant,
    /// When it must be over, if ever.
    pub(super) until: Option<Instant>,
    /// When its task will be woken, if ever.
    pub(super) alarm: Option<Instant>,
    /// How it has ended already, by somebody else's hand.
    pub(super) ending: Option<Ending>,
    /// Whether it is being seen off.
    pub(super) parting: bool,
}

const _: () = assert!(size_of::<Option<Talk>>() == 128);

/// What is asked of a conversation when it begins and ends, and seldom between.
pub(super) struct Rare {
    pub(super) id: Id,
    pub(super) local: Party,
    pub(super) peer: Party,
    pub(super) bag: Option<BagNumber>,
    pub(super) recording: Recording,
    pub(super) task: Option<JoinHandle<()>>,
    /// Whom its alarm wakes.
    pub(super) waker: Option<Box<Waker>>,
}

// The runtime's part of a conversation is two blocks aligned to 128 bytes. What is
// here lies in the gap behind the first, and what is in boxes of its own in that
// behind the second; eight bytes more would cost a hundred.
const _: () = assert!(size_of::<Rare>() <= 104);

/// An answer that the peer has not taken whole.
pub(super) struct Owed {
    pub(super) due: Due,
    /// How much of the answer has been given.
    pub(super) skip: u64,
    /// When it first came up short: from then on the peer has the stall timeout.
    pub(super) since: Instant,
    /// When the peer last took any of it.
    pub(super) moved: Instant,
    /// Whether it may have killed the predecessor, and was not tried since.
    pub(super) suspected: bool,
}

/// What is owed.
pub(super) enum Due {
    /// The answer to input, from which it is computed again: where that lies, and
    /// how many bytes of it.
    Answer { slot: Slot, taken: usize },
    /// The answer at end of file. It has no input, but perhaps a meter, and that
    /// one is a slot's.
    Farewell { slot: Option<Slot> },
}

/// A connection that begins a conversation.
pub(super) struct Arrival {
    pub(super) stream: OwnedFd,
    pub(super) peer: Party,
    pub(super) transport: Transport,
    pub(super) protocol: Protocol,
    /// Whether its bytes are counted, by the kernel or by a meter.
    pub(super) counted: bool,
}

impl Due {
    /// The slot that it holds.
    pub(super) fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Answer { slot, .. } => Some(slot),
            Self::Farewell { slot } => slot.as_ref(),
        }
    }

    /// The slot that it held.
    pub(super) fn into_slot(self) -> Option<Slot> {
        match self {
            Self::Answer { slot, .. } => Some(slot),
            Self::Farewell { slot } => slot,
        }
    }
}

impl Talk {
    /// As records tell it.
    pub(super) fn who(&self) -> Introduction {
        let Rare { id, local, peer, .. } = *self.rare;
        let (transport, protocol) = (self.transport, self.terms.protocol);
        Introduction { id, transport, protocol, local, peer }
    }

    /// The meter that goes with a slot, if a successor will ask it: one that can
    /// find the conversation, and no counters of the kernel's.
    pub(super) fn meter(&self, meters: &Meters, slot: Option<&Slot>) -> Option<Meter> {
        let is_asked = socket::is_metered(self.transport) && self.rare.bag.is_some();
        if is_asked { meters.of(slot?.number()) } else { None }
    }
}
