//! One server takes the place of another one, with some of its listening sockets.

use super::{Life, Phase, refuse_connections, remove_files};
use crate::args::{NamedListening, NamedSource};
use crate::supervisor::start::Lent;
use crate::supervisor::tickets::KeptTickets;

/// What a server lends to the one that may take its place.
#[derive(Default)]
pub struct Loan {
    pub listeners: Vec<Lent>,
    pub tickets: Option<KeptTickets>,
}

/// What a server leaves to the one that takes its place.
#[derive(Default)]
pub struct Estate(pub Vec<NamedListening>);

impl Life {
    /// Takes over what the server has left whose place this one takes.
    pub fn inherit(&mut self, Estate(listening): Estate) {
        self.listening.extend(listening);
    }

    pub(super) fn hand_over(&mut self, kept: &[NamedSource]) -> Estate {
        // One that ends already leaves nothing.
        if !self.is_serving() {
            return Estate(Vec::new());
        }
        self.give_up_reload();
        let all = std::mem::take(&mut self.listening).into_iter();
        let (left, mut gone): (Vec<_>, Vec<_>) =
            all.partition(|named| kept.contains(&named.source));
        gone.iter().for_each(refuse_connections);
        gone.iter_mut().for_each(remove_files);
        self.workers.give_up_all(|source| kept.contains(source));
        self.workers.close_sockets();
        self.phase = Phase::Replaced;
        Estate(left)
    }
}
