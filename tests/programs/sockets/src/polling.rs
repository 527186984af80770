//! Pollables: what is ready when, and that nothing starves.

use crate::bindings::wasi::io::poll::{Pollable, poll};
use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::net::{Connection, Run, accept, local, start_connect};
use crate::report::{line, outcome, yes};
use std::collections::BTreeSet;

crate::cases!(
    one_for_all_states,
    of_a_connect,
    of_a_failed_connect,
    level_triggered,
    twice_in_a_list,
    two_of_one_stream,
    beside_an_always_ready_one,
    beside_an_idle_output,
    beside_an_ended_input,
    busy_beside_quiet,
    spinning,
    many_quiet_ones,
    many_ready_ones,
    woken_by_a_shutdown
);

/// One pollable from the first state to the last.
fn one_for_all_states(run: &Run) {
    let socket = run.socket();
    let pollable = socket.subscribe();
    line("unbound", yes(pollable.ready()));
    crate::net::bind(&socket, run.any_port()).expect("bound");
    line("bound", yes(pollable.ready()));
    crate::net::listen(&socket).expect("it listens");
    line("listening", yes(pollable.ready()));
    let _client = run.connected(local(&socket));
    pollable.block();
    line("with a peer", yes(pollable.ready()));
    accept(&socket).expect("accepted");
    line("without it", yes(pollable.ready()));
    drop(pollable);
}

/// Made before anything is in progress.
fn of_a_connect(run: &Run) {
    let listener = run.listening();
    let socket = run.socket();
    let pollable = socket.subscribe();
    start_connect(&socket, local(&listener)).expect("connect started");
    pollable.block();
    let streams = socket.finish_connect();
    line("finish", outcome(&streams));
    line("connected", yes(pollable.ready()));
    drop((streams, pollable));
}

fn of_a_failed_connect(run: &Run) {
    let socket = run.socket();
    let pollable = socket.subscribe();
    start_connect(&socket, run.deserted()).expect("connect started");
    pollable.block();
    line("finish", outcome(&socket.finish_connect()));
    line("closed", yes(pollable.ready()));
    drop(pollable);
}

/// As long as it is not accepted, it is there to be accepted.
fn level_triggered(run: &Run) {
    let listener = run.listening();
    let _clients = [(); 2].map(|()| run.connected(local(&listener)));
    for what in ["first", "second"] {
        listener.subscribe().block();
        line(what, yes(listener.subscribe().ready()));
        accept(&listener).expect("accepted");
    }
    line("no third", yes(listener.subscribe().ready()));
    line("accept", outcome(&listener.accept()));
}

fn twice_in_a_list(run: &Run) {
    let quiet = run.listening();
    let quiet_pollable = quiet.subscribe();
    let socket = run.socket();
    let pollable = socket.subscribe();
    let ready = poll(&[&pollable, &quiet_pollable, &pollable]);
    line("ready", format!("{ready:?}"));
    drop((pollable, quiet_pollable));
}

/// Both of them know.
fn two_of_one_stream(run: &Run) {
    let (client, server) = run.pair();
    let (one, other) = (server.input.subscribe(), server.input.subscribe());
    line("before", yes(one.ready() || other.ready()));
    client.send(b"x");
    poll(&[&one, &other]);
    one.block();
    other.block();
    line("after", yes(one.ready() && other.ready()));
    drop((one, other));
}

/// One that is always ready does not hide one that becomes so.
fn beside_an_always_ready_one(run: &Run) {
    let listener = run.listening();
    let always = run.socket();
    let (always_pollable, pollable) = (always.subscribe(), listener.subscribe());
    let list = [&always_pollable, &pollable];
    line("listening", local(&listener));
    let mut rounds = 0;
    loop {
        rounds += 1;
        let ready = poll(&list);
        assert!(ready.contains(&0), "it is always ready");
        if ready.contains(&1) {
            break;
        }
    }
    line("seen", yes(rounds > 0));
    line("accept", outcome(&accept(&listener)));
    drop((always_pollable, pollable));
}

/// The same with an output: it can be written to all the time.
fn beside_an_idle_output(run: &Run) {
    let server = run.serve_one();
    let (output, input) = (server.output.subscribe(), server.input.subscribe());
    while !poll(&[&output, &input]).contains(&1) {}
    line("read", server.receive(1).len());
    drop((output, input));
}

/// The same with an input that has ended.
fn beside_an_ended_input(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    let ended = accept(&listener).expect("accepted");
    ended.receive_all();
    let (input, pollable) = (ended.input.subscribe(), listener.subscribe());
    while !poll(&[&input, &pollable]).contains(&1) {}
    line("accept", outcome(&accept(&listener)));
    drop((input, pollable));
}

