//! The words of each record, as one line: the journal's `MESSAGE`.

use super::record::{Event, Record, Summed};
use super::{Adopted, Parting};
use crate::conversation::Totals;
use crate::endpoint::Party;
use std::fmt;
use std::time::Duration;

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { sockets, connections, wanted } => {
                let conversations = Count(u64::from(*connections), "conversation");
                write!(f, "ready on {}; at most {conversations}", sockets.join(", "))?;
                match wanted {
                    Some(wanted) => write!(
                        f,
                        " instead of {}, as far as the limit of descriptors goes",
                        Grouped(u64::from(*wanted))
                    ),
                    None => Ok(()),
                }
            }
            Self::Adopted(adopted) => adopted.fmt(f),
            Self::Stopping(parting) => parting.fmt(f),
            Self::Failed(error) => f.write_str(error),
            Self::Began(who) => write!(f, "conversation {} with {} began", who.id, Peer(who.peer)),
            Self::Ended(who, ending, totals) => {
                let (id, peer, ending) = (who.id, Peer(who.peer), ending.name());
                write!(f, "conversation {id} with {peer} ended ({ending}): {}", Carried(totals))
            }
            Self::Received(_, message) => write!(f, "received: |{message}|"),
            Self::Sent(_, answer) => write!(f, "sent: [{answer}]"),
            Self::DatagramReceived(envelope, message) => {
                write!(f, "received from {}", Peer(envelope.peer))?;
                if let Some(hops) = envelope.hops {
                    write!(f, " ({hops} hops left)")?;
                }
                write!(f, ": |{message}|")
            }
            Self::DatagramSent(envelope, answer) => {
                write!(f, "sent to {}: [{answer}]", Peer(envelope.peer))
            }
            Self::Summed(summed) => summed.fmt(f),
            Self::Repeated { event, times } => {
                event.fmt(f)?;
                match (times, event) {
                    (1, Event::Refused(..)) => Ok(()),
                    (_, Event::Refused(..)) => write!(f, ", {} in all", Count(*times, "time")),
                    (1, _) => f.write_str(", continuing"),
                    _ => write!(f, ", {} in all, continuing", Count(*times, "time")),
                }
            }
            Self::ListenerFailed { socket, error } => write!(f, "{socket} is dead: {error}"),
            Self::UnknownVariable(name) => {
                write!(f, "the environment has {name}, which is no option, continuing")
            }
            Self::MemoryUnreadable(error) => {
                write!(f, "cannot read the predecessor's memory: {error}; ")?;
                f.write_str("only conversations that need none of it go on, continuing")
            }
            Self::NoJournal(error) => {
                write!(f, "the journal's socket cannot be reached ({error}), ")?;
                f.write_str("writing to standard error without fields, continuing")
            }
            Self::Lost(1) => f.write_str("1 record was not written, continuing"),
            Self::Lost(count) => {
                write!(f, "{} were not written, continuing", Count(*count, "record"))
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal, peer) => {
                write!(f, "{} refused ({})", Peer(*peer), refusal.name())
            }
            Self::CannotAccept(error) => write!(f, "cannot accept now: {error}"),
            Self::StoreFull => {
                f.write_str("the manager's store is full: a conversation would not outlive echod")
            }
            Self::NotKept(error) => {
                write!(f, "a conversation could not be put into the manager's store: {error}")
            }
            Self::Contradiction(id) => {
                write!(f, "conversation {id} reset: its notes contradict the kernel's counters")
            }
            Self::Struck(id, strikes) => {
                let strikes = Count(u64::from(*strikes), "strike");
                write!(f, "conversation {id} was in its turn when echod died ({strikes})")
            }
            Self::StruckOut(id) => {
                write!(f, "conversation {id} reset: echod died too often in its turn")
            }
        }
    }
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversations, mid_answer, reset, pause } = self;
        write!(f, "{} continued", Count(*conversations, "conversation"))?;
        if *mid_answer > 0 {
            write!(f, ", {} in mid-answer", Grouped(*mid_answer))?;
        }
        if let Some(pause) = pause {
            write!(f, ", after a pause of {}", Lasted(*pause))?;
        }
        if *reset > 0 {
            write!(f, "; {} could not be continued and were reset", Grouped(*reset))?;
        }
        Ok(())
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(0) | Self::Drain(0) => f.write_str("stopping"),
            Self::Keep(count) => {
                write!(f, "stopping; left for a successor: {}", Count(*count, "conversation"))
            }
            Self::Drain(count) => {
                write!(f, "stopping; to be answered and ended: {}", Count(*count, "conversation"))
            }
        }
    }
}

impl fmt::Display for Summed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { began, ended, received, sent } = *self;
        write!(f, "not recorded one by one: {} began, ", Count(began, "conversation"))?;
        write!(f, "{} ended with {} received, ", Grouped(ended), Count(received, "byte"))?;
        write!(f, "{} sent", Grouped(sent))
    }
}

/// What a conversation carried, for people.
struct Carried<'a>(&'a Totals);

impl fmt::Display for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { received, sent, messages, duration } = *self.0;
        if let Some(messages) = messages {
            write!(f, "{}, ", Count(messages, "message"))?;
        }
        let (received, sent) = (Count(received, "byte"), Grouped(sent));
        write!(f, "{received} received, {sent} sent in {}", Lasted(duration))
    }
}

struct Peer(Party);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Party::Unknown => f.write_str("an unknown peer"),
            party => party.fmt(f),
        }
    }
}

/// A number and its noun: `1 byte`, `1,024 bytes`.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", Grouped(self.0), self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// A number as people read it: `1,024`.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let first = digits.len() % 3;
        f.write_str(&digits[..first])?;
        for at in (first..digits.len()).step_by(3) {
            f.write_str(if at == 0 { "" } else { "," })?;
            f.write_str(&digits[at..at + 3])?;
        }
        Ok(())
    }
}

/// A duration in the two units that matter: `0.150 s`, `5 min 3 s`, `2 d 4 h`.
struct Lasted(Duration);

impl fmt::Display for Lasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..60 => write!(f, "{seconds}.{:03} s", self.0.subsec_millis()),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}
