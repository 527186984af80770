//! What a guest was granted, and what is told of the rest: the host's own sockets alone have this.

use crate::sockets::case::Case;
use crate::sockets::linked::Implementation;
use evconn::sockets::{Denial, Destination, Destinations, OnDenied, Protocol, Resolver};
use futures_util::future::BoxFuture;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Knows one address.
#[derive(Debug)]
struct Loopback;

impl Resolver for Loopback {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![IP]) })
    }
}

#[derive(Debug, Default)]
struct Denials(Mutex<Vec<String>>);

impl OnDenied for Denials {
    fn denied(&self, denial: Denial<'_>) {
        self.0.lock().expect("no panic").push(denial.to_string());
    }
}

/// Runs a case whose guest may connect to a port of `db.example`, and returns what it was denied.
fn denied(name: &'static str, port: u16, addresses: &[SocketAddr], says: &[&str]) -> Vec<String> {
    let _open = crate::support::descriptors::unchanged();
    let denials = Arc::new(Denials::default());
    let destination: Destination = format!("db.example:{port}").parse().expect("a destination");
    let destinations = Destinations::new([(Protocol::Tcp, &destination)]);
    let destinations = destinations.with_resolver(Arc::new(Loopback));
    let on_denied: Arc<dyn OnDenied> = Arc::clone(&denials) as _;
    crate::sockets::case::run_async(Implementation::Own, name, IP, async |mut case: Case| {
        case.setup.granted = Some((destinations, on_denied));
        case.start(addresses).ends(says).await;
    });
    std::mem::take(&mut *denials.0.lock().expect("no panic"))
}

#[test]
fn names_that_were_granted_are_resolved_and_no_others() {
    let says = [
        "192.0.2.1: 1 addresses",
        "db.example: 1 addresses",
        "other.example: permanent-resolver-failure",
        "no name: invalid-argument",
    ];
    let denied = denied("granted::names", 80, &[], &says);
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(denied[0].contains("other.example"), "{denied:?}");
}

#[test]
fn a_connect_waits_until_it_is_known_whose_address_it_is() {
    let listen = || TcpListener::bind((IP, 0)).expect("a listener");
    let address = |listener: &TcpListener| listener.local_addr().expect("an address");
    let (granted, other) = (listen(), listen());
    let addresses = [address(&granted), address(&other)];
    let says = ["the granted one: ok", "another: access-denied"];
    let denied = denied(
        "granted::by_address",
        addresses[0].port(),
        &addresses,
        &says,
    );
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(denied[0].contains(&addresses[1].to_string()), "{denied:?}");
}

#[test]
fn a_guest_without_a_grant_has_no_udp_sockets() {
    let denied = denied("granted::udp", 80, &[], &["create: access-denied"]);
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(denied[0].contains("UDP"), "{denied:?}");
}
