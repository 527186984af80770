//! How much one instance of a component takes: what compiling it costs, and what it begins with.
//!
//! Compiling handles each definition once for each time that the component around it is instantiated,
//! and takes time and memory for each level of nesting. So a small file can take hours, and all of the
//! memory. This is found here, before anything is compiled, in one pass over the sections.
//!
//! Where it ends: whether the component is valid is for the compiler to say, and how much is allowed,
//! for the [`contract`](super::contract).

mod walk;

use crate::error::LoadProblem;
use walk::{Stop, Walk};
use wasmparser::Parser;

/// What one instance takes, with everything that is instantiated in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Each definition is counted as often as the component around it is instantiated.
    pub definitions: u64,
    /// Core instances, without those that the compiler puts between components.
    pub core_instances: u64,
    pub memories: u64,
    /// What they begin with, in bytes.
    pub memory: u64,
    pub tables: u64,
    /// What they begin with.
    pub table_elements: u64,
}

impl Size {
    /// The size of a component. What cannot be parsed is not counted: the compiler says what is wrong.
    ///
    /// # Errors
    /// [`LoadProblem::TooComplex`] if compiling it would take time and memory out of proportion to the
    /// file.
    pub fn of(component: &[u8]) -> Result<Self, LoadProblem> {
        let mut walk = Walk::default();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match walk.step(&payload) {
                Ok(()) => {}
                Err(Stop::Unreadable) => break,
                Err(Stop::TooComplex(why)) => return Err(LoadProblem::TooComplex(why)),
            }
        }
        Ok(walk.size())
    }

    fn definitions(definitions: u64) -> Self {
        Self {
            definitions,
            ..Self::default()
        }
    }

    fn add(&mut self, other: Self) {
        let add = |one: &mut u64, other| *one = one.saturating_add(other);
        add(&mut self.definitions, other.definitions);
        add(&mut self.core_instances, other.core_instances);
        add(&mut self.memories, other.memories);
        add(&mut self.memory, other.memory);
        add(&mut self.tables, other.tables);
        add(&mut self.table_elements, other.table_elements);
    }
}

#[cfg(test)]
mod tests;
