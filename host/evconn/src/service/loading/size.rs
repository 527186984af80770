//! The size of one instance of a component: what compiling it costs, and with how much memory it begins.
//!
//! The compiler processes each definition as often as the component around it is instantiated, and needs
//! time and memory for each level of nesting. So compiling a small file can take hours and all available
//! memory. This module detects that before anything is compiled, in one pass over the sections.
//!
//! It does not check whether the component is valid, which the compiler does. The
//! [`contract`](super::contract) defines how much is allowed.

mod nesting;
mod walk;

use crate::error::LoadProblem;
use walk::{MAX_DEPTH, Stop, Walk};
use wasmparser::{Parser, Payload};

/// The size of one instance, with everything that is instantiated in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Definitions, each counted as often as the component around it is instantiated.
    pub definitions: u64,
    /// Core instances, without those that the compiler puts between components.
    pub core_instances: u64,
    pub memories: u64,
    /// The initial size of all memories, in bytes.
    pub memory: u64,
    pub tables: u64,
    /// The initial size of all tables.
    pub table_elements: u64,
}

impl Size {
    /// Returns the size of a component. Invalid parts are not counted: the compiler reports them.
    ///
    /// # Errors
    /// [`LoadProblem::TooComplex`] if compiling it would take time and memory out of proportion to its
    /// size.
    pub fn of(component: &[u8]) -> Result<Self, LoadProblem> {
        let mut walk = Walk::default();
        let mut is_readable = true;
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            check_nesting(component, &payload)?;
            if is_readable {
                match walk.step(&payload) {
                    Ok(()) => {}
                    Err(Stop::Unreadable) => is_readable = false,
                    Err(Stop::TooComplex(why)) => return Err(LoadProblem::TooComplex(why)),
                }
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

fn check_nesting(component: &[u8], payload: &Payload<'_>) -> Result<(), LoadProblem> {
    let Payload::ComponentTypeSection(types) = payload else {
        return Ok(());
    };
    match component
        .get(types.range())
        .is_some_and(nesting::is_too_deep)
    {
        true => Err(LoadProblem::TooComplex(format!(
            "its types are nested more than {MAX_DEPTH} levels deep"
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
