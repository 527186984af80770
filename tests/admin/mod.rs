//! `--admin`: the HTTP endpoint of a server, of several processes and of one.

mod access;
mod control;
mod load;
mod page;
mod routes;

use crate::support::http::Admin;
use crate::support::process::{EVCONN, Evconn};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

/// The service that executes the command in its peer's first line.
const TEST_GUEST: &str = evconn_artifacts::HANDLER_PATH;

/// In one process, and in several.
const PROCESSES: [&str; 2] = ["0", "2"];

/// A server with an endpoint.
struct Server {
    evconn: Evconn,
    address: SocketAddr,
    admin: Admin,
}

impl Server {
    fn start(processes: &str) -> Self {
        Self::start_with(TEST_GUEST, processes, &["--admin", "127.0.0.1:0"])
    }

    fn start_with(app: &str, processes: &str, flags: &[&str]) -> Self {
        let evconn = Evconn::start_by(&mut command(app, processes, flags));
        // It listens before the server is ready.
        let admin = Admin::of(&evconn);
        let address = evconn.address();
        Self {
            evconn,
            address,
            admin,
        }
    }

    /// The number of a connection, as soon as the server knows it.
    fn number(&self, peer: &TcpStream) -> u64 {
        self.row(peer)["number"].as_u64().expect("a number")
    }

    /// What the server says of a connection, as soon as it knows it.
    fn row(&self, peer: &TcpStream) -> serde_json::Value {
        let name = peer.local_addr().expect("an address").to_string();
        crate::support::eventually("the connection is listed", || {
            let all = self.admin.get("/connections").json();
            let mut rows = all["connections"].as_array().expect("rows").iter();
            rows.find(|row| row["peer"] == name.as_str()).cloned()
        })
    }

    /// Ends it, and returns its log.
    fn end(self) -> String {
        self.evconn.signal(Signal::TERM);
        ends_well(self.evconn)
    }
}

fn command(app: &str, processes: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(EVCONN);
    command
        .args([
            "serve",
            app,
            "--listen",
            "127.0.0.1:0",
            "--processes",
            processes,
        ])
        .args(flags)
        .stdin(Stdio::null());
    command
}

fn ends_well(evconn: Evconn) -> String {
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stderr
}
