//! Opening the desk: what a predecessor left goes on, and nobody notices but by
//! a pause.
//!
//! Nothing is written before it is known, and what is written can be written
//! again: a daemon that is killed here leaves what it found.

use super::admission::Places;
use super::desk::{Desk, Owed, Signs, Talk, boot_time, place, source};
use super::{converse, desk};
use crate::config::Config;
use crate::conversation::{Counters, Ending, Id, Phase};
use crate::echo::Protocol;
use crate::endpoint::Transport;
use crate::keep::{
    Done, Memory, Noted, RECORDS, RULES, RuleIndex, SLOTS, Slot, Terms, Verdict, verdict,
};
use crate::report::{self, Adopted, Introduction, Recording};
use crate::socket::{self, Watch};
use crate::systemd::{self, BagNumber, Entry, Store, Tally};
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a desk is opened with.
#[derive(Debug)]
pub struct Opening {
    /// A fresh memory file, or a predecessor's.
    pub memory: Memory,
    /// Where conversations outlive the process, if anywhere.
    pub store: Option<Store>,
    /// The predecessor's bags.
    pub bags: Vec<(BagNumber, OwnedFd)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Opened {
    /// For the record about it.
    pub adopted: Adopted,
    /// The conversation whose answer may have killed the predecessor, if any: to
    /// be given to [`face`] when everybody else is being served.
    pub suspect: Option<Suspect>,
}

/// A conversation whose answer may have killed the predecessor.
#[derive(Debug)]
pub struct Suspect {
    find: Find,
    slot: Option<Slot>,
}

/// A connection in a bag.
#[derive(Debug)]
struct Find {
    id: Id,
    entry: Entry,
    bag: BagNumber,
    stream: OwnedFd,
    counters: Counters,
}

/// Opens this thread's desk and goes on with what the predecessor's bags hold.
/// Needs the runtime, which will drive the conversations.
pub fn open_desk(opening: Opening, config: &Config) -> Opened {
    let Opening { memory, store, bags } = opening;
    let (finds, mut tallies) = look_into(bags);
    let in_use = rules_in_use(&memory, &finds);
    let displaced = memory.rule_to_displace(&config.rule, in_use);
    let kept = memory.keep_rule(&config.rule, in_use);
    let mut rules = [const { None }; RULES];
    for (number, rule) in (0..).zip(&mut rules) {
        *rule = memory.rule(number);
    }
    let mut desk = Desk {
        hot: None,
        memory,
        store: None,
        rules,
        rule: kept.rule,
        talks: Vec::new(),
        holders: vec![None; SLOTS as usize],
        records: Vec::new(),
        places: Places::new(&config.limits),
        patience: config.patience,
        signs: Arc::<Signs>::default(),
        stirred: false,
        turns: 0,
    };
    let mut opened = Opened::default();
    for find in finds {
        let bag = find.bag;
        if desk.is_displaced(&find, displaced) || !desk.receive(find, &mut opened) {
            opened.adopted.reset += 1;
        } else if let Some(tally) = tallies.get_mut(&bag) {
            tally.live += 1;
        }
    }
    desk.forget_others(opened.suspect.as_ref().map(|suspect| suspect.find.entry.record));
    desk.hot = desk.memory.take_slot();
    if desk.hot.is_none() {
        desk.signs.crowd.notify_one();
    }
    desk.store = store.map(|mut store| {
        store.resume(tallies);
        store
    });
    if let Some(left) = desk.memory.header().take_left() {
        let pause = boot_time().saturating_sub(left.get());
        opened.adopted.pause = Some(Duration::from_nanos(pause));
    }
    place(desk);
    opened
}

/// Goes on with the conversation whose answer may have killed the predecessor.
/// It has a strike before its answer is computed, which the next note clears;
/// after three it is reset. Call it when everybody else is being served.
pub fn face(suspect: Suspect) {
    desk::with(|desk| {
        let Suspect { find, slot } = suspect;
        let (id, bag, number) = (find.id, find.bag, find.entry.record);
        let record = desk.memory.record(number);
        let header = desk.memory.header();
        let goes_on = if record.strikes() < STRIKES_MAX {
            report::struck(id, record.strike());
            header.begin_turn(number);
            let goes_on = desk.adopt(find, slot, &mut Adopted::default());
            header.end_turn();
            goes_on
        } else {
            report::struck_out(id);
            socket::disconnect(find.stream.as_fd());
            false
        };
        if !goes_on {
            record.end();
            desk.records.push(number);
            if let Some(store) = &mut desk.store {
                store.remove(bag);
            }
        }
    });
}

/// How often the daemon may die over one answer.
const STRIKES_MAX: u8 = 3;

/// Looks into the bags. Of a connection that lies in two, one counts; those that
/// are closed count as dead.
fn look_into(bags: Vec<(BagNumber, OwnedFd)>) -> (Vec<Find>, BTreeMap<BagNumber, Tally>) {
    let (mut finds, mut tallies, mut ids) = (Vec::new(), BTreeMap::new(), HashSet::new());
    for (bag, descriptor) in bags {
        let Ok(peeked) = systemd::peek(&descriptor) else { continue };
        let tally: &mut Tally = tallies.entry(bag).or_default();
        tally.total += peeked.total();
        for (entry, stream) in peeked.entries {
            let counters = socket::counters(stream.as_fd());
            let (Some(id), Ok(counters)) = (NonZeroU64::new(entry.id).map(Id), counters) else {
                continue;
            };
            if counters.phase != Phase::Closed && ids.insert(id) {
                finds.push(Find { id, entry, bag, stream, counters });
            }
        }
    }
    (finds, tallies)
}

impl Desk {
    /// Goes on with what was found, or puts it off as a suspect. Whether it goes on.
    fn receive(&mut self, find: Find, opened: &mut Opened) -> bool {
        self.memory.header().continue_after(find.id);
        let slot = match self.known(&find) {
            Some((_, noted)) if noted.unanswered(find.counters.taken) > 0 => {
                self.memory.claim_slot(noted.slot)
            }
            _ => None,
        };
        if self.is_suspect(&find) {
            // It may yet turn out that it cannot go on; that has a record of its own.
            opened.adopted.conversations += 1;
            opened.adopted.mid_answer += 1;
            opened.suspect = Some(Suspect { find, slot });
            return true;
        }
        self.adopt(find, slot, &mut opened.adopted)
    }

