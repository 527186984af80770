//! The destinations that a guest may connect to, and the names that it may look up.

use super::account::{Account, Counted, UsedUp};
use super::destination::{Destination, Target};
use super::lookup::{Lookup, Name};
use super::resolver::Resolver;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// All [`Destination`]s of a guest. Cheap to clone; the clones share the results of look-ups.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    entries: Arc<Vec<Entry>>,
    /// Whether names that belong to no destination may be looked up, too.
    all_names: bool,
    /// None: the operating system.
    resolver: Option<Arc<dyn Resolver>>,
}

/// The protocol that a destination is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

#[derive(Debug)]
struct Entry {
    protocol: Protocol,
    who: Who,
    ports: RangeInclusive<u16>,
}

#[derive(Debug)]
enum Who {
    Net(IpNet),
    Name(Arc<Name>),
}

/// Whether a guest may connect to an address, or send to it.
pub enum Verdict {
    Allowed,
    Refused,
    /// Allowed if a pending look-up finds the address.
    Unknown(Check),
}

/// The pending look-ups of the names that may have an address.
#[derive(Clone, Debug)]
pub struct Check {
    ip: IpAddr,
    lookups: Vec<Lookup>,
}

impl Destinations {
    /// Returns these destinations, each for one protocol.
    pub fn new<'a>(destinations: impl IntoIterator<Item = (Protocol, &'a Destination)>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (protocol, Destination { target, ports }) in destinations {
            let who = match target {
                Target::Net(network) => Who::Net(*network),
                Target::Name(text) => Who::Name(match find(&entries, text) {
                    Some(name) => Arc::clone(name),
                    None => Arc::new(Name::new(text.clone())),
                }),
            };
            let ports = ports.clone();
            entries.push(Entry {
                protocol,
                who,
                ports,
            });
        }
        Self {
            entries: Arc::new(entries),
            all_names: false,
            resolver: None,
        }
    }

    /// Sets whether any name may be looked up.
    pub fn with_all_names(mut self, all: bool) -> Self {
        self.all_names = all;
        self
    }

    /// Sets who resolves names. Defaults to the operating system.
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Returns whether there is a destination for this protocol.
    pub fn has(&self, protocol: Protocol) -> bool {
        self.entries.iter().any(|entry| entry.protocol == protocol)
    }

    /// Starts to look a name up, if that is allowed. A name that was not granted by itself is charged to the
    /// account.
    pub(crate) fn look_up(
        &self,
        text: &str,
        account: Option<&Account>,
    ) -> Option<Result<Lookup, UsedUp>> {
        let name = self.name(text)?;
        let charge = |account: &Account| account.charge(Counted::LookUps, 1);
        let account = account.filter(|_| !name.is_granted());
        let charged = account.map(charge).transpose();
        Some(charged.map(|charged| name.look_up(self.resolver.as_ref(), charged)))
    }

    fn name(&self, text: &str) -> Option<Arc<Name>> {
        let other = || self.all_names.then(|| Arc::new(Name::any(text.to_owned())));
        find(&self.entries, text).cloned().or_else(other)
    }

    /// Returns whether a guest may connect to `address`, or send to it. Starts the look-ups that the answer
    /// requires.
    pub fn check(&self, protocol: Protocol, address: SocketAddr) -> Verdict {
        let ip = address.ip().to_canonical();
        let is_for =
            |entry: &&Entry| entry.protocol == protocol && entry.ports.contains(&address.port());
        let mut names = Vec::new();
        for entry in self.entries.iter().filter(is_for) {
            match &entry.who {
                Who::Net(network) if network.contains(&ip) => return Verdict::Allowed,
                Who::Name(name) if name.remembers(ip) => return Verdict::Allowed,
                Who::Net(_) => {}
                Who::Name(name) => names.push(name),
            }
        }
        let look_up = |name: &Arc<Name>| name.look_up(self.resolver.as_ref(), None);
        let lookups = names.into_iter().map(look_up).collect();
        let check = Check { ip, lookups };
        match check.outcome() {
            Some(true) => Verdict::Allowed,
            Some(false) => Verdict::Refused,
            None => Verdict::Unknown(check),
        }
    }
}

fn find<'a>(entries: &'a [Entry], text: &str) -> Option<&'a Arc<Name>> {
    entries.iter().find_map(|entry| match &entry.who {
        Who::Name(name) if name.as_str() == text => Some(name),
        Who::Name(_) | Who::Net(_) => None,
    })
}

