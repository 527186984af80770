//! The keys of session tickets, which all workers share, so that a client can come back to any of them. They are
//! kept in memory only: a restart of the server forgets them, a reload or an upgrade does not.

use crate::control::Secret;
use crate::server::Plan;
#[cfg(feature = "tls")]
use evconn::TicketKeys;
use std::time::{Duration, Instant};

/// The keys, if there are session tickets.
pub struct Tickets {
    #[cfg(feature = "tls")]
    current: Option<Current>,
}

/// The keys in use, and since when they are.
#[cfg(feature = "tls")]
struct Current {
    keys: TicketKeys,
    since: Instant,
}

/// The keys of another server, whose tickets stay valid.
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there are none"))]
pub struct KeptTickets {
    pub keys: Secret,
    /// For how long they have been in use.
    pub age: Duration,
}

#[cfg(feature = "tls")]
impl Current {
    fn new(kept: Option<KeptTickets>) -> anyhow::Result<Self> {
        let now = Instant::now();
        let kept = kept.and_then(|KeptTickets { keys, age }| {
            Some(Self {
                keys: TicketKeys::from_bytes(&keys.0)?,
                since: now.checked_sub(age).unwrap_or(now),
            })
        });
        Ok(match kept {
            Some(kept) => kept,
            None => Self {
                keys: TicketKeys::generate()?,
                since: now,
            },
        })
    }
}

#[cfg(feature = "tls")]
impl Tickets {
    pub fn new(plan: &Plan, kept: Option<KeptTickets>) -> anyhow::Result<Self> {
        let current = match plan.ingress.has_tickets() {
            true => Some(Current::new(kept)?),
            false => None,
        };
        Ok(Self { current })
    }

    /// Returns the keys for a server that takes the place of this one.
    pub fn keep(&self) -> Option<KeptTickets> {
        Some(KeptTickets {
            keys: self.secret()?,
            age: self.current.as_ref()?.since.elapsed(),
        })
    }

    /// Returns the keys for a worker.
    pub fn secret(&self) -> Option<Secret> {
        let current = self.current.as_ref()?;
        Some(Secret(current.keys.to_bytes()))
    }

    /// Replaces the keys if it is time. Returns the new ones.
    pub fn rotate(&mut self, now: Instant) -> Option<Secret> {
        let current = self.current.as_mut()?;
        if now.saturating_duration_since(current.since) < TicketKeys::ROTATION {
            return None;
        }
        current.since = now;
        match current.keys.rotated() {
            Ok(keys) => current.keys = keys,
            Err(error) => {
                tracing::error!("the keys of session tickets stay the same: {error}");
                return None;
            }
        }
        self.secret()
    }
}

/// Without TLS there are none.
#[cfg(not(feature = "tls"))]
impl Tickets {
    pub fn new(_plan: &Plan, _kept: Option<KeptTickets>) -> anyhow::Result<Self> {
        Ok(Self {})
    }

    pub fn keep(&self) -> Option<KeptTickets> {
        None
    }

    pub fn secret(&self) -> Option<Secret> {
        None
    }

    pub fn rotate(&mut self, _now: Instant) -> Option<Secret> {
        None
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_in_time_and_the_last_ones_stay_valid() {
        let start = Instant::now();
        let mut tickets = Tickets {
            current: Some(Current {
                keys: TicketKeys::generate().expect("keys"),
                since: start,
            }),
        };
        let Secret(first) = tickets.secret().expect("keys");
        assert!(tickets.rotate(start + TicketKeys::ROTATION / 2).is_none());
        let rotated = tickets.rotate(start + TicketKeys::ROTATION);
        let Secret(second) = rotated.expect("new keys");
        assert_eq!(second[second.len() / 2..], first[..first.len() / 2]);
        assert_ne!(second[..second.len() / 2], first[..first.len() / 2]);
        assert!(tickets.rotate(start + TicketKeys::ROTATION).is_none());
        assert_eq!(tickets.secret().map(|Secret(keys)| keys), Some(second));
    }
}