    /// Whether its answer was being computed when the predecessor died. Answers
    /// that merely wait for their peer are not.
    fn is_suspect(&self, find: &Find) -> bool {
        self.memory.header().turn() == Some(find.entry.record)
            && find.counters.phase != Phase::WeEnded
            && self.known(find).is_some_and(|(_, noted)| {
                noted.state.last() || noted.unanswered(find.counters.taken) > 0
            })
    }

    /// What its record says, if there is one and it is about this conversation.
    fn known(&self, find: &Find) -> Option<(Terms, Noted)> {
        if find.entry.record >= RECORDS {
            return None;
        }
        let record = self.memory.record(find.entry.record);
        let terms = record.terms()?;
        let is_it = record.id() == Some(find.id) && terms.protocol as u8 == find.entry.protocol;
        let has_rule = self.rules.get(usize::from(terms.rule)).is_some_and(Option::is_some);
        (is_it && has_rule).then(|| (terms, record.noted()))
    }

    /// Whether its rule had to make room for the one in force.
    fn is_displaced(&self, find: &Find, displaced: Option<RuleIndex>) -> bool {
        let displaced = displaced.is_some()
            && self.known(find).is_some_and(|(terms, _)| Some(terms.rule) == displaced);
        if displaced {
            socket::disconnect(find.stream.as_fd());
        }
        displaced
    }

    /// Goes on with one conversation. Whether it goes on; else it is reset.
    fn adopt(&mut self, find: Find, slot: Option<Slot>, adopted: &mut Adopted) -> bool {
        let judged = match self.known(&find) {
            Some((terms, noted)) => self.judge(&find, terms, &noted, slot),
            None => self.judge_stranger(&find),
        };
        let Some((terms, going_on)) = judged else {
            report::contradiction(find.id);
            socket::disconnect(find.stream.as_fd());
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
                slot.take().map(|slot| GoingOn::Owing(done, Some((slot, unanswered)), skip))
            }
            Verdict::Farewell { skip } => {
                Some(GoingOn::Owing(Done { given: noted.w0, ..settled }, None, skip))
            }
            Verdict::Finish if noted.state.ended() => {
                Some(GoingOn::Finish(settled, Ending::ExitWord))
            }
            Verdict::Finish => Some(GoingOn::Finish(settled, Ending::EndOfFile)),
            Verdict::Gone | Verdict::Contradiction => None,
        };
        if let Some(slot) = slot {
            self.memory.free_slot(slot);
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
        if phase == Phase::WeEnded {
            return Some((terms, GoingOn::Finish(done, Ending::EndOfFile)));
        }
        let is_new = taken == 0 && given == 0;
        let is_plain = protocol == Protocol::Rfc862 && taken == given;
        let number = find.entry.record;
        let is_free = number < RECORDS
            && self.talks.get(number as usize).is_none_or(Option::is_none)
            && self.memory.record(number).id().is_none_or(|id| id == find.id);
        if !(is_new || is_plain) || !is_free {
            return None;
        }
        self.memory.record(number).begin(find.id, terms, &done);
        Some((terms, GoingOn::Idle(done)))
    }

