//! Decides what a store's sockets may do, by the rules for its guest and the state of its other sockets.

use super::account::{Account, Charge, Counted};
use super::denial::{Denial, OnDenied};
use super::destinations::{Destinations, Protocol, Verdict};
use super::life::GuestLife;
use super::own::{self, Claim, Own};
use super::place::Place;
use super::rule::{Policy, Use};
use super::udp::{DatagramCharges, UdpRules};
use crate::error::ErrorCode;
use crate::sys::TcpOptions;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The configuration of a store's TCP sockets. The sockets themselves are in the resource table.
///
/// Cheap to clone; the clones share the policy's counters, and are for one store each.
#[derive(Debug)]
pub struct TcpCtx {
    rules: Arc<Rules>,
    /// Receives the guest's denials.
    on_denied: Option<Arc<dyn OnDenied>>,
    /// The addresses of the guest's sockets. None if no rule depends on them.
    own: Option<Arc<Own>>,
    /// What the guest uses. None: it is not counted.
    account: Option<Account>,
    datagram_charges: DatagramCharges,
    /// Whether the guest is there.
    life: GuestLife,
}

impl Clone for TcpCtx {
    /// Returns the same configuration for another store.
    fn clone(&self) -> Self {
        Self {
            life: GuestLife::default(),
            ..self.share()
        }
    }
}

#[derive(Clone, Debug)]
struct Rules {
    policy: Policy,
    /// Destinations that are allowed in addition to the policy.
    destinations: Destinations,
    /// Addresses for listeners that are allowed in addition to the policy.
    places: Vec<Place>,
    /// Length of the accept queue of each listener, whatever the guest requests.
    backlog: Option<NonZeroU32>,
    udp: UdpRules,
    options: TcpOptions,
}

impl TcpCtx {
    /// Returns the configuration for sockets that may do what `policy` allows, with the default
    /// [`TcpOptions`].
    pub fn new(policy: Policy) -> Self {
        Self {
            rules: Arc::new(Rules {
                policy,
                destinations: Destinations::default(),
                places: Vec::new(),
                backlog: None,
                udp: UdpRules::default(),
                options: TcpOptions::default(),
            }),
            on_denied: None,
            own: None,
            account: None,
            datagram_charges: DatagramCharges::default(),
            life: GuestLife::default(),
        }
    }

