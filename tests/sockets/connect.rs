//! `start-connect` and `finish-connect`.

use super::case::Case;
use super::linked::Grant;
use crate::support::within;
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, SocketAddr, TcpStream};

pub async fn live(case: Case) {
    case.says(&[
        "start: ok",
        "finish: ok",
        "remote: the same",
        "local: the same",
        "finish again: not-in-progress",
    ])
    .await;
}

pub async fn refused(case: Case) {
    case.says(&["connect: connection-refused"]).await;
}

pub async fn refused_addresses(case: Case) {
    let addresses = if case.ip.is_ipv4() {
        ["port 0", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1"]
    } else {
        ["port 0", "::", "ff02::1", "::ffff:127.0.0.1", "127.0.0.1"]
    };
    let lines = addresses.map(|ip| format!("{ip}: invalid-argument"));
    case.says(&lines.each_ref().map(String::as_str)).await;
}

/// wasmtime's test program `p2_tcp_connect` asks a second time, too.
pub async fn after_refused_addresses(case: Case) {
    case.says(&[
        "port 0: invalid-argument",
        "of the other family: invalid-argument",
        "again: invalid-argument",
        "another: ok",
    ])
    .await;
}

pub async fn unreachable(case: Case) {
    case.says(&["connect: remote-unreachable"]).await;
}

pub async fn bound_first(case: Case) {
    case.says(&[
        "connect: ok",
        "local: the same",
        "the server's remote: the same",
    ])
    .await;
}

pub async fn bound_to_a_used_port(case: Case) {
    case.says(&["bind: address-in-use", "connect: ok"]).await;
}

pub async fn after_failure(case: Case) {
    case.says(&[
        "connect: connection-refused",
        "again: invalid-state",
        "finish: not-in-progress",
        "bind: invalid-state",
    ])
    .await;
}

pub async fn when_connected(case: Case) {
    case.says(&[
        "the client: invalid-state",
        "the server: invalid-state",
        "they work: 1",
    ])
    .await;
}

pub async fn denied(case: Case) {
    case.granted(Grant::NotPort1)
        .says(&["connect: access-denied", "again: invalid-state"])
        .await;
}

/// One goes on when there is room again: the kernel tries once more after a second.
pub async fn pending(case: Case) {
    let (first, second) = (Full::new(case.ip), Full::new(case.ip));
    let mut program = case.start(&[first.address, second.address]);
    for said in [("start", "ok"), ("finish", "would-block"), ("ready", "no")] {
        assert_eq!(program.hear(said.0).await, said.1);
    }
    let make_room = tokio::task::spawn_blocking(move || first.make_room());
    let _accepted = within("accepting", make_room).await.expect("no panic");
    program.tell().await;
    program
        .ends(&[
            "finish after the wait: ok",
            "another: ok",
            "finish another: would-block",
        ])
        .await;
}

/// A listener whose queue is full, so that the kernel ignores who else wants to connect.
pub struct Full {
    listener: Socket,
    pub address: SocketAddr,
    queued: Vec<Socket>,
}

impl Full {
    pub fn new(ip: IpAddr) -> Self {
        let new = || {
            let domain = Domain::for_address(SocketAddr::new(ip, 0));
            Socket::new(domain, Type::STREAM, None).expect("a socket")
        };
        let listener = new();
        let any = SocketAddr::new(ip, 0);
        listener.bind(&any.into()).expect("bound");
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().expect("an address");
        // Linux takes one more than the backlog says.
        let queued = new();
        queued.connect(&address).expect("connected");
        Self {
            address: address.as_socket().expect("an IP address"),
            listener,
            queued: vec![queued],
        }
    }

    /// Takes out all that have connected: the one there is, and the one that follows.
    pub fn make_room(self) -> Vec<TcpStream> {
        let accept = || self.listener.accept().expect("accepted").0.into();
        (0..=self.queued.len()).map(|_| accept()).collect()
    }
}
