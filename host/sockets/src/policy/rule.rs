//! What may be done with which address, and how often it was refused.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an address is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// `start-bind`: the address as it was asked for, port 0 included.
    Bind,
    /// `start-listen`: the address that the socket has, with its actual port.
    Listen,
    /// `start-connect`: the remote address. No separate [`Use::Bind`] is asked for the local address
    /// that the kernel then chooses.
    Connect,
    /// A connection that was just accepted: the peer's address. One that is refused is reset, and the
    /// guest never learns of it.
    Accept,
}

type Rule = Arc<dyn Fn(SocketAddr, Use) -> bool + Send + Sync>;

/// Which addresses a store's sockets may use. What is not allowed fails with `access-denied`, and is
/// counted.
///
/// Clones share the counters.
#[derive(Clone)]
pub struct Policy {
    /// None: not even a socket can be made.
    rule: Option<Rule>,
    refused: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    create: AtomicU64,
    bind: AtomicU64,
    listen: AtomicU64,
    connect: AtomicU64,
    accept: AtomicU64,
}

/// How often a [`Policy`] has refused something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Sockets that were not made, because nothing is allowed.
    pub create: u64,
    /// Addresses that could not be bound.
    pub bind: u64,
    /// Addresses that could not be listened on.
    pub listen: u64,
    /// Addresses that could not be connected to.
    pub connect: u64,
    /// Peers that were reset.
    pub accept: u64,
}

impl Policy {
    /// Nothing is allowed: no socket can even be made.
    pub fn deny_all() -> Self {
        Self::with(None)
    }

    /// Everything is allowed that the operating system allows.
    pub fn allow_all() -> Self {
        Self::new(|_, _| true)
    }

    /// What `rule` returns true for is allowed. It is called for each use of an address, and must
    /// not block.
    pub fn new(rule: impl Fn(SocketAddr, Use) -> bool + Send + Sync + 'static) -> Self {
        Self::with(Some(Arc::new(rule)))
    }

    fn with(rule: Option<Rule>) -> Self {
        Self {
            rule,
            refused: Arc::default(),
        }
    }

    /// Whether a socket may be made at all.
    pub fn allows_sockets(&self) -> bool {
        let allowed = self.rule.is_some();
        if !allowed {
            self.refused.create.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// Whether `address` may be used like that. If not, it is counted.
    pub fn allows(&self, address: SocketAddr, for_what: Use) -> bool {
        let allowed = self.permits(address, for_what);
        if !allowed {
            tracing::debug!(%address, "not allowed: {for_what:?}");
            self.counter(for_what).fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// As [`allows`](Self::allows), but it is not counted: something else may allow it.
    pub(crate) fn permits(&self, address: SocketAddr, for_what: Use) -> bool {
        self.rule
            .as_ref()
            .is_some_and(|rule| rule(address, for_what))
    }

    /// How often something was refused so far.
    pub fn refusals(&self) -> Refusals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Refusals {
            create: read(&self.refused.create),
            bind: read(&self.refused.bind),
            listen: read(&self.refused.listen),
            connect: read(&self.refused.connect),
            accept: read(&self.refused.accept),
        }
    }

    fn counter(&self, for_what: Use) -> &AtomicU64 {
        match for_what {
            Use::Bind => &self.refused.bind,
            Use::Listen => &self.refused.listen,
            Use::Connect => &self.refused.connect,
            Use::Accept => &self.refused.accept,
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("refusals", &self.refusals())
            .finish_non_exhaustive()
    }
}
