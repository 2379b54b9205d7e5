//! A model of a process that is killed at every step, and of its successors.
//!
//! The model does to a real [`Record`] what a turn does, one effect at a time.
//! A fuse burns with each effect; when it is out, the process is dead, and the
//! next one starts with a verdict. In the end the peer must have every answer
//! once, whole and in order.
//!
//! It is long because the model and those who kill it share every field.

use super::*;
use crate::conversation::Id;
use crate::keep::{ORDER, Record, Step, Terms};
use proptest::prelude::*;
use std::num::NonZeroU64;

struct Killed;

/// One conversation as the kernel and the record have it, and how it is run.
struct World<'a> {
    rule: &'a Rule,
    protocol: Protocol,
    input: &'a [u8],
    /// How many bytes one read, and one write, moves at most.
    stride: (usize, usize),
    order: [Step; 3],
    record: Record,
    slot: Vec<u8>,
    taken: usize,
    /// Where each read ended: what `reply` calls a message.
    reads: Vec<usize>,
    output: Vec<u8>,
    we_ended: bool,
    fuse: usize,
    /// Which verdicts successors came to.
    seen: Vec<Verdict>,
}

impl<'a> World<'a> {
    fn new(
        protocol: Protocol,
        rule: &'a Rule,
        input: &'a [u8],
        stride: (usize, usize),
        order: [Step; 3],
    ) -> Self {
        let record = Record::default();
        let terms = Terms { protocol, rule: 0, born: 0 };
        record.begin(Id(NonZeroU64::MIN), terms, &Done::default());
        let slot = vec![0; SLOT_SIZE];
        let (reads, output, seen) = (Vec::new(), Vec::new(), Vec::new());
        let (taken, we_ended, fuse) = (0, false, usize::MAX);
        Self {
            rule,
            protocol,
            input,
            stride,
            order,
            record,
            slot,
            taken,
            reads,
            output,
            we_ended,
            fuse,
            seen,
        }
    }

    /// One effect that outlives the process, or its death just before.
    fn burn(&mut self) -> Result<(), Killed> {
        self.fuse = self.fuse.checked_sub(1).ok_or(Killed)?;
        Ok(())
    }

    /// Lives until the conversation is over, or the fuse is out.
    fn live(&mut self) -> Result<(), Killed> {
        while !self.we_ended {
            match self.verdict() {
                Verdict::Idle => {
                    self.burn()?;
                    self.record.settle(self.output.len() as u64);
                    self.turns()?;
                }
                Verdict::Answered(done) => self.note(done)?,
                Verdict::Resume { taken, skip } => self.answer(taken, skip)?,
                Verdict::Farewell { skip } => self.farewell(skip)?,
                Verdict::Finish => self.shut_down()?,
                verdict @ (Verdict::Gone | Verdict::Contradiction) => {
                    panic!("{verdict:?} for {:?}, {} taken", self.record.noted(), self.taken)
                }
            }
        }
        Ok(())
    }

    fn verdict(&mut self) -> Verdict {
        let counters = Counters {
            taken: self.taken as u64,
            given: self.output.len() as u64,
            phase: if self.we_ended { Phase::WeEnded } else { Phase::Open },
        };
        let noted = self.record.noted();
        let verdict = verdict(&noted, &counters, self.protocol, self.rule, Some(&mut self.slot));
        self.seen.push(verdict);
        verdict
    }

    fn turns(&mut self) -> Result<(), Killed> {
        while self.taken < self.input.len() {
            let most = self.stride.0.min(echo::read_max(self.rule, self.protocol));
            let end = self.input.len().min(self.taken + most);
            let start = self.taken;
            self.reads.push(start);
            // A read that is killed half-way counts what it copied, so it
            // might end after each byte; and a killed process has no more.
            for at in start..end {
                let torn = self.burn();
                if torn.is_err() && at == start {
                    self.reads.pop();
                }
                torn?;
                self.slot[at - start] = self.input[at];
                self.taken += 1;
                *self.reads.last_mut().expect("just pushed") = self.taken;
            }
            self.answer(end - start, 0)?;
            if self.record.noted().state.ended() {
                return self.shut_down();
            }
        }
        let state = self.record.noted().state;
        if !echo::farewell(self.rule, self.protocol, state).is_empty() {
            self.burn()?;
            self.record.mark_last();
        }
        self.farewell(0)
    }

