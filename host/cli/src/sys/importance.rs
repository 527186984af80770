//! How important a process is to the scheduler of the system.

/// How important a process is to the scheduler of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    Normal,
    /// It runs when others do not need the processor: they serve connections.
    Low,
}
