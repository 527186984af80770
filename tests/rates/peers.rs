//! `--limit-rate-per-peer`: all connections of a peer share its rate, in all processes, and other peers have theirs.

use super::{LEAST, RATE, SIZE, connect, connect_from, end, gets_all_back, start};
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::ask;
use crate::support::process::Evconn;
use crate::support::workers::spread;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

/// The connections of a peer at its rate.
const CONNECTIONS: usize = 4;

/// Opens connections until two workers have some. Returns one of each.
fn of_two_workers(evconn: &Evconn, address: SocketAddr) -> Vec<TcpStream> {
    let mut open = Vec::new();
    eventually("each worker has some", || {
        let mut peer = connect(address);
        ask(&mut peer, "echo\nhello\n", "hello\n");
        open.push(peer);
        (spread(evconn, &open).len() == 2).then_some(())
    });
    // The last one is the first of its worker.
    [open.pop(), open.pop()].into_iter().flatten().collect()
}

#[test]
fn the_connections_of_a_peer_share_its_rate_in_all_workers() {
    let _open = unchanged();
    let evconn = start(2, &["--limit-rate-per-peer", RATE]);
    let address = evconn.address();
    let peers = of_two_workers(&evconn, address);
    let begin = Instant::now();
    let transfer = |peer| thread::spawn(move || gets_all_back(peer, "", SIZE / 2));
    for transfer in peers.into_iter().map(transfer).collect::<Vec<_>>() {
        transfer.join().expect("all of it");
    }
    assert!(begin.elapsed() >= LEAST, "{:?}", begin.elapsed());
    end(evconn);
}

#[test]
fn a_peer_at_its_rate_does_not_delay_another_one() {
    let _open = unchanged();
    // More than there is room for in between, and than comes before the deadline.
    const MUCH: usize = 64 << 20;
    let evconn = start(2, &["--limit-rate-per-peer", "64K"]);
    let address = evconn.address();
    let busy: Vec<_> = (0..CONNECTIONS).map(|_| connect(address)).collect();
    let write = |peer: &TcpStream| {
        let mut writer = peer.try_clone().expect("a descriptor");
        thread::spawn(move || {
            writer.write_all(b"echo\n")?;
            writer.write_all(&vec![b'x'; MUCH])
        })
    };
    let writing: Vec<_> = busy.iter().map(write).collect();
    for mut peer in &busy {
        peer.read_exact(&mut [0; 4096]).expect("an echo");
    }
    for _ in 0..3 {
        let other = connect_from("127.0.0.2", address).expect("connected");
        gets_all_back(other, "echo\n", 4096);
    }
    assert!(writing.iter().all(|writing| !writing.is_finished()));
    for peer in busy {
        peer.shutdown(Shutdown::Both).expect("ended");
    }
    for writing in writing {
        writing.join().expect("no panic").expect_err("it was cut");
    }
    end(evconn);
}

/// The two rates are limits of their own.
#[test]
fn a_connection_has_its_rate_and_its_share_of_the_peer_s() {
    let _open = unchanged();
    let both = ["--limit-rate", RATE, "--limit-rate-per-peer", "1G"];
    let evconn = start(1, &both);
    let address = evconn.address();
    let begin = Instant::now();
    let transfer = |peer: TcpStream| thread::spawn(move || gets_all_back(peer, "echo\n", SIZE));
    let transfers = [(); 2].map(|()| transfer(connect(address)));
    for transfer in transfers {
        transfer.join().expect("all of it");
    }
    assert!(begin.elapsed() >= LEAST, "{:?}", begin.elapsed());
    end(evconn);
}