    fn answer(&mut self, taken: usize, skip: u64) -> Result<(), Killed> {
        let noted = self.record.noted();
        let mut slot = std::mem::take(&mut self.slot);
        let mut answer = echo::answer(self.rule, self.protocol, noted.state, &mut slot, taken);
        let bytes: Vec<u8> = answer.by_ref().flatten().copied().collect();
        let outcome = answer.outcome();
        self.slot = slot;
        self.give(&bytes[usize::try_from(skip).unwrap()..])?;
        self.note(Done {
            taken: self.taken as u64,
            given: self.output.len() as u64,
            state: outcome.state,
            messages: noted.messages + u64::from(outcome.messages),
        })
    }

    fn give(&mut self, bytes: &[u8]) -> Result<(), Killed> {
        for piece in bytes.chunks(self.stride.1) {
            self.burn()?;
            self.output.extend_from_slice(piece);
        }
        Ok(())
    }

    fn note(&mut self, done: Done) -> Result<(), Killed> {
        for step in self.order {
            self.burn()?;
            self.record.step(step, &done);
        }
        Ok(())
    }

    fn farewell(&mut self, skip: u64) -> Result<(), Killed> {
        let state = self.record.noted().state;
        let farewell = echo::farewell(self.rule, self.protocol, state);
        let bytes: Vec<u8> = farewell.flatten().copied().collect();
        self.give(&bytes[usize::try_from(skip).unwrap()..])?;
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), Killed> {
        self.burn()?;
        self.we_ended = true;
        Ok(())
    }

    /// What the peer must have, given how the reads fell.
    fn expected(&self) -> Vec<u8> {
        let mut output = Vec::new();
        let (mut state, mut start) = (echo::State::START, 0);
        for &end in &self.reads {
            let mut slot = vec![0; SLOT_SIZE];
            slot[..end - start].copy_from_slice(&self.input[start..end]);
            let mut answer = echo::answer(self.rule, self.protocol, state, &mut slot, end - start);
            answer.by_ref().for_each(|piece| output.extend_from_slice(piece));
            state = answer.outcome().state;
            if state.ended() {
                return output;
            }
            start = end;
        }
        echo::farewell(self.rule, self.protocol, state)
            .for_each(|piece| output.extend_from_slice(piece));
        output
    }

    /// Lives, dies when each fuse is out, and lives on to the end.
    fn is_exact(&mut self, fuses: &[usize]) -> bool {
        for &fuse in fuses {
            self.fuse = fuse;
            if self.live().is_ok() {
                break;
            }
        }
        self.fuse = usize::MAX;
        let _ = self.live();
        self.output == self.expected()
    }
}

fn rules() -> [Rule; 2] {
    let tutorial = Rule::new("-回".as_bytes(), b"exit", 4).unwrap();
    let plain = Rule::new(b"", b"", 3).unwrap();
    [tutorial, plain]
}

const INPUTS: [&[u8]; 9] = [
    b"",
    b"a",
    b"ab\ncd\n",
    b"a\r\nb\r\r\nc",
    b"ex\nexi",
    b"exit",
    b"hi\nexit\nmore",
    b"exit\r\n",
    b"abcdexit\n",
];

