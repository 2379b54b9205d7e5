//! Giving back what a crowd needed, once it has gone.

use super::desk::Desk;
use super::talk::Talk;
use crate::keep::{self, RECORDS};

/// A table for all conversations that there can be. What nobody has touched of it
/// takes no memory, and one that grew would copy all of them while their peers wait,
/// and leave holes behind.
pub(super) fn table() -> Vec<Option<Talk>> {
    let mut talks = Vec::new();
    make_room(&mut talks);
    talks
}

fn make_room(talks: &mut Vec<Option<Talk>>) {
    // Without, it grows when it must.
    let _ = talks.try_reserve_exact(RECORDS as usize - talks.len());
}

impl Desk {
    /// Gives back memory that nobody needs now.
    pub fn tidy(&mut self) {
        self.memory.trim();
        if self.places.is_crowd_gone() {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let talk = self.talks.iter().rposition(Option::is_some);
        let last = talk.max(self.suspect.map(|number| number as usize));
        let used = last.map_or(0, |last| last + 1);
        self.talks.truncate(used);
        self.talks.shrink_to_fit();
        make_room(&mut self.talks);
        self.records.retain(|&number| (number as usize) < used);
        self.records.shrink_to_fit();
        self.memory.trim_records(u32::try_from(used).expect("there are 65,536 records"));
        keep::trim_heap();
    }
}
