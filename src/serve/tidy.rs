//! Giving back what a crowd needed, once it has gone.

use super::desk::Desk;
use crate::keep;

impl Desk {
    /// Gives back memory that nobody needs now.
    pub fn tidy(&mut self) {
        self.memory.trim();
        if self.places.is_crowd_gone() {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let used = self.talks.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.talks.truncate(used);
        self.talks.shrink_to_fit();
        self.records.retain(|&number| (number as usize) < used);
        self.records.shrink_to_fit();
        self.memory.trim_records(u32::try_from(used).expect("there are 65,536 records"));
        keep::trim_heap();
    }
}