impl Check {
    /// Returns whether one of the names has the address, or None while that is not known.
    pub fn outcome(&self) -> Option<bool> {
        let has = |lookup: &Lookup| match lookup.outcome()? {
            Ok(addresses) => Some(addresses.contains(&self.ip)),
            Err(_) => Some(false),
        };
        let outcomes: Vec<_> = self.lookups.iter().map(has).collect();
        if outcomes.contains(&Some(true)) {
            return Some(true);
        }
        (!outcomes.contains(&None)).then_some(false)
    }

    /// Waits until the outcome is known.
    pub async fn done(&self) {
        for lookup in &self.lookups {
            if self.outcome().is_some() {
                return;
            }
            lookup.done().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(texts: &[&str]) -> Destinations {
        let all: Vec<Destination> = texts
            .iter()
            .map(|text| text.parse().expect("a destination"))
            .collect();
        Destinations::new(all.iter().map(|destination| (Protocol::Tcp, destination)))
    }

    async fn allows(destinations: &Destinations, address: &str) -> bool {
        match destinations.check(Protocol::Tcp, address.parse().expect("an address")) {
            Verdict::Allowed => true,
            Verdict::Refused => false,
            Verdict::Unknown(check) => {
                check.done().await;
                check.outcome().expect("it is known")
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_allowed_but_what_is_named() {
        let none = Destinations::default();
        assert!(!none.has(Protocol::Tcp) && !allows(&none, "127.0.0.1:80").await);
        let some = destinations(&["192.0.2.1:80", "[2001:db8::1]:81"]);
        assert!(some.has(Protocol::Tcp) && !some.has(Protocol::Udp));
        assert!(allows(&some, "192.0.2.1:80").await);
        assert!(allows(&some, "[2001:db8::1]:81").await);
        for address in ["192.0.2.1:81", "192.0.2.2:80", "[2001:db8::1]:80"] {
            assert!(!allows(&some, address).await, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_its_addresses_though_nobody_has_asked_for_them() {
        let some = destinations(&["localhost:80", "nothing.invalid:80"]);
        assert!(!allows(&some, "192.0.2.1:80").await);
        assert!(!allows(&some, "127.0.0.1:81").await);
        assert!(allows(&some, "127.0.0.1:80").await);
    }

    #[test]
    fn a_name_with_two_ports_is_one_name() {
        let some = destinations(&["localhost:80", "localhost:81", "other.example:80"]);
        let names: Vec<_> = some.entries.iter().map(|entry| &entry.who).collect();
        let [Who::Name(one), Who::Name(same), Who::Name(_)] = names[..] else {
            panic!("{names:?}");
        };
        assert!(Arc::ptr_eq(one, same));
        assert!(some.name("localhost").is_some() && some.name("192.0.2.1").is_none());
    }

    #[tokio::test]
    async fn a_network_has_its_addresses_and_a_range_its_ports() {
        let some = destinations(&["10.0.0.0/8:8000-8100", "[2001:db8::]/32:*"]);
        for address in ["10.0.0.1:8000", "10.255.0.1:8100", "[2001:db8:1::1]:1"] {
            assert!(allows(&some, address).await, "{address}");
        }
        for address in ["10.0.0.1:7999", "11.0.0.1:8000", "[2001:db9::1]:1"] {
            assert!(!allows(&some, address).await, "{address}");
        }
    }

    #[tokio::test]
    async fn what_is_for_datagrams_is_not_for_connections() {
        let destination = "192.0.2.1:53".parse().expect("a destination");
        let some = Destinations::new([(Protocol::Udp, &destination)]);
        assert!(!allows(&some, "192.0.2.1:53").await && !some.has(Protocol::Tcp));
        let address = "192.0.2.1:53".parse().expect("an address");
        assert!(matches!(
            some.check(Protocol::Udp, address),
            Verdict::Allowed
        ));
    }

    #[test]
    fn any_name_may_be_looked_up_where_that_is_granted() {
        let all = destinations(&["localhost:80"]).with_all_names(true);
        assert!(all.name("other.example").is_some());
        let (one, same) = (all.name("localhost"), all.name("localhost"));
        assert!(Arc::ptr_eq(&one.expect("granted"), &same.expect("granted")));
    }
}
