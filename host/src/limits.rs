//! What one connection, and all of them together, may use.

/// Limits of [`serve`](crate::serve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections that are open at a time. Default: 1,000.
    ///
    /// The next one is accepted when one of them ends: until then peers wait in the kernel's
    /// queue, whose length is the listener's backlog.
    pub max_connections: usize,
    /// The most linear memory that the instance of one connection may have, in bytes.
    /// Default: 64 MiB.
    ///
    /// What would exceed it fails in the guest (`memory.grow` returns -1), which for most
    /// languages ends in a trap. A service whose initial memory exceeds it serves nobody.
    pub max_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_memory: 64 << 20,
        }
    }
}