/// Kills each life at every step, and its successor at every step too.
fn every_kill(order: [Step; 3], mut check: impl FnMut(&World<'_>, bool)) {
    for (protocol, rule) in
        Protocol::ALL.into_iter().flat_map(|protocol| rules().map(|rule| (protocol, rule)))
    {
        for (input, stride) in
            INPUTS.into_iter().flat_map(|input| [(9, 9), (2, 1), (1, 3)].map(|s| (input, s)))
        {
            let mut first = 0;
            loop {
                let mut over = true;
                for second in 0..12 {
                    let mut world = World::new(protocol, &rule, input, stride, order);
                    let exact = world.is_exact(&[first, second]);
                    over &= world.seen.len() == 1;
                    check(&world, exact);
                }
                if over {
                    break;
                }
                first += 1;
            }
        }
    }
}

#[test]
fn a_kill_at_any_step_loses_doubles_and_reorders_nothing() {
    let (mut kills, mut rows) = (0_u64, [0_u64; 5]);
    every_kill(ORDER, |world, exact| {
        assert!(
            exact,
            "{} {:?} by {:?}: {:?} instead of {:?} after {:?}",
            world.protocol,
            world.input.escape_ascii().to_string(),
            world.stride,
            world.output.escape_ascii().to_string(),
            world.expected().escape_ascii().to_string(),
            world.seen,
        );
        kills += world.seen.len() as u64;
        for verdict in &world.seen {
            rows[match verdict {
                Verdict::Idle => 0,
                Verdict::Answered(_) => 1,
                Verdict::Resume { .. } => 2,
                Verdict::Farewell { .. } => 3,
                _ => 4,
            }] += 1;
        }
    });
    println!("{kills} verdicts; idle, answered, resume, farewell, finish: {rows:?}");
    assert!(rows.iter().all(|&row| row > 100), "a row is hardly tried: {rows:?}");
}

#[test]
fn two_notes_swapped_double_an_answer() {
    let [mark, given, messages] = ORDER;
    let mut wrong = 0;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        every_kill([given, mark, messages], |_, exact| wrong += u32::from(!exact));
    }));
    assert!(wrong > 0 || result.is_err(), "the model cannot tell the order of the notes");
}

#[test]
fn an_end_noted_before_its_answer_was_given_is_a_contradiction() {
    let [rule, _] = rules();
    let ended = Noted { c0: 4, state: ended_state(&rule), w0: 0, slot: 0, messages: 0 };
    let counters = Counters { taken: 6, given: 0, phase: Phase::Open };
    let mut slot = vec![0; SLOT_SIZE];
    let verdict = verdict(&ended, &counters, Protocol::Line, &rule, Some(&mut slot));
    assert_eq!(verdict, Verdict::Contradiction);
}

fn ended_state(rule: &Rule) -> echo::State {
    let mut slot = vec![0; SLOT_SIZE];
    slot[..5].copy_from_slice(b"exit\n");
    let mut answer = echo::answer(rule, Protocol::Line, echo::State::START, &mut slot, 5);
    answer.by_ref().for_each(drop);
    answer.outcome().state
}

#[test]
fn more_unanswered_than_a_read_takes_is_a_contradiction() {
    let [rule, _] = rules();
    let noted = Noted { c0: 0, state: echo::State::START, w0: 0, slot: 0, messages: 0 };
    for (taken, expected) in
        [(4, Verdict::Resume { taken: 4, skip: 0 }), (5, Verdict::Contradiction)]
    {
        let counters = Counters { taken, given: 0, phase: Phase::Open };
        let mut slot = vec![b'a'; SLOT_SIZE];
        let verdict = verdict(&noted, &counters, Protocol::Reply, &rule, Some(&mut slot));
        assert_eq!(verdict, expected);
    }
}

