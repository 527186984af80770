//! How much memory, and how many table elements, an instance may use.

use super::Limits;
use crate::metrics::{GuestMemory, Recorder};
use std::fmt;
use wasmtime::ResourceLimiter;

/// The memory and the table elements that are left to an instance: each counts for all of its memories or
/// tables together.
#[derive(Debug)]
pub(crate) struct Allowance {
    memory: Allotment,
    elements: Allotment,
    core_instances: usize,
    memories: usize,
    tables: usize,
    /// What was last refused: usually the cause of the trap that follows.
    refused: Option<Exceeded>,
    /// Counts the memory.
    counted: Option<GuestMemory>,
}

/// What an instance requested in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Memory beyond this many bytes.
    Memory(usize),
    /// Table elements beyond this many.
    TableElements(usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, limit, flag, field) = match *self {
            Self::Memory(bytes) => ("memory", size(bytes), "memory", "memory"),
            Self::TableElements(count) => (
                "table elements",
                count.to_string(),
                "table-elements",
                "table_elements",
            ),
        };
        write!(
            f,
            "it was refused more {what} than its limit of {limit}: raise that with --max-{flag} (in the \
             library, Limits::max_{field})"
        )
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

impl Allowance {
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory: Allotment::new(limits.max_memory),
            elements: Allotment::new(limits.max_table_elements),
            core_instances: limits.max_core_instances,
            memories: limits.max_memories,
            tables: limits.max_tables,
            refused: None,
            counted: None,
        }
    }

    /// Has the memory counted by this recorder.
    pub fn counted_by(mut self, recorder: &Recorder) -> Self {
        self.counted = Some(GuestMemory::new(recorder));
        self
    }

    /// Returns an allowance without limits.
    pub fn unlimited() -> Self {
        Self {
            memory: Allotment::new(usize::MAX),
            elements: Allotment::new(usize::MAX),
            core_instances: usize::MAX,
            memories: usize::MAX,
            tables: usize::MAX,
            refused: None,
            counted: None,
        }
    }

    /// Returns an allowance that limits memory only, in bytes.
    pub fn of_memory(bytes: usize) -> Self {
        Self {
            memory: Allotment::new(bytes),
            ..Self::unlimited()
        }
    }

    /// Returns what the instance was last refused, if anything was since the previous call.
    pub fn take_refused(&mut self) -> Option<Exceeded> {
        self.refused.take()
    }

    /// Records a refusal. Returns false, which refuses the growth.
    fn refuse(&mut self, refused: Exceeded) -> bool {
        self.refused = Some(refused);
        false
    }
}

/// A limit, and how much is left of it.
#[derive(Debug)]
struct Allotment {
    most: usize,
    left: usize,
}

impl Allotment {
    fn new(most: usize) -> Self {
        Self { most, left: most }
    }

    /// Takes the growth from what is left. Returns whether that was enough.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        match self.left.checked_sub(desired.saturating_sub(current)) {
            Some(rest) => {
                self.left = rest;
                true
            }
            None => false,
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
        let granted = match maximum {
            // What the memory's own maximum forbids is not charged.
            Some(maximum) if desired > maximum => false,
            _ if self.memory.grow(current, desired) => {
                if let Some(counted) = &mut self.counted {
                    counted.grow(desired.saturating_sub(current));
                }
                true
            }
            _ => self.refuse(Exceeded::Memory(self.memory.most)),
        };
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = match maximum {
            Some(maximum) if desired > maximum => false,
            _ if self.elements.grow(current, desired) => true,
            _ => self.refuse(Exceeded::TableElements(self.elements.most)),
        };
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
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
        assert_eq!(allowance.take_refused(), Some(Exceeded::Memory(100)));
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
        assert_eq!(allowance.take_refused(), Some(Exceeded::TableElements(10)));
        assert!(allowance.memory_growing(0, 100, None).expect("an answer"));
    }

    #[test]
    fn a_limit_is_told_as_somebody_would_write_it() {
        let told = |bytes| Exceeded::Memory(bytes).to_string();
        assert!(told(64 << 20).contains("its limit of 64 MiB: raise that with --max-memory (in"));
        assert!(told(192 << 10).contains("its limit of 192 KiB: "));
        assert!(told(100_000).contains("its limit of 100000 bytes: "));
    }
}
