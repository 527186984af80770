//! Peers that connect at once, and of which only some may be served at a time.

use crate::support::peer::{ask, connect};
use crate::support::{DEADLINE, eventually};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// They all ask for an echo. Who gets one is served.
pub struct Crowd {
    waiting: Vec<TcpStream>,
    pub served: Vec<TcpStream>,
}

impl Crowd {
    pub fn connect(address: SocketAddr, count: usize) -> Self {
        let waiting = (0..count).map(|_| asking(address)).collect();
        let served = Vec::new();
        Self { waiting, served }
    }

    /// Waits until this many are served. More never are.
    pub fn is_served(&mut self, count: usize) {
        eventually(&format!("{count} are served"), || {
            self.look();
            (self.served.len() >= count).then_some(())
        });
        self.are_no_more(count);
    }

    /// Whoever could be served would be by the time in which the others have talked for a while.
    fn are_no_more(&mut self, count: usize) {
        for _ in 0..20 {
            for peer in &mut self.served {
                ask(peer, "and again\n", "and again\n");
            }
            self.look();
            assert_eq!(self.served.len(), count, "too many are served");
        }
    }

    fn look(&mut self) {
        for peer in std::mem::take(&mut self.waiting) {
            match has_answer(&peer) {
                true => self.served.push(peer),
                false => self.waiting.push(peer),
            }
        }
    }

    /// Ends one that is served.
    pub fn end_one(&mut self) {
        self.served.pop().expect("one is served");
    }

    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

fn asking(address: SocketAddr) -> TcpStream {
    let mut peer = connect(address);
    peer.write_all(b"echo\nhello\n").expect("sent");
    peer.set_nonblocking(true).expect("set");
    peer
}

fn has_answer(mut peer: &TcpStream) -> bool {
    let mut answer = [0; 6];
    match peer.read(&mut answer[..1]) {
        Ok(1) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
        other => panic!("it is not served: {other:?}"),
    }
    peer.set_nonblocking(false).expect("set");
    peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    peer.read_exact(&mut answer[1..]).expect("the rest");
    assert_eq!(&answer, b"hello\n");
    true
}
