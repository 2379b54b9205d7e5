//! What `systemctl status` shows: live numbers, in one line.

use super::desk::{Desk, with};
use crate::conversation::Refusal;
use crate::keep::Header;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Waits until something happened that [`Desk::status`] tells.
pub async fn stirred() {
    let signs = with(|desk| Arc::clone(&desk.signs));
    signs.stir.notified().await;
}

impl Desk {
    /// Notes that the status has changed.
    pub(super) fn stir(&mut self) {
        if !self.stirred {
            self.stirred = true;
            self.signs.stir.notify_one();
        }
    }

    /// One line of live numbers; those that only grow go on through restarts.
    pub fn status(&mut self) -> String {
        self.stirred = false;
        let header = self.memory.header();
        let now = self.places.now();
        let noun = if now == 1 { "conversation" } else { "conversations" };
        let served = header.served.load(Ordering::Relaxed);
        let refused = Refused(header);
        let echoed = Amount(header.sent.load(Ordering::Relaxed));
        let datagrams = match header.datagrams.load(Ordering::Relaxed) {
            0 => String::new(),
            1 => ", 1 datagram".to_owned(),
            count => format!(", {count} datagrams"),
        };
        format!("{now} {noun}, {served} served{datagrams}, {refused}, {echoed} echoed")
    }
}

/// How many were refused, and why.
struct Refused<'a>(&'a Header);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = Refusal::ALL.map(|refusal| (refusal.name(), self.0.refused_for(refusal)));
        let reasons: Vec<_> = reasons
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        write!(f, "{} refused", self.0.refused())?;
        if reasons.is_empty() { Ok(()) } else { write!(f, " ({})", reasons.join(", ")) }
    }
}

/// Bytes, as people read them.
struct Amount(u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let (mut amount, mut unit) = (self.0, "B");
        let mut rest = 0;
        for larger in UNITS {
            if amount < 1024 {
                break;
            }
            (rest, amount, unit) = (amount % 1024, amount / 1024, larger);
        }
        match unit {
            "B" => write!(f, "{amount} B"),
            _ => write!(f, "{amount}.{} {unit}", rest * 10 / 1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_300_000_000, "1.2 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(Amount(bytes).to_string(), text);
        }
    }
}
