//! What a program was refused is logged, with the flag that would grant it.

use crate::Grants;
use crate::sockets::{Denial, OnDenied};
use std::sync::atomic::{AtomicU32, Ordering};

/// The most denials that are told. A program may try again and again.
const TOLD: u32 = 10;

#[derive(Debug)]
pub(super) struct Denials {
    grants: Grants,
    told: AtomicU32,
}

impl Denials {
    /// Of a program that has these grants.
    pub fn new(grants: Grants) -> Self {
        Self {
            grants,
            told: AtomicU32::new(0),
        }
    }
}

impl OnDenied for Denials {
    fn denied(&self, denial: Denial<'_>) {
        let told = self.told.load(Ordering::Relaxed);
        if told > TOLD {
            return;
        }
        self.told.store(told + 1, Ordering::Relaxed);
        match denial {
            _ if told == TOLD => tracing::warn!("what else the program may not do is not told"),
            Denial::AnySocket => tracing::warn!(
                "the program may have no sockets: grant it with --listen :PORT or --allow-connect \
                 HOST:PORT (in the library, GrantsBuilder::listen and connect)"
            ),
            Denial::Bind(address) | Denial::Listen(address) => tracing::warn!(
                "the program {denial}: grant it with --listen {} before the component's name (in the \
                 library, GrantsBuilder::listen)",
                self.grants.missing_place(address)
            ),
            Denial::Connect(_) | Denial::LookUp(_) => tracing::warn!("the program {denial}"),
        }
    }
}
