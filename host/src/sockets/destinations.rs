//! Which places a guest may connect to, and which names it may have looked up.

use super::destination::{Destination, Host};
use super::lookup::{Lookup, Name};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// All [`Destination`]s of a guest. Cheap to clone; the clones share what they know of names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Destinations(Arc<Vec<Place>>);

#[derive(Debug)]
struct Place {
    who: Who,
    port: u16,
}

#[derive(Debug)]
enum Who {
    Ip(IpAddr),
    Name(Arc<Name>),
}

/// Whether a guest may connect to an address.
pub(super) enum Verdict {
    Allowed,
    Refused,
    /// It is, if a name turns out to have that address.
    Unknown(Check),
}

/// Names that are being looked up, since one of them may have an address.
#[derive(Debug)]
pub(super) struct Check {
    ip: IpAddr,
    lookups: Vec<Lookup>,
}

impl Destinations {
    pub fn new<'a>(destinations: impl IntoIterator<Item = &'a Destination>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for destination in destinations {
            let who = match &destination.host {
                Host::Ip(ip) => Who::Ip(*ip),
                Host::Name(text) => Who::Name(match find(&places, text) {
                    Some(name) => Arc::clone(name),
                    None => Arc::new(Name::new(text.clone())),
                }),
            };
            let port = destination.port;
            places.push(Place { who, port });
        }
        Self(Arc::new(places))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name, if it may be looked up.
    pub(super) fn name(&self, text: &str) -> Option<&Arc<Name>> {
        find(&self.0, text)
    }

    /// Whether a guest may connect to `address`. If it takes a look-up to know, that is begun.
    pub(super) fn check(&self, address: SocketAddr) -> Verdict {
        let ip = address.ip().to_canonical();
        let mut names = Vec::new();
        for place in self.0.iter().filter(|place| place.port == address.port()) {
            match &place.who {
                Who::Ip(allowed) if *allowed == ip => return Verdict::Allowed,
                Who::Name(name) if name.remembers(ip) => return Verdict::Allowed,
                Who::Ip(_) => {}
                Who::Name(name) => names.push(name),
            }
        }
        let lookups = names.into_iter().map(Name::look_up).collect();
        let check = Check { ip, lookups };
        match check.outcome() {
            Some(true) => Verdict::Allowed,
            Some(false) => Verdict::Refused,
            None => Verdict::Unknown(check),
        }
    }
}

fn find<'a>(places: &'a [Place], text: &str) -> Option<&'a Arc<Name>> {
    places.iter().find_map(|place| match &place.who {
        Who::Name(name) if name.as_str() == text => Some(name),
        Who::Name(_) | Who::Ip(_) => None,
    })
}

impl Check {
    /// Whether one of the names has the address, as soon as that is known.
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

    /// Wait until it is known.
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
        Destinations::new(&all)
    }

    async fn allows(destinations: &Destinations, address: &str) -> bool {
        match destinations.check(address.parse().expect("an address")) {
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
        assert!(none.is_empty() && !allows(&none, "127.0.0.1:80").await);
        let some = destinations(&["192.0.2.1:80", "[2001:db8::1]:81"]);
        assert!(!some.is_empty());
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
        let names: Vec<_> = some.0.iter().map(|place| &place.who).collect();
        let [Who::Name(one), Who::Name(same), Who::Name(_)] = names[..] else {
            panic!("{names:?}");
        };
        assert!(Arc::ptr_eq(one, same));
        assert!(some.name("localhost").is_some() && some.name("192.0.2.1").is_none());
    }
}
