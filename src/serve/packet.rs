//! A turn of a seqpacket conversation: one message, one answer.

use super::desk::Desk;
use super::talk::{Due, Talk};
use super::turn::{Step, Turn};
use crate::config::Level;
use crate::conversation::Ending;
use crate::echo::{self, Rule};
use crate::keep::{Done, Slot};
use crate::report;
use crate::socket::{Packet, Watch};
use rustix::io::Errno;
use std::io::{self, IoSlice};

impl Desk {
    /// Takes one message and answers it.
    pub(super) fn packet_turn(&mut self, watch: &Watch, number: u32) -> Turn {
        let Some(mut slot) = self.hot.take() else { return Turn::Crowded };
        self.memory.header().begin_turn(number);
        let talk = self.talks[number as usize].as_mut().expect("a turn belongs to a talk");
        let rule = self.rules[usize::from(talk.terms.rule)].as_ref().expect("a talk has a rule");
        let (step, taken) = match watch.take_packet(&mut slot.bytes()[..rule.message_max()]) {
            Ok(Packet::Whole(taken)) => (talk.answer_packet(watch, rule, &mut slot, taken), taken),
            Ok(Packet::End) => (Step::Over(Ending::EndOfFile), 0),
            Ok(Packet::Cut) => (Step::Over(Ending::TooLong), 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (Step::Nothing, 0),
            Err(_) => (Step::Over(Ending::Reset), 0),
        };
        if let Step::Short { skip } = step {
            return self.owe(number, Due::Answer { slot, taken }, skip);
        }
        self.hot = Some(slot);
        self.obey(number, &step)
    }
}

impl Talk {
    /// Answers a message, whole or not at all yet.
    pub(super) fn answer_packet(
        &mut self,
        watch: &Watch,
        rule: &Rule,
        slot: &mut Slot,
        taken: usize,
    ) -> Step {
        let message = &slot.bytes()[..taken];
        if echo::says_exit(rule, self.terms.protocol, message) {
            return Step::Over(Ending::ExitWord);
        }
        let Ok(insertion) = echo::answer_datagram(rule, self.terms.protocol, message, taken) else {
            return Step::Over(Ending::TooLong);
        };
        let pieces = insertion.pieces(message);
        match watch.give(&pieces.map(IoSlice::new)) {
            Ok(given) => {
                if report::wants(Level::Debug) {
                    report::received(self.rare.id, message);
                    report::sent(self.rare.id, &pieces);
                }
                Step::Done(Done {
                    taken: self.done.taken + taken as u64,
                    given: self.done.given + given as u64,
                    state: self.done.state,
                    messages: self.done.messages.wrapping_add(1),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Short { skip: 0 },
            Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                Step::Over(Ending::TooLong)
            }
            Err(_) => Step::Over(Ending::Reset),
        }
    }
}