#[test]
fn more_than_was_ever_taken_or_given_is_a_contradiction() {
    let [rule, _] = rules();
    let start = echo::State::START;
    let open = Counters { taken: 3, given: 4, phase: Phase::Open };
    // Each count would pass where it may wrap.
    for (c0, w0) in [((1 << 48) - 1, 0), (0, u64::MAX), (0, 5)] {
        let noted = Noted { c0, state: start, w0, slot: 0, messages: 0 };
        let mut slot = vec![b'a'; SLOT_SIZE];
        let verdict = verdict(&noted, &open, Protocol::Line, &rule, Some(&mut slot));
        assert_eq!(verdict, Verdict::Contradiction, "{c0} {w0}");
    }
    let mut slot = vec![b'a'; SLOT_SIZE];
    let mut answer = echo::answer(&rule, Protocol::Line, start, &mut slot, 1);
    answer.by_ref().for_each(drop);
    let state = answer.outcome().state.with_last();
    let noted = Noted { c0: 3, state, w0: u64::MAX, slot: 0, messages: 0 };
    let ended = Counters { taken: 3, given: 0, phase: Phase::PeerEnded };
    assert_eq!(verdict(&noted, &ended, Protocol::Line, &rule, None), Verdict::Contradiction);
}

#[test]
fn counts_go_on_after_they_wrapped() {
    let [rule, _] = rules();
    let record = Record::default();
    let far = (1 << 48) + 10;
    let terms = Terms { protocol: Protocol::Rfc862, rule: 0, born: 0 };
    record.begin(Id(NonZeroU64::MIN), terms, &Done::default());
    record.note(&Done { taken: far, given: far, state: echo::State::START, messages: 0 });
    let counters = Counters { taken: far + 3, given: far, phase: Phase::Open };
    let noted = record.noted();
    let mut slot = vec![7; SLOT_SIZE];
    let verdict = verdict(&noted, &counters, Protocol::Rfc862, &rule, Some(&mut slot));
    assert_eq!(verdict, Verdict::Resume { taken: 3, skip: 0 });
}

#[test]
fn a_closed_connection_is_gone_whatever_the_record_says() {
    let [rule, _] = rules();
    let noted = Noted { c0: 9, state: echo::State::START, w0: 9, slot: 0, messages: 0 };
    let counters = Counters { taken: 0, given: 0, phase: Phase::Closed };
    assert_eq!(verdict(&noted, &counters, Protocol::Line, &rule, None), Verdict::Gone);
}

proptest! {
    #[test]
    fn random_conversations_survive_random_kills(
        protocol in prop::sample::select(Protocol::ALL.to_vec()),
        suffix in prop::collection::vec(any::<u8>(), 0..6),
        message_max in 1_usize..8,
        input in prop::collection::vec(prop::sample::select(b"exit\r\nab".to_vec()), 0..40),
        stride in (1_usize..9, 1_usize..9),
        fuses in prop::collection::vec(0_usize..30, 1..8),
    ) {
        let rule = Rule::new(&suffix, b"exit", message_max).unwrap();
        let mut world = World::new(protocol, &rule, &input, stride, ORDER);
        prop_assert!(world.is_exact(&fuses), "{:?}", world.seen);
    }

    #[test]
    fn no_record_leads_a_successor_astray(
        bits in any::<u16>(), c0 in 0_u64..(1 << 48), w0 in any::<u64>(),
        taken in any::<u64>(), near in 0_u64..70_000, given in any::<u64>(),
        protocol in prop::sample::select(Protocol::ALL.to_vec()),
    ) {
        let [rule, _] = rules();
        let state = echo::State::from_bits(bits);
        let mut slot = vec![b'\n'; SLOT_SIZE];
        // The last is all answered, and as much as there are numbers.
        for taken in [taken, c0 + near, u64::MAX << 48 | c0] {
            let noted = Noted { c0, state, w0, slot: 0, messages: 0 };
            let counters = Counters { taken, given, phase: Phase::Open };
            let verdict = verdict(&noted, &counters, protocol, &rule, Some(&mut slot));
            if let Verdict::Resume { taken, .. } = verdict {
                prop_assert!(taken <= echo::read_max(&rule, protocol));
            }
            // Whoever goes on counts on, and that must not come to the end of numbers.
            let is_countable = taken.max(given) < 1 << 63;
            prop_assert!(is_countable || verdict == Verdict::Contradiction, "{verdict:?}");
        }
    }
}
