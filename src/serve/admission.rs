//! Places: how many conversations there may be, in all and of one source.

use crate::config::{Connections, Limits};
use crate::conversation::Refusal;
use crate::endpoint::Source;
use std::collections::HashMap;

/// Who has a place. Only sources that are limited are remembered, and only as
/// long as they have a conversation.
#[derive(Debug)]
pub struct Places {
    max: u32,
    now: u32,
    /// The most there were since a crowd was last gone.
    most: u32,
    per_source: Option<u32>,
    sources: HashMap<Source, u32>,
}

impl Places {
    /// All places free.
    pub fn new(limits: &Limits) -> Self {
        Self {
            max: limits.connections.get(),
            now: 0,
            most: 0,
            per_source: limits.connections_per_source.map(Connections::get),
            sources: HashMap::new(),
        }
    }

    /// How many conversations there are.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Whether another may begin.
    pub fn has_room(&self) -> bool {
        self.now < self.max
    }

    /// Whether many were here and most have left: once for each crowd.
    pub fn is_crowd_gone(&mut self) -> bool {
        /// Fewer are no crowd: what they needed is kept for the next ones.
        const CROWD: u32 = 256;
        let is_gone = self.now <= self.most / 2 && self.most - self.now >= CROWD;
        if is_gone {
            self.most = self.now;
        }
        is_gone
    }

    /// Takes a place for a conversation that begins.
    pub fn enter(&mut self, source: Option<Source>) -> Result<(), Refusal> {
        if let (Some(max), Some(source)) = (self.per_source, source) {
            let now = self.sources.entry(source).or_insert(0);
            if *now >= max {
                return Err(Refusal::Source);
            }
            *now += 1;
        }
        self.now += 1;
        self.most = self.most.max(self.now);
        Ok(())
    }

    /// Takes a place for a conversation that goes on: it is counted, and never
    /// refused.
    pub fn resume(&mut self, source: Option<Source>) {
        if let (Some(_), Some(source)) = (self.per_source, source) {
            *self.sources.entry(source).or_insert(0) += 1;
        }
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    /// Frees the place of a conversation that ended.
    pub fn leave(&mut self, source: Option<Source>) {
        self.now -= 1;
        let Some(source) = source else { return };
        if let Some(now) = self.sources.get_mut(&source) {
            *now -= 1;
            if *now == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn places(max: u32, per_source: Option<u32>) -> Places {
        Places { max, now: 0, most: 0, per_source, sources: HashMap::new() }
    }

    fn source(address: &str) -> Option<Source> {
        address.parse::<IpAddr>().ok().map(Source::of)
    }

    #[test]
    fn there_is_room_below_the_limit_and_none_at_it() {
        let mut places = places(2, None);
        places.enter(None).unwrap();
        assert!(places.has_room());
        places.enter(None).unwrap();
        assert!(!places.has_room());
        places.leave(None);
        assert!(places.has_room());
    }

    #[test]
    fn one_source_gets_its_share_and_no_more() {
        let mut places = places(9, Some(2));
        places.enter(source("10.0.0.1")).unwrap();
        places.enter(source("10.0.0.1")).unwrap();
        assert_eq!(places.enter(source("10.0.0.1")), Err(Refusal::Source));
        places.enter(source("10.0.0.2")).unwrap();
        assert_eq!(places.now(), 3);
        places.leave(source("10.0.0.1"));
        places.enter(source("10.0.0.1")).unwrap();
    }

    #[test]
    fn who_goes_on_is_counted_and_never_refused() {
        let mut places = places(1, Some(1));
        places.resume(source("10.0.0.1"));
        places.resume(source("10.0.0.1"));
        assert_eq!(places.now(), 2);
        assert!(!places.has_room());
        assert_eq!(places.enter(source("10.0.0.1")), Err(Refusal::Source));
    }

    #[test]
    fn sources_that_left_are_forgotten() {
        let mut places = places(9, Some(2));
        places.enter(source("10.0.0.1")).unwrap();
        places.leave(source("10.0.0.1"));
        assert!(places.sources.is_empty());
    }

    #[test]
    fn a_crowd_is_gone_once() {
        let mut places = places(9_999, None);
        (0..600).for_each(|_| places.enter(None).unwrap());
        (0..299).for_each(|_| places.leave(None));
        assert!(!places.is_crowd_gone());
        places.leave(None);
        assert!(places.is_crowd_gone());
        assert!(!places.is_crowd_gone());
    }
}
