//! `start-listen`, `finish-listen`, the backlog, and what is accepted.

use crate::net::{Run, accept, bind, listen, local, remote};
use crate::report::{line, outcome, wait_for_host, yes};

crate::cases!(
    unbound,
    twice,
    port_taken,
    backlog,
    denied,
    denied_peers,
    many_peers,
    peer_gone
);

fn unbound(run: &Run) {
    let socket = run.socket();
    line("listen", outcome(&listen(&socket)));
    line("is-listening", yes(socket.is_listening()));
    line("bind", outcome(&bind(&socket, run.any_port())));
    line("listen after that", outcome(&listen(&socket)));
    line("is-listening after that", yes(socket.is_listening()));
}

fn twice(run: &Run) {
    let socket = run.listening();
    line("listen", outcome(&listen(&socket)));
    let _client = run.connected(local(&socket));
    line("accept", outcome(&accept(&socket)));
}

/// Both could be bound; then one of them listens.
fn port_taken(run: &Run) {
    let (first, second) = (run.bound(), run.socket());
    line("bind", outcome(&bind(&second, local(&first))));
    line("the first", outcome(&listen(&first)));
    line("the second", outcome(&listen(&second)));
    line("is-listening", yes(second.is_listening()));
    line("the second again", outcome(&second.start_listen()));
}

fn backlog(run: &Run) {
    for value in [0, 1, 4096, u64::from(u32::MAX), u64::MAX] {
        let socket = run.bound();
        let set = socket.set_listen_backlog_size(value);
        let listens = listen(&socket);
        let again = socket.set_listen_backlog_size(value);
        let outcomes = [outcome(&set), outcome(&listens), outcome(&again)];
        line(&value.to_string(), outcomes.join(", "));
        let _client = run.connected(local(&socket));
        accept(&socket).expect("accepted");
    }
}

fn denied(run: &Run) {
    let socket = run.bound();
    line("listen", outcome(&listen(&socket)));
    line("is-listening", yes(socket.is_listening()));
}

/// The first peer that is let in is accepted, whoever came before.
fn denied_peers(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    let accepted = accept(&listener).expect("accepted");
    line("peer", remote(&accepted.socket).ip());
    line("another", outcome(&listener.accept()));
}

/// More than one at a time, none lost and none twice.
fn many_peers(run: &Run) {
    const PEERS: usize = 100;
    let listener = run.listening();
    let clients: Vec<_> = (0..PEERS)
        .map(|_| run.connected(local(&listener)))
        .collect();
    let mut expected: Vec<_> = clients.iter().map(|c| local(&c.socket)).collect();
    let servers: Vec<_> = (0..PEERS)
        .map(|_| accept(&listener).expect("accepted"))
        .collect();
    let mut accepted: Vec<_> = servers.iter().map(|s| remote(&s.socket)).collect();
    line("in their order", yes(accepted == expected));
    accepted.sort();
    expected.sort();
    line("all of them", yes(accepted == expected));
    line("one more", outcome(&listener.accept()));
}

/// A peer that connects and resets before anybody accepts it does not hurt the next one.
fn peer_gone(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    wait_for_host();
    let mut outcomes = vec![];
    // The second peer sends something.
    loop {
        match accept(&listener) {
            Ok(server) => match server.input.blocking_read(1) {
                Ok(bytes) => break line("bytes", bytes.len()),
                Err(_) => outcomes.push("a dead one"),
            },
            Err(code) => outcomes.push(code.name()),
        }
    }
    let harmless = ["a dead one", "connection-aborted", "connection-reset"];
    let of_the_peer = outcomes.iter().all(|outcome| harmless.contains(outcome));
    line("before it", yes(of_the_peer && outcomes.len() <= 1));
}
