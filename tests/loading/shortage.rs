//! A process that is short of memory mappings or of addresses for another instance: its connection waits until others
//! end, and no further ones are accepted meanwhile. None is reset.

use super::command::serve_limited;
use super::{LOCALHOST, echo_with};
use crate::support::alone::alone;
use crate::support::descriptors::unchanged;
use crate::support::scratch::Scratch;
use crate::support::{DEADLINE, Server, eventually, skip};
use evconn::{Host, Limits, Service};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Peers that have sent a byte each, which the service sends back.
#[derive(Default)]
struct Peers {
    waiting: Vec<TcpStream>,
    served: Vec<TcpStream>,
}

impl Peers {
    fn connect(&mut self, address: SocketAddr, count: usize) {
        let connect = |_| {
            let mut peer = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
            peer.write_all(b"x").expect("sent");
            peer.set_nonblocking(true).expect("set");
            peer
        };
        self.waiting.extend((0..count).map(connect));
    }

    fn look(&mut self) {
        for mut peer in std::mem::take(&mut self.waiting) {
            match peer.read(&mut [0]) {
                Ok(1) => self.served.push(peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.waiting.push(peer),
                other => panic!("it is not served, nor does it wait: {other:?}"),
            }
        }
    }

    /// Waits until no more are served although those that are have talked for a while.
    fn settle(&mut self) {
        let mut unchanged = 0;
        eventually("as many are served as can be", || {
            let before = self.served.len();
            for _ in 0..20 {
                self.served.iter_mut().for_each(talk);
            }
            self.look();
            unchanged = match before > 0 && self.served.len() == before {
                true => unchanged + 1,
                false => 0,
            };
            // Several times, since the server may have had other things to do.
            (unchanged == 5).then_some(())
        });
    }

    /// Ends one after the other, until all have been served.
    fn are_served_in_turn(mut self) {
        while !self.waiting.is_empty() {
            drop(self.served.pop());
            eventually(
                "one that waits is served when another one has ended",
                || {
                    let before = self.served.len();
                    self.look();
                    (self.served.len() > before || self.waiting.is_empty()).then_some(())
                },
            );
        }
        self.served.iter_mut().for_each(talk);
    }
}

fn talk(peer: &mut TcpStream) {
    peer.set_nonblocking(false).expect("set");
    peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    peer.write_all(b"y").expect("sent");
    peer.read_exact(&mut [0]).expect("an answer");
}

/// Each instance takes more addresses than was assumed.
#[test]
fn connections_wait_for_addresses() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("app.wat");
    let large = echo_with("(core module $m (memory 900)) (core instance (instantiate $m))");
    std::fs::write(&path, large).expect("written");
    let evconn = serve_limited(&path, "ulimit -v 2097152", &["--processes", "1"]);
    let mut peers = Peers::default();
    peers.connect(evconn.address(), 60);
    evconn.logged("the system refuses memory for another instance");
    peers.settle();
    assert!(!peers.waiting.is_empty());
    peers.are_served_in_turn();
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    assert!(log.contains("served 60 connections"), "{log}");
    assert!(log.contains(" 0 failed"), "{log}");
}

/// What an instance takes is more than what was assumed. It is measured before there are too many.
#[test]
fn connections_wait_for_what_is_measured() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("app.wat");
    let large = echo_with("(core module $m (memory 320)) (core instance (instantiate $m))");
    std::fs::write(&path, large).expect("written");
    let evconn = serve_limited(&path, "ulimit -v 4194304", &["--processes", "1"]);
    let address = evconn.address();
    let mut peers = Peers::default();
    peers.connect(address, 64);
    peers.settle();
    evconn.logged("maximum number of connections of this process lowered from 320 to 1");
    peers.connect(address, 186);
    peers.settle();
    assert!(!peers.waiting.is_empty());
    peers.are_served_in_turn();
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    assert!(log.contains("KiB of address space, of 4096 MiB"), "{log}");
    assert!(!log.contains("the system refuses"), "{log}");
    assert!(log.contains("served 250 connections"), "{log}");
    assert!(log.contains(" 0 failed"), "{log}");
}

/// Pages of which each second one is a mapping of its own, so that this process can have few others.
struct Pages;

const PAGE: usize = 4096;

impl Pages {
    /// Leaves about this many mappings for others. There are never fewer: the process could not even start a thread.
    fn leave(limit: usize, left: usize) {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
        let taken = maps.lines().count();
        let wanted = limit.checked_sub(taken + left).expect("mappings are left");
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let len = (wanted + 2) * PAGE;
        // SAFETY: it is a new mapping.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::empty(), flags) };
        let start = start.expect("addresses");
        for number in 0..wanted / 2 {
            // SAFETY: nobody accesses the page, which is in the mapping.
            unsafe {
                let page = start.byte_add((2 * number + 1) * PAGE);
                mprotect(page, PAGE, MprotectFlags::READ).expect("a mapping is left");
            }
        }
    }
}

#[test]
fn connections_wait_for_mappings() {
    let path = concat!(module_path!(), "::connections_wait_for_mappings");
    alone(path, || {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let limit = limit.ok().and_then(|limit| limit.trim().parse().ok());
        let Some(limit @ ..=1_000_000) = limit else {
            return skip("the number of memory mappings is not limited, or not known");
        };
        let limits = Limits {
            max_connections: 100,
            ..Limits::default()
        };
        let host = Host::builder().limits(&limits).build().expect("a host");
        let link = "(component $link (core module $m (memory 1) (data (i32.const 0) \"x\"))
            (core instance (instantiate $m)))";
        let links = "(instance (instantiate $link))".repeat(8);
        let app = echo_with(&format!("{link} {links}"));
        let service = Service::new(&host, app.as_bytes()).expect("a service");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let server = Server::start_service(LOCALHOST, service, limits, DEADLINE);
        let server = runtime.block_on(server);
        let mut peers = Peers::default();
        peers.connect(server.address, 1);
        peers.settle();
        Pages::leave(limit, 200);
        peers.connect(server.address, 29);
        peers.settle();
        assert!(!peers.waiting.is_empty(), "there are mappings for all");
        assert!(peers.served.len() > 1, "there are mappings for none");
        let accepted = server.listener.stats().accepted;
        peers.connect(server.address, 10);
        peers.settle();
        assert_eq!(server.listener.stats().accepted, accepted);
        peers.are_served_in_turn();
        assert_eq!(runtime.block_on(server.stop()).failed, 0);
    });
}
