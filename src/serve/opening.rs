//! Opening the desk: what a predecessor left goes on, and nobody notices but by
//! a pause.
//!
//! Nothing is written before it is known, and what is written can be written
//! again: a daemon that is killed here leaves what it found.

use super::admission::Places;
use super::alarms::Alarms;
use super::counting::{Counted, count};
use super::datagrams::Mail;
use super::desk;
use super::desk::{Desk, Signs, boot_time};
use super::missed::{self, record_of};
use super::suspect::Suspect;
use super::tidy;
use crate::config::Config;
use crate::conversation::{Counters, Ending, Id, Phase};
use crate::echo::Rule;
use crate::endpoint::Transport;
use crate::keep::{Memory, Noted, RULES, RuleIndex, SLOTS};
use crate::report::{self, Adopted};
use crate::socket::{self, Meters};
use crate::systemd::{self, BagNumber, Entry, Store, Tally};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

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
    /// be given to [`face`](super::face) when everybody else is being served.
    pub suspect: Option<Suspect>,
}

/// A connection in a bag.
#[derive(Debug)]
pub(super) struct Find {
    pub(super) id: Id,
    pub(super) entry: Entry,
    pub(super) bag: BagNumber,
    pub(super) stream: Arc<OwnedFd>,
    pub(super) transport: Transport,
    pub(super) counters: Counters,
}

/// Opens this thread's desk and goes on with what the predecessor's bags hold.
/// Needs the runtime, which will drive the conversations.
pub fn open_desk(opening: Opening, config: &Config) -> Opened {
    let Opening { mut memory, store, bags } = opening;
    let mut mail = Mail::open(&mut memory, &config.limits);
    let meters = Meters::new(memory.take_meters().expect("nobody has asked before"));
    let mut opened = Opened::default();
    let (mut finds, mut tallies) = look_into(bags, &memory, &meters, &mut opened.adopted);
    let mut in_use = rules_in_use(&memory, &finds);
    mail.use_rule(&mut in_use);
    if let Some(displaced) = memory.rule_to_displace(&config.rule, in_use) {
        mail.drop_rule(displaced);
        finds = end_those_of(displaced, &memory, finds, &mut opened.adopted);
    }
    let kept = memory.keep_rule(&config.rule, in_use);
    let rules = all_rules(&memory);
    let mut desk = Desk {
        hot: None,
        memory,
        meters,
        store: None,
        rules,
        rule: kept.rule,
        talks: tidy::table(),
        holders: vec![None; SLOTS as usize],
        suspect: None,
        records: Vec::new(),
        places: Places::new(&config.limits),
        mail,
        patience: config.patience,
        alarms: Alarms::new(),
        signs: Arc::<Signs>::default(),
        stirred: false,
        turns: 0,
    };
    for find in finds {
        let bag = find.bag;
        if !desk.receive(find, &mut opened) {
            opened.adopted.reset += 1;
        } else if let Some(tally) = tallies.get_mut(&bag) {
            tally.live += 1;
        }
    }
    desk.suspect = opened.suspect.as_ref().map(|suspect| suspect.find.entry.record);
    desk.forget_others();
    desk.hot = desk.hot.take().or_else(|| desk.memory.take_slot());
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
    desk::place(desk);
    opened
}

/// Descriptors for words to the manager, for bags and for records.
const SPARE: usize = 12;

/// How often a kernel that is short of memory is asked what lies in the store.
const ATTEMPTS: usize = 3;

