//! Logs what a program was denied, with the flag that would grant it.

use crate::Grants;
use crate::sockets::{Denial, OnDenied};
use std::sync::atomic::{AtomicU32, Ordering};

/// The most denials that are logged: a program may retry endlessly.
const LOGGED: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Denials {
    logged: AtomicU32,
}

impl OnDenied for Denials {
    fn denied(&self, denial: Denial<'_>) {
        let logged = self.logged.load(Ordering::Relaxed);
        if logged > LOGGED {
            return;
        }
        self.logged.store(logged + 1, Ordering::Relaxed);
        match denial {
            _ if logged == LOGGED => {
                tracing::warn!("further denials of the program are not logged")
            }
            Denial::AnySocket => tracing::warn!(
                "the program may not use sockets: grant them with --listen :PORT or --allow-connect \
                 HOST:PORT (in the library, GrantsBuilder::listen and connect)"
            ),
            Denial::Bind(address) | Denial::Listen(address) | Denial::Accept(address) => {
                let mut address = address;
                if matches!(denial, Denial::Accept(_)) {
                    // The system has chosen the port.
                    address.set_port(0);
                }
                tracing::warn!(
                    "the program {denial}: grant it with --listen {} before the component's name (in the \
                     library, GrantsBuilder::listen)",
                    Grants::missing_place(address)
                );
            }
            Denial::Connect(_)
            | Denial::LookUp(_)
            | Denial::LowPort(_)
            | Denial::AnyUdpSocket
            | Denial::UdpBind(_)
            | Denial::UdpSend(_)
            | Denial::Descriptors(_)
            | Denial::NoDescriptors
            | Denial::Unsent(_)
            | Denial::LookUps(_) => tracing::warn!("the program {denial}"),
        }
    }
}