    /// Returns the same for what belongs to the same store.
    pub(crate) fn share(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            on_denied: self.on_denied.clone(),
            own: self.own.clone(),
            account: self.account.clone(),
            datagram_charges: self.datagram_charges.clone(),
            life: self.life.clone(),
        }
    }

    /// Sets how the sockets are set up.
    pub fn options(mut self, options: TcpOptions) -> Self {
        self.rules_mut().options = options;
        self
    }

    /// Sets the destinations that are allowed in addition to the policy.
    pub fn with_destinations(mut self, destinations: Destinations) -> Self {
        self.rules_mut().destinations = destinations;
        self
    }

    /// Sets the addresses for listeners that are allowed in addition to the policy.
    pub fn with_places(mut self, places: Vec<Place>) -> Self {
        self.rules_mut().places = places;
        self
    }

    /// Sets the length of the accept queue, whatever the guest requests.
    pub fn with_backlog(mut self, backlog: Option<NonZeroU32>) -> Self {
        self.rules_mut().backlog = backlog;
        self
    }

    /// Sets what the guest may do with UDP.
    pub fn with_udp(mut self, udp: UdpRules) -> Self {
        self.rules_mut().udp = udp;
        self
    }

    /// Returns what the guest may do with UDP.
    pub fn udp(&self) -> &UdpRules {
        &self.rules.udp
    }

    /// Charges the sockets, and what is written to them, to this account. By default, they are not counted.
    pub fn with_account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self.datagram_charges = DatagramCharges::default();
        self
    }

    /// Returns what is charged for the guest's UDP sockets.
    pub(crate) fn datagram_charges(&self) -> &DatagramCharges {
        &self.datagram_charges
    }

    /// Returns the account to which the sockets are charged.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Returns whether the guest is there, and the connections that it has by their streams alone.
    pub(crate) fn life(&self) -> &GuestLife {
        &self.life
    }

    /// Charges the descriptor of a socket that is about to be opened.
    pub(crate) fn charge_descriptor(&self) -> Result<Option<Charge>, ErrorCode> {
        let charge = |account: &Account| account.charge(Counted::Descriptors, 1);
        let charged = self.account.as_ref().map(charge).transpose();
        charged.map_err(|_| ErrorCode::NewSocketLimit)
    }

    fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }

    /// Returns the configuration for one guest, which reports its denials. If the guest was granted sockets,
    /// the rules take its other sockets into account.
    pub fn for_guest(mut self, on_denied: Arc<dyn OnDenied>) -> Self {
        let has_grant = self.rules.destinations.has(Protocol::Tcp)
            || !self.rules.places.is_empty()
            || self.rules.udp.allows_sockets();
        self.own = has_grant.then(Arc::default);
        self.on_denied = Some(on_denied);
        self
    }

    /// Does the same for a guest that may connect to itself, even without a grant.
    pub fn for_program(self, on_denied: Arc<dyn OnDenied>) -> Self {
        let mut ctx = self.for_guest(on_denied);
        ctx.own.get_or_insert_default();
        ctx
    }

    /// Returns how the sockets are set up.
    pub(crate) fn tcp_options(&self) -> &TcpOptions {
        &self.rules.options
    }

    /// Returns the policy, without the additional grants.
    pub(crate) fn policy(&self) -> &Policy {
        &self.rules.policy
    }

    pub(crate) fn destinations(&self) -> &Destinations {
        &self.rules.destinations
    }

    pub(crate) fn on_denied(&self) -> Option<&Arc<dyn OnDenied>> {
        self.on_denied.as_ref()
    }

    pub(crate) fn tell(&self, denial: Denial<'_>) {
        if let Some(on_denied) = &self.on_denied {
            on_denied.denied(denial);
        }
    }

    fn deny(&self, denial: Denial<'_>) -> bool {
        self.tell(denial);
        false
    }

    fn own(&self) -> Option<&Own> {
        self.own.as_deref()
    }

    /// Returns the length of the accept queue for a guest that requests `asked`.
    pub(crate) fn backlog(&self, asked: i32) -> i32 {
        let queue = |count: NonZeroU32| i32::try_from(count.get()).unwrap_or(i32::MAX);
        self.rules.backlog.map_or(asked, queue)
    }

    /// Returns whether the guest may have sockets.
    pub(crate) fn allows_sockets(&self) -> bool {
        let has_own = self.own.is_some() || self.rules.destinations.has(Protocol::Tcp);
        has_own || self.rules.policy.allows_sockets() || self.deny(Denial::AnySocket)
    }

    pub(crate) fn allows_bind(&self, address: SocketAddr) -> bool {
        let is_granted = |place: &Place| place.allows_bind(address, self.own());
        self.rules.places.iter().any(is_granted)
            || self.may_be_private(address) && address.port() == 0
            || self.rules.policy.allows(address, Use::Bind)
            || self.deny(Denial::Bind(self.as_asked(address)))
    }

    pub(crate) fn allows_listen(&self, address: SocketAddr) -> bool {
        self.may_listen_for_others(address)
            || self.is_private(address)
            || self.rules.policy.allows(address, Use::Listen)
            || self.deny(Denial::Listen(self.as_asked(address)))
    }

    fn may_listen_for_others(&self, address: SocketAddr) -> bool {
        let is_granted = |place: &Place| place.allows_listen(address, self.own());
        self.rules.places.iter().any(is_granted) || self.rules.policy.permits(address, Use::Listen)
    }

    /// Returns whether the guest may have a private listener here.
    fn is_private(&self, address: SocketAddr) -> bool {
        self.may_be_private(address) && self.own().is_some_and(|own| own.is_chosen(address))
    }

    fn may_be_private(&self, address: SocketAddr) -> bool {
        self.own.is_some() && own::may_be_private(address)
    }

    fn as_asked(&self, address: SocketAddr) -> SocketAddr {
        self.own().map_or(address, |own| own.as_asked(address))
    }

    /// Reports a bind that the guest may do, but that the operating system does not permit to this process.
    pub(crate) fn bind_failed(&self, address: SocketAddr, error: &io::Error) {
        let is_low = (1..1024).contains(&address.port());
        if is_low && error.kind() == io::ErrorKind::PermissionDenied {
            self.tell(Denial::LowPort(address));
        }
    }

    /// Records the address of a socket that was bound.
    pub(crate) fn bound(
        &self,
        asked: SocketAddr,
        bound: impl FnOnce() -> io::Result<SocketAddr>,
    ) -> Option<Claim> {
        let own = self.own.as_ref()?;
        // A bound socket always has an address.
        own.bound(asked, bound().ok()?)
    }

    /// Records the address of a listener. Returns the claims, and the policy for its peers.
    pub(crate) fn listens(&self, address: SocketAddr) -> (Vec<Claim>, Policy) {
        let Some(own) = &self.own else {
            return (Vec::new(), self.rules.policy.clone());
        };
        let listening = own.listens(address);
        let is_granted = |place: &Place| place.allows_listen(address, Some(own));
        if self.rules.places.iter().any(is_granted) {
            // A listener with a grant accepts any peer.
            (vec![listening], Policy::allow_all())
        } else if self.may_listen_for_others(address) || !self.is_private(address) {
            (vec![listening], self.rules.policy.clone())
        } else {
            let ctx = Self {
                own: None,
                ..self.share()
            };
            let refused = move || ctx.tell(Denial::Accept(address));
            let policy = own.policy(address, refused);
            (vec![listening, own.listens_privately(address)], policy)
        }
    }

    /// Records that a socket has started to connect.
    pub(crate) fn connects(
        &self,
        remote: SocketAddr,
        local: impl FnOnce() -> io::Result<SocketAddr>,
    ) {
        if let Some(own) = &self.own
            && remote.ip().is_loopback()
            && let Ok(local) = local()
        {
            own.connects(local, remote);
        }
    }

    /// Returns whether the guest may connect, if that is known already.
    pub(crate) fn check_connect(&self, address: SocketAddr) -> Verdict {
        if self.own().is_some_and(|own| own.listens_at(address)) {
            return Verdict::Allowed;
        }
        match self.rules.destinations.check(Protocol::Tcp, address) {
            // The guest need not wait for the look-up.
            Verdict::Unknown(_) if self.rules.policy.permits(address, Use::Connect) => {
                Verdict::Allowed
            }
            Verdict::Refused if self.policy_allows_connect(address) => Verdict::Allowed,
            verdict => verdict,
        }
    }

    /// Returns whether the policy allows the guest to connect to an address that is not one of its
    /// destinations.
    pub(crate) fn policy_allows_connect(&self, address: SocketAddr) -> bool {
        self.rules.policy.allows(address, Use::Connect)
            || self.deny(Denial::Connect(self.as_asked(address)))
    }
}
