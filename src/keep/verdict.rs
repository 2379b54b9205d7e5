//! What a successor does with a conversation: a pure verdict on what the record
//! says and what the kernel counted.

use super::layout::SLOT_SIZE;
use super::record::{Done, Noted};
use crate::conversation::{Counters, Phase};
use crate::echo::{self, Protocol, Rule};

/// What a successor does. It obeys, and asks again after [`Verdict::Answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is unanswered: take where the answers ended from the kernel, and
    /// wait for more.
    Idle,
    /// The whole answer was given, and not noted: note it.
    Answered(Done),
    /// Answer the slot's first `taken` bytes again, without the first `skip`
    /// bytes of the answer.
    Resume {
        /// Bytes of input in the slot.
        taken: usize,
        /// Bytes of the answer that the peer's socket has already.
        skip: u64,
    },
    /// Give the answer at end of file, without its first `skip` bytes.
    Farewell {
        /// Bytes of the answer that the peer's socket has already.
        skip: u64,
    },
    /// Everything owed was given: end our side, if that has not been done, and
    /// see the conversation off.
    Finish,
    /// Both sides have ended, or a reset did.
    Gone,
    /// The record and the kernel cannot both be right.
    Contradiction,
}

/// No conversation has carried so many bytes: at ten gigabytes a second it would
/// take 29 years. Below it there is room to count on.
const TOO_MANY: u64 = 1 << 63;

/// Judges one conversation. `slot` holds the bytes of the slot that the record
/// names, if nobody else claimed it; it is needed only where something is
/// unanswered.
pub fn verdict(
    noted: &Noted,
    counters: &Counters,
    protocol: Protocol,
    rule: &Rule,
    slot: Option<&mut [u8]>,
) -> Verdict {
    match counters.phase {
        Phase::Closed => return Verdict::Gone,
        // Our end of file is only queued when nothing is owed.
        Phase::WeEnded => return Verdict::Finish,
        Phase::Open | Phase::PeerEnded => {}
    }
    let is_countable = counters.taken.max(counters.given) < TOO_MANY;
    if !is_countable || !noted.state.is_valid(protocol, rule) {
        return Verdict::Contradiction;
    }
    match noted.unanswered(counters.taken) {
        0 if noted.state.last() => farewell(noted, counters, protocol, rule),
        0 if noted.state.ended() => Verdict::Finish,
        0 => Verdict::Idle,
        _ if noted.state.last() || noted.state.ended() => Verdict::Contradiction,
        // The count is short; no more can be unanswered than was ever taken.
        taken if taken > counters.taken => Verdict::Contradiction,
        taken => match usize::try_from(taken) {
            Ok(taken) if taken <= echo::read_max(rule, protocol) && taken <= SLOT_SIZE => slot
                .map_or(Verdict::Contradiction, |slot| {
                    unfinished(noted, counters, protocol, rule, slot, taken)
                }),
            _ => Verdict::Contradiction,
        },
    }
}

fn unfinished(
    noted: &Noted,
    counters: &Counters,
    protocol: Protocol,
    rule: &Rule,
    slot: &mut [u8],
    taken: usize,
) -> Verdict {
    let mut answer = echo::answer(rule, protocol, noted.state, slot, taken);
    let length: u64 = answer.by_ref().map(|piece| piece.len() as u64).sum();
    let outcome = answer.outcome();
    match counters.given.checked_sub(noted.w0) {
        Some(skip) if skip == length => Verdict::Answered(Done {
            taken: counters.taken,
            given: counters.given,
            state: outcome.state,
            messages: noted.messages.wrapping_add(outcome.messages.into()),
        }),
        Some(skip) if skip < length => Verdict::Resume { taken, skip },
        _ => Verdict::Contradiction,
    }
}

fn farewell(noted: &Noted, counters: &Counters, protocol: Protocol, rule: &Rule) -> Verdict {
    let length: u64 =
        echo::farewell(rule, protocol, noted.state).map(|piece| piece.len() as u64).sum();
    match counters.given.checked_sub(noted.w0) {
        Some(skip) if skip == length => Verdict::Finish,
        Some(skip) if skip < length => Verdict::Farewell { skip },
        _ => Verdict::Contradiction,
    }
}

#[cfg(test)]
mod tests;
