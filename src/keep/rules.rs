//! The rules that conversations began with: a successor answers by the rule of
//! the conversation, not by its own.

use super::memory::Memory;
use crate::echo::{EXIT_WORD_MAX, Rule, SUFFIX_MAX};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// How many rules can be in use at once.
pub const RULES: usize = 8;

/// Which rule; below [`RULES`].
pub type RuleIndex = u8;

/// One rule, as it lies in the memory file.
#[derive(Debug)]
#[repr(C, align(2048))]
pub(super) struct RuleCell {
    /// When it was written, counted up; 0 is an empty cell. Written last.
    age: AtomicU64,
    message_max: AtomicU32,
    suffix_length: AtomicU16,
    exit_word_length: AtomicU16,
    suffix: [AtomicU8; SUFFIX_MAX],
    exit_word: [AtomicU8; EXIT_WORD_MAX],
}

const _: () = assert!(size_of::<RuleCell>() * RULES == super::layout::RULES_SIZE);

impl Memory {
    /// The rule of this number, if a sound one lies there.
    pub fn rule(&self, number: RuleIndex) -> Option<Rule> {
        let number = usize::from(number);
        if number >= RULES || self.rule_cell(number).age.load(Ordering::Acquire) == 0 {
            return None;
        }
        let cell = self.rule_cell(number);
        let suffix = load(&cell.suffix, &cell.suffix_length)?;
        let exit_word = load(&cell.exit_word, &cell.exit_word_length)?;
        let message_max = cell.message_max.load(Ordering::Acquire);
        Rule::new(&suffix, &exit_word, usize::try_from(message_max).ok()?).ok()
    }

    /// Finds `rule`, or writes it to a cell that no number in `in_use` names.
    /// With every cell in use it takes the oldest's: those that began with it
    /// have to be ended before.
    pub fn keep_rule(&self, rule: &Rule, in_use: [bool; RULES]) -> Kept {
        let numbers = || 0..RULES;
        if let Some(same) = numbers().find(|&n| self.rule(index(n)).as_ref() == Some(rule)) {
            return Kept { rule: index(same), displaced: false };
        }
        let age = |n: usize| self.rule_cell(n).age.load(Ordering::Acquire);
        let newest = numbers().map(age).max().unwrap_or(0);
        let (number, displaced) = match numbers().find(|&n| !in_use[n]) {
            Some(free) => (free, false),
            None => (numbers().min_by_key(|&n| age(n)).expect("there are rules"), true),
        };
        self.write_rule(number, rule, newest.saturating_add(1));
        Kept { rule: index(number), displaced }
    }

    /// Which rule would be displaced if another were kept, if one would.
    pub fn rule_to_displace(&self, rule: &Rule, in_use: [bool; RULES]) -> Option<RuleIndex> {
        let known = (0..RULES).any(|n| self.rule(index(n)).as_ref() == Some(rule));
        if known || in_use.contains(&false) {
            return None;
        }
        (0..RULES).min_by_key(|&n| self.rule_cell(n).age.load(Ordering::Acquire)).map(index)
    }

    fn write_rule(&self, number: usize, rule: &Rule, age: u64) {
        let cell = self.rule_cell(number);
        cell.age.store(0, Ordering::Release);
        store(&cell.suffix, &cell.suffix_length, rule.suffix());
        store(&cell.exit_word, &cell.exit_word_length, rule.exit_word());
        let message_max = u32::try_from(rule.message_max()).expect("at most 64 KiB");
        cell.message_max.store(message_max, Ordering::Release);
        cell.age.store(age, Ordering::Release);
    }
}

/// Where a rule lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub rule: RuleIndex,
    /// Whether an older one had to go.
    pub displaced: bool,
}

fn index(number: usize) -> RuleIndex {
    RuleIndex::try_from(number).expect("there are eight")
}

fn load(bytes: &[AtomicU8], length: &AtomicU16) -> Option<Vec<u8>> {
    let bytes = bytes.get(..usize::from(length.load(Ordering::Acquire)))?;
    Some(bytes.iter().map(|byte| byte.load(Ordering::Acquire)).collect())
}

fn store(bytes: &[AtomicU8], length: &AtomicU16, text: &[u8]) {
    for (byte, &value) in bytes.iter().zip(text) {
        byte.store(value, Ordering::Release);
    }
    let text = u16::try_from(text.len()).expect("at most 256 bytes");
    length.store(text, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(suffix: &str) -> Rule {
        Rule::new(suffix.as_bytes(), b"exit", 128).unwrap()
    }

    #[test]
    fn a_rule_is_found_again() {
        let memory = Memory::create().unwrap();
        let kept = memory.keep_rule(&rule("-回传"), [false; RULES]);
        assert_eq!(memory.rule(kept.rule), Some(rule("-回传")));
        assert_eq!(memory.keep_rule(&rule("-回传"), [true; RULES]), kept);
    }

    #[test]
    fn the_ninth_rule_takes_the_oldests_place() {
        let memory = Memory::create().unwrap();
        let mut in_use = [false; RULES];
        for n in 0..RULES {
            let kept = memory.keep_rule(&rule(&n.to_string()), in_use);
            assert!(!kept.displaced);
            in_use[usize::from(kept.rule)] = true;
        }
        let oldest = memory.rule_to_displace(&rule("new"), in_use).unwrap();
        assert_eq!(memory.rule(oldest), Some(rule("0")));
        let kept = memory.keep_rule(&rule("new"), in_use);
        assert_eq!(kept, Kept { rule: oldest, displaced: true });
    }

    #[test]
    fn a_damaged_rule_is_none() {
        let memory = Memory::create().unwrap();
        let kept = memory.keep_rule(&rule("x"), [false; RULES]);
        let cell = memory.rule_cell(kept.rule.into());
        cell.suffix_length.store(9_999, Ordering::Release);
        assert_eq!(memory.rule(kept.rule), None);
        assert_eq!(memory.rule(200), None);
    }
}
