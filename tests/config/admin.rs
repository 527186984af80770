//! The services of a configuration have one admin endpoint.

use super::{Config, HANDLER, address_for, reload, service};
use crate::support::descriptors::unchanged;
use crate::support::http::Admin;
use crate::support::peer::{ask, connect};
use crate::support::process::Evconn;
use crate::support::{eventually, free_port};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Two services of the handler, and their endpoint.
struct Two {
    config: Config,
    evconn: Evconn,
    admin: Admin,
    addresses: [SocketAddr; 2],
}

impl Two {
    fn start() -> Self {
        let addresses = [(); 2].map(|()| free_port());
        let config = Config::new(&text(addresses, "127.0.0.1:0", ""));
        let evconn = config.start(&[]);
        let admin = Admin::of(&evconn);
        let addresses = ["a", "b"].map(|name| address_for(name, &evconn));
        Self {
            config,
            evconn,
            admin,
            addresses,
        }
    }

    fn text(&self, more: &str) -> String {
        text(self.addresses, "127.0.0.1:0", more)
    }

    /// A connection of a service, which the endpoint knows.
    fn peer(&self, of: usize) -> (TcpStream, Value) {
        let mut peer = connect(self.addresses[of]);
        ask(&mut peer, "echo\nhi", "hi");
        let name = peer.local_addr().expect("an address").to_string();
        let row = self.row(&name).expect("it is listed");
        (peer, row)
    }

    fn row(&self, peer: &str) -> Option<Value> {
        let list = self.admin.get("/connections").json();
        let rows = list["connections"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["peer"] == peer)
    }

    fn value(&self, sample: &str) -> Option<f64> {
        let metrics = self.admin.get("/metrics");
        let mut lines = metrics.body.lines();
        lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
    }

    fn end(self) {
        self.evconn.signal(Signal::TERM);
        assert!(self.evconn.wait().status.success());
    }
}

/// `more` is of the first service.
fn text([a, b]: [SocketAddr; 2], admin: &str, more: &str) -> String {
    let a = service("a", HANDLER, &a.to_string(), more);
    let b = service("b", HANDLER, &b.to_string(), "");
    format!("admin = '{admin}'\n{a}{b}")
}

#[test]
fn metrics_have_the_name_of_the_service() {
    let _open = unchanged();
    let two = Two::start();
    let (peer, _) = two.peer(0);
    for (service, open) in [("a", 1.0), ("b", 0.0)] {
        let sample = |name: &str| two.value(&format!("evconn_{name}{{service=\"{service}\"}}"));
        assert_eq!(sample("connections_open"), Some(open));
        assert_eq!(sample("connections_accepted_total"), Some(open));
        let worker = format!("evconn_process_open_fds{{service=\"{service}\",process=\"0\"}}");
        assert!(two.value(&worker).is_some_and(|count| count > 3.0));
    }
    // The supervisor is one process.
    assert!(
        two.value("evconn_process_open_fds{process=\"main\"}")
            .is_some()
    );
    let metrics = two.admin.get("/metrics");
    let samples = metrics.body.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, _)| name)
        .collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), different.len(), "{metrics:?}");
    drop(peer);
    two.end();
}

#[test]
fn the_status_has_each_service() {
    let _open = unchanged();
    let two = Two::start();
    let status = two.admin.get("/status").json();
    assert_eq!(status["state"], "ready");
    let services = status["services"].as_array().expect("services");
    let mut workers = BTreeSet::new();
    for (service, (name, address)) in services.iter().zip(["a", "b"].iter().zip(two.addresses)) {
        assert_eq!(service["name"], *name, "{status}");
        assert_eq!(service["state"], "ready", "{status}");
        assert_eq!(
            service["listeners"],
            serde_json::json!([address.to_string()])
        );
        workers.insert(service["workers"][0]["number"].as_u64());
    }
    assert_eq!(services.len(), 2, "{status}");
    assert_eq!(
        workers.len(),
        2,
        "no two workers have the same number: {status}"
    );
    two.end();
}

#[test]
fn a_connection_is_reset_by_its_number_and_its_worker() {
    let _open = unchanged();
    let two = Two::start();
    let peers = [two.peer(0), two.peer(1)];
    for ((_, row), service) in peers.iter().zip(["a", "b"]) {
        assert_eq!(row["service"], service);
    }
    let [(mut first, _), (_second, row)] = peers;
    let path = format!("/connections/{}/reset", row["number"]);
    let refused = two.admin.post(&path, "");
    assert!(refused.is(400).contains("add ?worker=N"), "{refused:?}");
    let wrong = two.admin.post(&format!("{path}?worker=x"), "");
    assert!(wrong.is(400).contains("number of a worker"), "{wrong:?}");
    two.admin.post(&format!("{path}?worker=4711"), "").is(404);
    two.admin
        .post(&format!("{path}?worker={}", row["worker"]), "")
        .is(200);
    eventually("it is gone", || {
        two.row(row["peer"].as_str().expect("a name"))
            .is_none()
            .then_some(())
    });
    // The other one has the same number.
    ask(&mut first, "more", "more");
    drop(first);
    two.end();
}

