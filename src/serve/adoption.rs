//! Adoption: what becomes of one conversation that was found in a bag. The
//! verdict is [`keep`](crate::keep)'s; here it is obeyed.

use super::converse;
use super::desk::{Desk, boot_time, source};
use super::missed::{self, record_of};
use super::opening::Find;
use super::talk::{Due, Owed, Rare, Talk};
use crate::conversation::{Counters, Ending, Phase};
use crate::echo::Protocol;
use crate::keep::{Done, Noted, RECORDS, Slot, Terms, Verdict, verdict};
use crate::report::{self, Adopted, Recording};
use crate::socket::{self, Watch};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a conversation goes on, and what is done by now.
enum GoingOn {
    /// Nothing is unanswered.
    Idle(Done),
    /// Of what is due, so many bytes were given.
    Owing(Done, Due, u64),
    /// Only its end is left.
    Finish(Done, Ending),
}

impl Desk {
    /// What its record says, if there is one and it is about this conversation.
    pub(super) fn known(&self, find: &Find) -> Option<(Terms, Noted)> {
        let record = record_of(&self.memory, &find.entry)?;
        let terms = record.terms()?;
        let is_it = terms.protocol as u8 == find.entry.protocol;
        let has_rule = self.rules.get(usize::from(terms.rule)).is_some_and(Option::is_some);
        (is_it && has_rule).then(|| (terms, record.noted()))
    }

    /// Goes on with one conversation. Whether it goes on; else it is reset.
    pub(super) fn adopt(&mut self, find: Find, slot: Option<Slot>, adopted: &mut Adopted) -> bool {
        let judged = match self.known(&find) {
            Some((terms, noted)) => self.judge(&find, terms, &noted, slot),
            None => self.judge_stranger(&find),
        };
        let Some((terms, going_on)) = judged else {
            report::contradiction(find.id);
            missed::reset(&self.memory, &find, Ending::Contradiction);
            return false;
        };
        adopted.conversations += 1;
        adopted.mid_answer += u64::from(matches!(going_on, GoingOn::Owing(..)));
        self.seat(find, terms, going_on)
    }

    fn judge(
        &mut self,
        find: &Find,
        terms: Terms,
        noted: &Noted,
        mut slot: Option<Slot>,
    ) -> Option<(Terms, GoingOn)> {
        let rule = self.rules[usize::from(terms.rule)].as_ref()?;
        let record = self.memory.record(find.entry.record);
        let (taken, given) = (find.counters.taken, find.counters.given);
        let settled = Done { taken, given, state: noted.state, messages: noted.messages };
        let bytes = slot.as_mut().map(Slot::bytes);
        let going_on = match verdict(noted, &find.counters, terms.protocol, rule, bytes) {
            Verdict::Idle => {
                record.settle(given);
                Some(GoingOn::Idle(settled))
            }
            Verdict::Answered(done) => {
                record.note(&done);
                let ended = done.state.ended();
                Some(if ended {
                    GoingOn::Finish(done, Ending::ExitWord)
                } else {
                    GoingOn::Idle(done)
                })
            }
            Verdict::Resume { taken: unanswered, skip } => {
                let answered = taken - unanswered as u64;
                let done = Done { taken: answered, given: noted.w0, ..settled };
                slot.take()
                    .map(|slot| GoingOn::Owing(done, Due::Answer { slot, taken: unanswered }, skip))
            }
            Verdict::Farewell { skip } => {
                let due = Due::Farewell { slot: slot.take() };
                // What is given must pass the meter that knows of the rest.
                let is_sound = due.slot().is_some() || !socket::is_metered(find.transport);
                let done = Done { given: noted.w0, ..settled };
                is_sound.then_some(GoingOn::Owing(done, due, skip))
            }
            Verdict::Finish if noted.state.ended() => {
                Some(GoingOn::Finish(settled, Ending::ExitWord))
            }
            Verdict::Finish => Some(GoingOn::Finish(settled, Ending::EndOfFile)),
            Verdict::Gone | Verdict::Contradiction => None,
        };
        if let Some(slot) = slot {
            self.free_slot(slot);
        }
        Some((terms, going_on?))
    }

