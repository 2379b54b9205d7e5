//! A conversation with the core, in which the daemon may die at every answer.

use echod::conversation::{Counters, Phase};
use echod::echo::{self, Answer, Outcome, Protocol, Rule, SUFFIX_MAX, State};
use echod::keep::{Done, Noted, Verdict, verdict};

pub struct Talk<'a> {
    pub rule: &'a Rule,
    pub protocol: Protocol,
    pub state: State,
    pub taken: u64,
    pub given: Vec<u8>,
    pub messages: u64,
}

impl<'a> Talk<'a> {
    pub fn new(rule: &'a Rule, protocol: Protocol) -> Self {
        let state = State::START;
        Self { rule, protocol, state, taken: 0, given: Vec::new(), messages: 0 }
    }

    /// One read. It is answered; and answered again by a successor that finds
    /// `death` bytes of the answer given, which must come to the same.
    pub fn read(&mut self, read: &[u8], death: u64) {
        let mut slot = [read, &[0xaa; SUFFIX_MAX]].concat();
        let length = echo::answer_len(self.rule, self.protocol, self.state, &mut slot, read.len());
        let answer = echo::answer(self.rule, self.protocol, self.state, &mut slot, read.len());
        let (answered, outcome) = self.drain(answer);
        assert_eq!(answered.len() as u64, length, "the length is what is given");
        if self.state.ended() {
            assert!(answered.is_empty(), "nothing is answered after the exit word");
            return;
        }
        let noted = self.noted();
        self.taken += read.len() as u64;
        let skip = death % (length + 2);
        let counters = self.counters(&noted, skip);
        let verdict = verdict(&noted, &counters, self.protocol, self.rule, Some(&mut slot));
        let done = Done {
            taken: self.taken,
            given: counters.given,
            state: outcome.state,
            messages: self.messages + u64::from(outcome.messages),
        };
        match verdict {
            Verdict::Idle => assert!(read.is_empty() && skip <= 1),
            Verdict::Contradiction => assert_eq!(skip, length + 1),
            Verdict::Answered(noted) => {
                assert_eq!((skip, noted), (length, done));
            }
            Verdict::Resume { taken, skip: said } => {
                assert_eq!((taken, said), (read.len(), skip));
                let mut rest = echo::answer(self.rule, self.protocol, self.state, &mut slot, taken);
                assert!(rest.skip_bytes(skip) && !rest.is_empty());
                assert_eq!(self.drain(rest), (answered[as_index(skip)..].to_vec(), outcome));
            }
            other => panic!("{other:?} about an open conversation"),
        }
        self.given.extend_from_slice(&answered);
        self.state = outcome.state;
        self.messages += u64::from(outcome.messages);
    }

    /// End of file; the daemon may die here as well.
    pub fn end(&mut self, death: u64) {
        let (answered, outcome) = self.drain(echo::farewell(self.rule, self.protocol, self.state));
        let mut noted = self.noted();
        if !answered.is_empty() {
            noted.state = noted.state.with_last();
            assert_eq!(noted.state, outcome.state);
            let length = answered.len() as u64;
            let skip = death % (length + 2);
            let counters = Counters { phase: Phase::PeerEnded, ..self.counters(&noted, skip) };
            let wanted = match skip {
                skip if skip > length => Verdict::Contradiction,
                skip if skip == length => Verdict::Finish,
                skip => Verdict::Farewell { skip },
            };
            assert_eq!(verdict(&noted, &counters, self.protocol, self.rule, None), wanted);
            if skip <= length {
                let mut rest = echo::farewell(self.rule, self.protocol, noted.state);
                assert!(rest.skip_bytes(skip));
                assert_eq!(self.drain(rest), (answered[as_index(skip)..].to_vec(), outcome));
            }
        }
        self.given.extend_from_slice(&answered);
        self.state = outcome.state;
        self.messages += u64::from(outcome.messages);
    }

    fn drain(&self, mut answer: Answer<'_>) -> (Vec<u8>, Outcome) {
        let mut given = Vec::new();
        while !answer.is_empty() {
            let piece = answer.next().expect("more is left");
            assert!(!piece.is_empty(), "no piece is empty");
            given.extend_from_slice(piece);
        }
        assert!(answer.next().is_none());
        let outcome = answer.outcome();
        assert!(outcome.state.is_valid(self.protocol, self.rule), "{outcome:?} is called damage");
        (given, outcome)
    }

    fn noted(&self) -> Noted {
        Noted {
            c0: self.taken,
            state: self.state,
            w0: self.given.len() as u64,
            slot: 0,
            messages: self.messages,
        }
    }

    fn counters(&self, noted: &Noted, skip: u64) -> Counters {
        Counters { taken: self.taken, given: noted.w0 + skip, phase: Phase::Open }
    }
}

fn as_index(count: u64) -> usize {
    usize::try_from(count).expect("an answer fits into memory")
}
