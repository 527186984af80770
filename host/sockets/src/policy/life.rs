//! Whether a guest is still there, and the connections that it has by their streams alone.
//!
//! A guest of WASI 0.3 may drop a socket and go on with its streams. These are no entries of the resource table, and
//! are dropped with the store: this tells whether its guest has dropped them, and finds them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A connection that may have to be reset when its guest has failed.
pub(crate) trait Resettable: fmt::Debug + Send + Sync {
    /// Resets it, unless its end is the host's to decide.
    fn reset_with_guest(&self);
}

/// The life of one guest. Cheap to clone; the clones are the same life.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestLife(Arc<Life>);

#[derive(Debug, Default)]
struct Life {
    is_over: AtomicBool,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    last: u64,
    open: HashMap<u64, Weak<dyn Resettable>>,
}

impl GuestLife {
    /// Adds a connection, until what is returned is dropped.
    pub fn connect<C: Resettable + 'static>(&self, connection: &Arc<C>) -> Connected {
        let connection: Weak<dyn Resettable> = Arc::downgrade(connection) as _;
        let mut connections = self.connections();
        connections.last += 1;
        let number = connections.last;
        connections.open.insert(number, connection);
        drop(connections);
        Connected {
            life: self.clone(),
            number,
        }
    }

    /// From here on, what is dropped is not dropped by the guest.
    pub fn end(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }

    /// Resets all connections.
    pub fn reset_all(&self) {
        let open: Vec<_> = self.connections().open.values().cloned().collect();
        let open = open.iter().filter_map(Weak::upgrade);
        // Not under the lock: the last reference to one may be dropped here.
        open.for_each(|connection| connection.reset_with_guest());
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        // No code panics while it holds this lock.
        let connections = self.0.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of a guest.
#[derive(Debug)]
pub(crate) struct Connected {
    life: GuestLife,
    number: u64,
}

impl Connected {
    pub fn is_guest_running(&self) -> bool {
        !self.life.0.is_over.load(Ordering::Relaxed)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.life.connections().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl Resettable for Counted {
        fn reset_with_guest(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_connection_is_found_until_its_guest_has_dropped_it() {
        let life = GuestLife::default();
        let (held, dropped) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
        let connected = life.connect(&held);
        drop(life.connect(&dropped));
        assert!(connected.is_guest_running());
        life.end();
        life.reset_all();
        assert!(!connected.is_guest_running());
        let resets = |counted: &Counted| counted.0.load(Ordering::Relaxed);
        assert_eq!((resets(&held), resets(&dropped)), (1, 0));
        drop(connected);
        assert!(life.connections().open.is_empty());
    }
}