#[test]
fn one_service_can_be_drained_and_comes_back_with_a_reload() {
    let _open = unchanged();
    let two = Two::start();
    let unknown = two.admin.post("/drain?service=c", "");
    assert!(unknown.is(404).contains("\"c\""), "{unknown:?}");
    two.admin.post("/drain?service=a", "").is(200);
    eventually("it has ended", || {
        TcpStream::connect(two.addresses[0]).is_err().then_some(())
    });
    assert_eq!(two.admin.get("/readyz").is(200), "ready\n");
    ask(&mut connect(two.addresses[1]), "echo\nhi\n", "hi\n");
    let answer = two.admin.post("/reload", "");
    assert_eq!(
        answer.is(200),
        "configuration reloaded, changed: a; b: component reloaded, for new connections\n"
    );
    ask(&mut connect(two.addresses[0]), "echo\nhi\n", "hi\n");
    two.admin.post("/drain", "").is(200);
    assert!(two.evconn.wait().status.success());
}

#[test]
fn a_request_reloads_the_configuration() {
    let _open = unchanged();
    let two = Two::start();
    let (mut peer, row) = two.peer(0);
    std::fs::write(&two.config.file, two.text("env = 'NEW=1'")).expect("written");
    let answer = two.admin.post("/reload", "");
    assert_eq!(
        answer.is(200),
        "configuration reloaded, changed: a; b: component reloaded, for new connections\n"
    );
    // The endpoint still knows those of before, and what was counted.
    let old = two
        .row(row["peer"].as_str().expect("a name"))
        .expect("it is listed");
    assert_eq!(old["worker"], row["worker"]);
    let (new_peer, new) = two.peer(0);
    assert_ne!(new["worker"], row["worker"]);
    let sample = |name: &str| two.value(&format!("evconn_{name}{{service=\"a\"}}"));
    assert_eq!(sample("connections_open"), Some(2.0));
    assert_eq!(sample("connections_accepted_total"), Some(2.0));
    let status = two.admin.get("/status").json();
    let services = status["services"].as_array().expect("services");
    let names: Vec<_> = services.iter().map(|service| &service["name"]).collect();
    assert_eq!(names, ["a", "b"], "in the order of the file");
    let workers = services.iter();
    let mut of_a = workers.filter(|service| service["name"] == "a");
    let workers = of_a.next().expect("it is there")["workers"]
        .as_array()
        .cloned();
    let members: BTreeSet<_> = workers
        .iter()
        .flatten()
        .map(|worker| worker["member"].as_u64())
        .collect();
    assert_eq!(members.len(), 2, "{status}");
    ask(&mut peer, "more", "more");
    drop(peer);
    eventually("the old worker has ended", || {
        (sample("connections_open") == Some(1.0)).then_some(())
    });
    assert_eq!(sample("connections_accepted_total"), Some(2.0));
    drop(new_peer);
    two.end();
}

#[test]
fn a_reload_that_fails_is_answered_with_the_reason() {
    let _open = unchanged();
    let two = Two::start();
    std::fs::write(&two.config.file, two.text("reuse = 'x'")).expect("written");
    let answer = two.admin.post("/reload", "");
    assert!(
        answer.is(500).contains("invalid value `x` for `reuse`"),
        "{answer:?}"
    );
    assert_eq!(answer.body.lines().count(), 1);
    two.end();
}

#[test]
fn a_reload_moves_the_endpoint() {
    let _open = unchanged();
    let two = Two::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let of = |admin: SocketAddr| text(two.addresses, &admin.to_string(), "");
    let taken_at = taken.local_addr().expect("an address");
    reload(
        &two.config,
        &two.evconn,
        &of(taken_at),
        "cannot listen for --admin",
    );
    assert_eq!(two.admin.get("/readyz").is(200), "ready\n");
    let new = free_port();
    reload(
        &two.config,
        &two.evconn,
        &of(new),
        "INFO configuration reloaded",
    );
    assert_eq!(Admin(new).get("/readyz").is(200), "ready\n");
    assert!(
        TcpStream::connect(two.admin.0).is_err(),
        "the old one is closed"
    );
    two.end();
}

#[test]
fn the_flag_wins() {
    let _open = unchanged();
    let config = Config::of_two("");
    let evconn = config.start(&["--admin", "127.0.0.1:0"]);
    let admin = Admin::of(&evconn);
    address_for("handler", &evconn);
    assert_eq!(admin.get("/readyz").is(200), "ready\n");
    evconn.signal(Signal::TERM);
    assert!(evconn.wait().status.success());
}