    /// Gives an adopted conversation its place, and its task.
    fn seat(&mut self, find: Find, terms: Terms, going_on: GoingOn) -> bool {
        let Find { id, entry, bag, stream, .. } = find;
        let number = entry.record;
        // A predecessor that left may have asked for a reset at the close.
        socket::reset_on_close(stream.as_fd(), None);
        let stream = Arc::new(stream);
        let Ok(watch) = Watch::connection(Arc::clone(&stream)) else { return false };
        let (now, fd) = (Instant::now(), stream.as_fd());
        let who = Introduction {
            id,
            transport: Transport::Tcp,
            protocol: terms.protocol,
            local: socket::local(fd),
            peer: socket::peer(fd),
        };
        let quiet = socket::idle_time(fd).unwrap_or_default();
        let age = Duration::from_nanos(boot_time().saturating_sub(terms.born));
        let lifetime = self.patience.lifetime();
        let recorded = self.memory.record(number).is_recorded();
        self.places.resume(source(&who.peer));
        let (done, owed, ending) = match going_on {
            GoingOn::Idle(done) => (done, None, None),
            GoingOn::Owing(done, input, skip) => {
                if let Some((slot, _)) = &input {
                    self.holders[slot.number() as usize] = Some(number);
                }
                (done, Some(Box::new(Owed { input, skip, since: now, moved: now })), None)
            }
            GoingOn::Finish(done, ending) => (done, None, Some(ending)),
        };
        let task = match ending {
            None => tokio::spawn(converse::converse(watch, number)),
            Some(ending) => tokio::spawn(converse::finish(watch, number, ending)),
        };
        if self.talks.len() <= number as usize {
            self.talks.resize_with(number as usize + 1, || None);
            self.memory.header().reach(number);
        }
        self.talks[number as usize] = Some(Talk {
            stream,
            who,
            terms,
            done,
            owed,
            heard: now.checked_sub(quiet).unwrap_or(now),
            until: lifetime.map(|lifetime| now + lifetime.saturating_sub(age)),
            bag: Some(bag),
            recording: if recorded { Recording::Single } else { Recording::Summed },
            ending: None,
            parting: ending.is_some(),
            task: Some(task),
        });
        true
    }

    /// Frees the records that belong to nobody who goes on, but a suspect's.
    fn forget_others(&mut self, suspect: Option<u32>) {
        let reach = self.memory.header().reached().min(RECORDS);
        self.talks.resize_with(self.talks.len().max(reach as usize), || None);
        for number in (0..reach).rev() {
            if self.talks[number as usize].is_none() && suspect != Some(number) {
                self.memory.record(number).end();
                self.records.push(number);
            }
        }
    }
}

/// How a conversation goes on, and what is done by now.
enum GoingOn {
    /// Nothing is unanswered.
    Idle(Done),
    /// An answer to this input, or the one at end of file, was given up to here.
    Owing(Done, Option<(Slot, usize)>, u64),
    /// Only its end is left.
    Finish(Done, Ending),
}

fn rules_in_use(memory: &Memory, finds: &[Find]) -> [bool; RULES] {
    let mut in_use = [false; RULES];
    for find in finds.iter().filter(|find| find.entry.record < RECORDS) {
        let record = memory.record(find.entry.record);
        let terms = record.terms().filter(|_| record.id() == Some(find.id));
        if let Some(used) = terms.and_then(|terms| in_use.get_mut(usize::from(terms.rule))) {
            *used = true;
        }
    }
    in_use
}
