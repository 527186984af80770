//! The options of a listener.

use crate::{Duration, Settings};

/// The default backlog: Linux's default for `net.core.somaxconn` since 5.4.
const DEFAULT_BACKLOG: u32 = 4096;

/// The values of the options of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The maximum length of the accept queue: at least 1.
    pub backlog: u32,
    /// Whether there is an IPv6 and an IPv4 socket on one port.
    pub dual_stack: bool,
    /// Whether the listener is restricted to IPv6.
    pub ipv6_only: bool,
    /// Whether several listeners may bind one address and port.
    pub reuse_port: bool,
    /// The limits of deferred accept, if it is on.
    pub deferred: Option<Deferral>,
    /// The initial settings.
    pub settings: Settings,
}

/// The limits of deferred accept.
#[derive(Clone, Copy, Debug)]
pub struct Deferral {
    /// The maximum number of held connections: at least 1.
    pub max_held: u32,
    /// How long a connection is held, in nanoseconds.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backlog: DEFAULT_BACKLOG,
            dual_stack: false,
            ipv6_only: false,
            reuse_port: false,
            deferred: None,
            settings: Settings {
                enabled: true,
                callback: None,
                error_callback: None,
            },
        }
    }
}
