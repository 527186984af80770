//! How many connections an instance serves, and how many instances there are.

use crate::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// Which connections share an instance, and how many instances there are: see
/// [`ServerBuilder::instances`](crate::ServerBuilder::instances).
///
/// The default is a fresh instance for each connection. An instance that is used for more saves the time of its
/// start, and its connections can have something in common, such as a chat room. But they are not isolated from each
/// other: the content of its memory passes from one peer to the next, and if it fails, all connections that it has
/// are reset.
///
/// A connection goes to the least loaded instance that may have another one. Only if there is none, a new instance is
/// made. If there are as many as there may be, further connections wait in the accept queue.
///
/// ```
/// use evconn::InstancePolicy;
/// use std::num::{NonZeroU32, NonZeroUsize};
///
/// // All connections, up to 100 at a time, meet in one instance of a program.
/// let chat = InstancePolicy {
///     reuse: None,
///     concurrency: NonZeroU32::new(100).expect("not 0"),
///     max_instances: NonZeroUsize::new(1),
///     ..InstancePolicy::default()
/// };
/// assert_eq!(chat.max_connections(), Some(100));
/// assert_eq!(InstancePolicy::default().max_connections(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstancePolicy {
    /// How many connections an instance serves in all. `None` is no limit. Defaults to 1: a fresh instance for each
    /// connection.
    ///
    /// When a handler returns, whatever it has not dropped of its connection is taken away. An instance that trapped
    /// or exited serves no further connections, nor does that of a handler which has more handles than half of
    /// [`Limits::max_handles`](crate::Limits::max_handles).
    pub reuse: Option<NonZeroU32>,
    /// How many connections an instance has at a time. Defaults to 1.
    ///
    /// More than 1 requires a program or a handler of WASI 0.3: that of WASI 0.2 is a synchronous function, which an
    /// instance runs for one connection at a time. A handler of WASI 0.3 is called for each; a program gets this many connections from its listening socket, before it has closed
    /// one of them.
    pub concurrency: NonZeroU32,
    /// How many instances there are at a time. Defaults to `None`: as many as the connections require.
    ///
    /// When the service is replaced, the instances of the previous one are not counted.
    pub max_instances: Option<NonZeroUsize>,
    /// How many instances are made ahead of the connections that they are for: a handler's is instantiated, and a
    /// program is run until it accepts its first connection. Defaults to 0.
    ///
    /// They count as instances, for [`max_instances`](Self::max_instances), but not as connections. The host needs to
    /// be built with [`HostBuilder::warm`](crate::HostBuilder::warm).
    pub warm: usize,
    /// How long an instance is kept that has no connection. Defaults to
    /// [`DEFAULT_IDLE_TIMEOUT`](Self::DEFAULT_IDLE_TIMEOUT).
    ///
    /// A program that is not waiting for a connection then, but is busy with something else, is kept until it waits
    /// for one.
    pub idle_timeout: Duration,
}

impl InstancePolicy {
    /// The default of [`idle_timeout`](Self::idle_timeout): 10 seconds.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

    /// A fresh instance for each connection.
    pub const FRESH: Self = Self {
        reuse: Some(NonZeroU32::MIN),
        concurrency: NonZeroU32::MIN,
        max_instances: None,
        warm: 0,
        idle_timeout: Self::DEFAULT_IDLE_TIMEOUT,
    };

    /// Returns how many connections all instances together have at a time, if that is limited.
    pub fn max_connections(&self) -> Option<usize> {
        let each = usize::try_from(self.connections_each()).unwrap_or(usize::MAX);
        let instances = self.max_instances?;
        Some(instances.get().saturating_mul(each))
    }

    /// Returns how many instances there are at most for so many connections.
    pub(crate) fn instances_for(&self, connections: usize) -> usize {
        let most = self.max_instances.map_or(usize::MAX, NonZeroUsize::get);
        connections.min(most)
    }

    /// Returns how many connections an instance may have at a time: no more than in all.
    pub(crate) fn connections_each(&self) -> u32 {
        let reuse = self.reuse.unwrap_or(NonZeroU32::MAX);
        self.concurrency.min(reuse).get()
    }

    /// Returns whether an instance that has served this many connections may serve another one.
    pub(super) fn allows_another(&self, served: u32) -> bool {
        self.reuse.is_none_or(|most| served < most.get())
    }

    /// Checks that a service can be used in this way, whose instances can have several connections at a time, or not.
    pub(crate) fn check(&self, is_concurrent: bool) -> Result<(), Error> {
        match is_concurrent || self.concurrency.get() == 1 {
            true => Ok(()),
            false => Err(Error::NotConcurrent {
                asked: self.concurrency.get(),
            }),
        }
    }
}

impl Default for InstancePolicy {
    fn default() -> Self {
        Self::FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(reuse: u32, concurrency: u32, instances: usize) -> InstancePolicy {
        InstancePolicy {
            reuse: NonZeroU32::new(reuse),
            concurrency: NonZeroU32::new(concurrency).expect("not 0"),
            max_instances: NonZeroUsize::new(instances),
            ..InstancePolicy::FRESH
        }
    }

    #[test]
    fn connections_at_a_time_are_those_of_all_instances() {
        let most =
            |reuse, concurrency, instances| policy(reuse, concurrency, instances).max_connections();
        assert_eq!(most(1, 1, 0), None);
        assert_eq!(most(1, 1, 3), Some(3));
        assert_eq!(most(0, 10, 3), Some(30));
        assert_eq!(most(2, 10, 3), Some(6), "no more at a time than in all");
        assert_eq!(most(0, u32::MAX, usize::MAX), Some(usize::MAX));
    }

    #[test]
    fn a_handler_of_wasi_0_2_has_one_connection_at_a_time() {
        let (one, two) = (policy(0, 1, 1), policy(0, 2, 0));
        for is_concurrent in [false, true] {
            one.check(is_concurrent).expect("one at a time");
        }
        two.check(true).expect("a program");
        let error = two.check(false).expect_err("a handler");
        let text = error.to_string();
        assert!(text.contains("one connection at a time"), "{text}");
        assert!(text.contains("max_instances"), "{text}");
    }

    #[test]
    fn an_instance_is_used_up_by_as_many_connections_as_it_may_serve() {
        assert!(policy(2, 1, 0).allows_another(1) && !policy(2, 1, 0).allows_another(2));
        assert!(policy(0, 1, 0).allows_another(u32::MAX));
    }
}