/// A peer that never stops sending, and one that sends once.
fn busy_beside_quiet(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    let busy = accept(&listener).expect("accepted");
    let quiet = accept(&listener).expect("accepted");
    busy.input.subscribe().block();
    line("busy", "");
    let pollables = [
        busy.input.subscribe(),
        quiet.input.subscribe(),
        listener.subscribe(),
    ];
    let list = [&pollables[0], &pollables[1], &pollables[2]];
    let (mut heard, mut accepted) = (false, None);
    while !heard || accepted.is_none() {
        let ready = poll(&list);
        if ready.contains(&0) {
            busy.input.read(1 << 16).expect("more of it");
        }
        if ready.contains(&1) && !heard {
            let bytes = quiet.input.read(1).expect("a byte");
            heard = !bytes.is_empty();
        }
        if ready.contains(&2) && accepted.is_none() {
            accepted = accept_at_once(&listener);
        }
    }
    line("heard the quiet one", yes(heard));
    line("accepted another", yes(accepted.is_some()));
    drop(pollables);
}

fn accept_at_once(listener: &crate::bindings::wasi::sockets::tcp::TcpSocket) -> Option<Connection> {
    match listener.accept() {
        Ok((socket, input, output)) => Some(Connection {
            input,
            output,
            socket,
        }),
        Err(ErrorCode::WouldBlock) => None,
        Err(code) => panic!("{code:?}"),
    }
}

/// It never waits: it asks, again and again. Everybody else in the process goes on all the same.
fn spinning(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    let first = accept(&listener).expect("accepted");
    let always = run.socket();
    let pollable = always.subscribe();
    let mut second = None;
    while second.is_none() {
        pollable.block();
        assert_eq!(poll(&[&pollable]), [0]);
        let _ = first.input.read(1 << 10);
        second = accept_at_once(&listener);
    }
    line("accepted", yes(second.is_some()));
    drop(pollable);
}

/// Of a hundred, the one that is not quiet.
fn many_quiet_ones(run: &Run) {
    const COUNT: usize = 100;
    let pairs = pairs(run, COUNT);
    let pollables: Vec<_> = pairs.iter().map(|(_, s)| s.input.subscribe()).collect();
    let list: Vec<_> = pollables.iter().collect();
    let mut found = vec![];
    for index in [0, 1, COUNT / 2, COUNT - 1] {
        pairs[index].0.send(b"x");
        found.push(with_input(&pairs, &list) == index);
    }
    line("found", yes(found.iter().all(|found| *found)));
    drop(pollables);
}

/// None of them is read from, so that all stay ready.
fn many_ready_ones(run: &Run) {
    const COUNT: usize = 200;
    let pairs = pairs(run, COUNT);
    let pollables: Vec<_> = pairs.iter().map(|(_, s)| s.input.subscribe()).collect();
    for (client, _) in &pairs {
        client.send(b"x");
    }
    pollables.iter().for_each(Pollable::block);
    let list: Vec<_> = pollables.iter().collect();
    let mut told = BTreeSet::from_iter(poll(&list));
    line("one poll tells of all", yes(told.len() == COUNT));
    for _ in 0..9 {
        told.extend(poll(&list));
    }
    line("ten polls tell of all", yes(told.len() == COUNT));
    drop(pollables);
}

/// So many connections, both ends of each: who connected, and what was accepted.
fn pairs(run: &Run, count: usize) -> Vec<(Connection, Connection)> {
    let listener = run.listening();
    let pair = |_| {
        let client = run.connected(local(&listener));
        (client, accept(&listener).expect("accepted"))
    };
    (0..count).map(pair).collect()
}

/// Which of the servers has something to read: it is not enough to be called ready.
fn with_input(pairs: &[(Connection, Connection)], list: &[&Pollable]) -> usize {
    loop {
        for index in poll(list) {
            let (_, server) = &pairs[index as usize];
            if !server.input.read(2).expect("it is open").is_empty() {
                return index as usize;
            }
        }
    }
}

/// Who waits for input that will not come any more is told so.
fn woken_by_a_shutdown(run: &Run) {
    let (client, server) = run.pair();
    let pollable = server.input.subscribe();
    line("before", yes(pollable.ready()));
    use crate::bindings::wasi::sockets::tcp::ShutdownType;
    server
        .socket
        .shutdown(ShutdownType::Receive)
        .expect("shut down");
    pollable.block();
    line("after", yes(pollable.ready()));
    drop((pollable, client));
}
