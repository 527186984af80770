//! Rules over addresses: which uses of an address are allowed, and how many were refused.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an address is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// `start-bind`: the requested address, port 0 included.
    Bind,
    /// `start-listen`: the bound address, with its actual port.
    Listen,
    /// `start-connect`: the remote address. The local address that the kernel then chooses is not checked as
    /// a [`Use::Bind`].
    Connect,
    /// An accepted connection: the peer's address. A connection that is refused is reset, and the guest does
    /// not see it.
    Accept,
}

type Rule = Arc<dyn Fn(SocketAddr, Use) -> bool + Send + Sync>;

/// Which addresses a store's sockets may use. A use that is not allowed fails with `access-denied`, and is
/// counted.
///
/// Clones share the counters.
#[derive(Clone)]
pub struct Policy {
    /// None: no socket can be created.
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

/// How many times a [`Policy`] has refused each kind of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Sockets that were not created, because nothing is allowed.
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
    /// Returns a policy that allows nothing: no socket can be created.
    pub fn deny_all() -> Self {
        Self::with(None)
    }

    /// Returns a policy that allows everything that the operating system allows.
    pub fn allow_all() -> Self {
        Self::new(|_, _| true)
    }

    /// Returns a policy that allows the uses for which `rule` returns true. The rule is called for each use
    /// of an address, and must not block.
    pub fn new(rule: impl Fn(SocketAddr, Use) -> bool + Send + Sync + 'static) -> Self {
        Self::with(Some(Arc::new(rule)))
    }

    fn with(rule: Option<Rule>) -> Self {
        Self {
            rule,
            refused: Arc::default(),
        }
    }

    /// Returns whether a socket may be created. A refusal is counted.
    pub fn allows_sockets(&self) -> bool {
        let allowed = self.rule.is_some();
        if !allowed {
            self.refused.create.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// Returns whether `address` may be used for this. A refusal is counted.
    pub fn allows(&self, address: SocketAddr, for_what: Use) -> bool {
        let allowed = self.permits(address, for_what);
        if !allowed {
            tracing::debug!(%address, "not allowed: {for_what:?}");
            self.counter(for_what).fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// Does the same as [`allows`](Self::allows), but does not count a refusal: another rule may allow the
    /// use.
    pub(crate) fn permits(&self, address: SocketAddr, for_what: Use) -> bool {
        self.rule
            .as_ref()
            .is_some_and(|rule| rule(address, for_what))
    }

    /// Returns the numbers of refusals so far.
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
