//! A service manager, which is told how a server is on its socket.

use super::DEADLINE;
use super::process::{EVCONN, Evconn};
use super::scratch::Scratch;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

/// The socket that a service manager listens on.
pub struct Manager {
    socket: UnixDatagram,
    scratch: Scratch,
}

impl Manager {
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let socket = UnixDatagram::bind(scratch.join("notify")).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self { socket, scratch }
    }

    /// Serves `app` on a free port, and tells this manager.
    pub fn start(&self, app: &str, flags: &[&str]) -> Evconn {
        let mut command = Command::new(EVCONN);
        command
            .args(["serve", app, "--listen", "127.0.0.1:0"])
            .args(flags)
            .env("NOTIFY_SOCKET", self.scratch.join("notify"))
            .stdin(Stdio::null());
        Evconn::start_by(&mut command)
    }

    /// What it is told next.
    pub fn hear(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).expect("a message");
        let text = String::from_utf8_lossy(&buffer[..len]);
        text.lines().map(str::to_owned).collect()
    }

    /// It is told of a reload, and when that is over.
    pub fn hear_of_reload(&self) {
        let told = self.hear();
        assert_eq!(told[0], "RELOADING=1");
        assert!(told[1].starts_with("MONOTONIC_USEC="), "{told:?}");
        assert_eq!(self.hear(), ["READY=1"]);
    }
}
