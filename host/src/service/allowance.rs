//! What an instance may take of memory, tables and the like.

use crate::limits::Limits;
use std::fmt;
use wasmtime::ResourceLimiter;

/// Counts down what is left to an instance: its memories together, and its tables together.
#[derive(Debug)]
pub(super) struct Allowance {
    memory_left: usize,
    elements_left: usize,
    core_instances: usize,
    /// What it was refused last: mostly the reason of the trap that follows.
    refused: Option<Refused>,
}

/// What an instance asked for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory,
    TableElements,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "it was refused more memory than its limit",
            Self::TableElements => "it was refused more table elements than its limit",
        })
    }
}

/// As many as any component may have: the pool has its own limits.
const MANY: usize = 10_000;

impl Allowance {
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory_left: limits.max_memory,
            elements_left: limits.max_table_elements,
            core_instances: limits.max_core_instances,
            refused: None,
        }
    }

    /// What the instance was refused since this was asked last.
    pub fn take_refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }
}

impl Allowance {
    /// Take the growth off what is left of it, if there is as much.
    fn grow(
        &mut self,
        what: Refused,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> bool {
        // What its own maximum forbids does not count.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let left = match what {
            Refused::Memory => &mut self.memory_left,
            Refused::TableElements => &mut self.elements_left,
        };
        match left.checked_sub(desired.saturating_sub(current)) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => {
                self.refused = Some(what);
                false
            }
        }
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(Refused::Memory, current, desired, maximum))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(Refused::TableElements, current, desired, maximum))
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        MANY
    }

    fn memories(&self) -> usize {
        MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance() -> Allowance {
        Allowance::new(&Limits {
            max_memory: 100,
            max_table_elements: 10,
            ..Limits::default()
        })
    }

    #[test]
    fn all_memories_count_together() {
        let mut allowance = allowance();
        let mut grow = |current, desired| allowance.memory_growing(current, desired, None);
        assert!(grow(0, 60).expect("an answer"));
        assert!(!grow(0, 41).expect("an answer"));
        assert!(grow(0, 20).expect("an answer"));
        assert!(grow(60, 80).expect("an answer"));
        assert!(!grow(20, 21).expect("an answer"));
        assert_eq!(allowance.take_refused(), Some(Refused::Memory));
        assert_eq!(allowance.take_refused(), None);
    }

    #[test]
    fn what_a_memory_forbids_itself_takes_nothing_off() {
        let mut allowance = allowance();
        let beyond = allowance.memory_growing(0, 60, Some(50));
        assert!(!beyond.expect("an answer"));
        assert_eq!(allowance.take_refused(), None);
        assert!(allowance.memory_growing(0, 100, None).expect("an answer"));
    }

    #[test]
    fn tables_count_by_themselves() {
        let mut allowance = allowance();
        assert!(allowance.table_growing(0, 10, None).expect("an answer"));
        assert!(!allowance.table_growing(10, 11, None).expect("an answer"));
        assert_eq!(allowance.take_refused(), Some(Refused::TableElements));
        assert!(allowance.memory_growing(0, 100, None).expect("an answer"));
    }
}
