//! The conversation that may have killed the predecessor: it goes on last, and not
//! for ever.

use super::desk;
use super::missed;
use super::opening::Find;
use crate::conversation::Ending;
use crate::keep::Slot;
use crate::report::{self, Adopted};

/// How often the daemon may die over one answer.
const STRIKES_MAX: u8 = 3;

/// A conversation whose answer may have killed the predecessor.
#[derive(Debug)]
pub struct Suspect {
    pub(super) find: Find,
    pub(super) slot: Option<Slot>,
}

/// Goes on with the conversation whose answer may have killed the predecessor.
/// It has a strike before its answer is computed, which the next note clears;
/// after three it is reset. Call it when everybody else is being served.
pub fn face(suspect: Suspect) {
    desk::with(|desk| {
        let Suspect { find, slot } = suspect;
        desk.suspect = None;
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
            missed::reset(&desk.memory, &find, Ending::Strikes);
            if let Some(slot) = slot {
                desk.free_slot(slot);
            }
            false
        };
        if !goes_on {
            record.end();
            desk.records.push(number);
            // It may have been the only one that was missing.
            desk.signs.room.notify_waiters();
            if let Some(store) = &mut desk.store {
                store.remove(bag);
            }
        }
    });
}