    /// Judges a conversation without a readable record: it goes on where what
    /// comes next cannot depend on what came before.
    fn judge_stranger(&mut self, find: &Find) -> Option<(Terms, GoingOn)> {
        let protocol = Protocol::from_u8(find.entry.protocol)?;
        let terms = Terms { protocol, rule: self.rule, born: boot_time() };
        let Counters { taken, given, phase } = find.counters;
        let done = Done { taken, given, ..Done::default() };
        let number = find.entry.record;
        let is_free = number < RECORDS
            && self.talks.get(number as usize).is_none_or(Option::is_none)
            && self.memory.record(number).id().is_none_or(|id| id == find.id);
        if is_free && phase == Phase::WeEnded {
            return Some((terms, GoingOn::Finish(done, Ending::EndOfFile)));
        }
        let is_new = taken == 0 && given == 0;
        let is_plain = protocol == Protocol::Rfc862 && taken == given;
        if !(is_new || is_plain) || !is_free {
            return None;
        }
        self.memory.record(number).begin(find.id, terms, &done);
        Some((terms, GoingOn::Idle(done)))
    }

    /// Gives an adopted conversation its place, and its task.
    fn seat(&mut self, find: Find, terms: Terms, going_on: GoingOn) -> bool {
        // A predecessor that left may have asked for a reset at the close.
        socket::reset_on_close(find.stream.as_fd(), None);
        let Ok(watch) = Watch::connection(Arc::clone(&find.stream)) else {
            missed::reset(&self.memory, &find, Ending::Left);
            if let GoingOn::Owing(_, due, _) = going_on
                && let Some(slot) = due.into_slot()
            {
                self.free_slot(slot);
            }
            return false;
        };
        let Find { id, entry, bag, stream, transport, .. } = find;
        let number = entry.record;
        let (now, fd) = (Instant::now(), stream.as_fd());
        let (local, peer) = (socket::local(fd), socket::peer(fd));
        let quiet = socket::idle_time(fd).unwrap_or_default();
        let age = Duration::from_nanos(boot_time().saturating_sub(terms.born));
        let lifetime = self.patience.lifetime();
        let recorded = self.memory.record(number).is_recorded();
        let recording = if recorded { Recording::Single } else { Recording::Summed };
        self.places.resume(source(&peer));
        let suspected = self.memory.header().turn() == Some(number);
        let (done, owed, ending) = match going_on {
            GoingOn::Idle(done) => (done, None, None),
            GoingOn::Owing(done, due, skip) => {
                if let Some(slot) = due.slot() {
                    self.holders[slot.number() as usize] = Some(number);
                }
                let owed = Owed { due, skip, since: now, moved: now, suspected };
                (done, Some(Box::new(owed)), None)
            }
            GoingOn::Finish(done, ending) => {
                // Now: what a meter says of it is known no longer than until the next
                // turn, and only its end says that nothing is owed.
                socket::shut_down(stream.as_fd());
                (done, None, Some(ending))
            }
        };
        let task = Some(match ending {
            None => tokio::spawn(converse::converse(watch, number)),
            Some(ending) => tokio::spawn(converse::finish(watch, number, ending)),
        });
        if self.talks.len() <= number as usize {
            self.talks.resize_with(number as usize + 1, || None);
            self.memory.header().reach(number);
        }
        self.talks[number as usize] = Some(Talk {
            stream,
            rare: Box::new(Rare { id, local, peer, bag: Some(bag), recording, task, waker: None }),
            transport,
            terms,
            done,
            owed,
            heard: now.checked_sub(quiet).unwrap_or(now),
            until: lifetime.map(|lifetime| now + lifetime.saturating_sub(age)),
            alarm: None,
            ending: None,
            parting: ending.is_some(),
        });
        true
    }
}