/// Looks into the bags. Of a connection that lies in two, one counts; those that
/// are closed count as dead. Nobody is left to wait for ever: a bag that cannot be
/// looked into is removed, and a connection of which nothing can be known is reset.
fn look_into(
    bags: Vec<(BagNumber, OwnedFd)>,
    memory: &Memory,
    meters: &Meters,
    adopted: &mut Adopted,
) -> (Vec<Find>, BTreeMap<BagNumber, Tally>) {
    // What the daemon itself will need is not for connections: it could not even
    // say that it is ready.
    let spare = (0..SPARE).map_while(|_| memory.file().try_clone_to_owned().ok());
    let spare: Vec<_> = spare.collect();
    let (mut finds, mut tallies, mut ids) = (Vec::new(), BTreeMap::new(), HashSet::new());
    for (bag, descriptor) in bags {
        let tally: &mut Tally = tallies.entry(bag).or_default();
        let Some(peeked) = insist(|| systemd::peek(&descriptor)) else { continue };
        tally.total += peeked.total();
        // Those that could not be had, for want of descriptors, live as well: the
        // manager must not close them.
        tally.live += peeked.unreachable;
        for (entry, stream) in peeked.entries {
            let counted = insist(|| count(memory, meters, &entry, stream.as_fd()));
            let (Some(id), Some(counted)) = (NonZeroU64::new(entry.id).map(Id), counted) else {
                socket::disconnect(stream.as_fd());
                adopted.reset += 1;
                continue;
            };
            match counted {
                Counted::Known(transport, counters) if ids.insert(id) => {
                    let stream = Arc::new(stream);
                    let find = Find { id, entry, bag, stream, transport, counters };
                    if counters.phase == Phase::Closed {
                        missed::record_closed(memory, &find);
                    } else {
                        finds.push(find);
                    }
                }
                Counted::Lost if ids.insert(id) => {
                    report::contradiction(id);
                    socket::disconnect(stream.as_fd());
                    adopted.reset += 1;
                }
                Counted::Known(..) | Counted::Lost => {}
            }
        }
    }
    drop(spare);
    (finds, tallies)
}

fn insist<T>(mut ask: impl FnMut() -> io::Result<T>) -> Option<T> {
    (0..ATTEMPTS).find_map(|_| ask().ok())
}

impl Desk {
    /// Goes on with what was found, or puts it off as a suspect. Whether it goes on.
    fn receive(&mut self, find: Find, opened: &mut Opened) -> bool {
        self.memory.header().continue_after(find.id);
        let slot = match self.known(&find) {
            Some((_, noted)) if needs_slot(&find, &noted) => self.memory.claim_slot(noted.slot),
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

    /// Frees the records that belong to nobody who goes on, but a suspect's.
    fn forget_others(&mut self) {
        let reach = self.memory.header().reached();
        self.talks.resize_with(self.talks.len().max(reach as usize), || None);
        for number in (0..reach).rev() {
            if self.talks[number as usize].is_none() && self.suspect != Some(number) {
                self.memory.record(number).end();
                self.records.push(number);
            }
        }
    }
}

/// Whether it owes something for which it needs its slot: the input, or the meter.
fn needs_slot(find: &Find, noted: &Noted) -> bool {
    let is_farewell = noted.state.last() && find.counters.phase == Phase::PeerEnded;
    noted.unanswered(find.counters.taken) > 0 || (is_farewell && socket::is_metered(find.transport))
}

/// Ends the conversations of a rule before it is overwritten, so that nobody misreads
/// them, and returns the others.
fn end_those_of(
    rule: RuleIndex,
    memory: &Memory,
    finds: Vec<Find>,
    adopted: &mut Adopted,
) -> Vec<Find> {
    let (over, rest): (Vec<_>, _) =
        finds.into_iter().partition(|find| rule_of(memory, find) == Some(rule));
    for find in over {
        missed::reset(memory, &find, Ending::Left);
        adopted.reset += 1;
    }
    rest
}

fn all_rules(memory: &Memory) -> [Option<Rule>; RULES] {
    let mut rules = [const { None }; RULES];
    for (number, rule) in (0..).zip(&mut rules) {
        *rule = memory.rule(number);
    }
    rules
}

fn rules_in_use(memory: &Memory, finds: &[Find]) -> [bool; RULES] {
    let mut in_use = [false; RULES];
    for rule in finds.iter().filter_map(|find| rule_of(memory, find)) {
        if let Some(used) = in_use.get_mut(usize::from(rule)) {
            *used = true;
        }
    }
    in_use
}

/// By which rule it began, if its record says so.
fn rule_of(memory: &Memory, find: &Find) -> Option<RuleIndex> {
    record_of(memory, &find.entry)?.terms().map(|terms| terms.rule)
}
