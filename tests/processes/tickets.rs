//! Session tickets: a client that comes back resumes its session, whichever worker it gets.

use super::{end, start};
use crate::support::certificate::Certificate;
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::process::Evconn;
use crate::support::successor::Successor;
use crate::support::tool::Tool;
use crate::support::workers::{Process, wait_for_workers, workers};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

const WORKERS: usize = 2;

/// A server with TLS, and the files of its client.
struct Tls {
    evconn: Evconn,
    address: SocketAddr,
    certificate: Certificate,
}

impl Tls {
    fn start(certificate: Certificate, flags: &[&str]) -> Self {
        let (cert, key) = (certificate.cert(), certificate.key());
        let tls = ["--tls-cert", &cert, "--tls-key", &key];
        let evconn = start(WORKERS, &[&tls[..], flags].concat());
        Self {
            address: evconn.address(),
            evconn,
            certificate,
        }
    }

    /// A visit of `openssl s_client`, which uses the ticket that it has, if it has one, and keeps the one that it
    /// gets. Returns `New` or `Reused`. None: there is no openssl.
    fn visit(&self, version: &str) -> Option<String> {
        let mut command = self.client(version);
        let mut client = Tool::start(&mut command)?;
        let mut stdin = client.child().stdin.take().expect("stdin");
        let stdout = client.child().stdout.take().expect("stdout");
        stdin.write_all(b"echo\nhello\n").expect("sent");
        let mut kind = None;
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("text");
            if line == "hello" {
                break;
            }
            if let Some(word) = line.split(", ").next()
                && ["New", "Reused"].contains(&word)
            {
                kind = Some(word.to_owned());
            }
        }
        // The ticket is written before the answer is shown. Its end of the input ends the client.
        drop(stdin);
        client.child().wait().expect("it ends");
        Some(kind.expect("a kind of handshake"))
    }

    fn client(&self, version: &str) -> Command {
        let session = self.session();
        let mut command = Command::new("openssl");
        command
            .args(["s_client", version, "-no_ign_eof"])
            .args(["-servername", "localhost", "-CAfile"])
            .arg(self.certificate.cert())
            .args(["-connect", &self.address.to_string()])
            .args(["-sess_out", &session])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if std::fs::exists(&session).expect("known") {
            command.args(["-sess_in", &session]);
        }
        command
    }

    fn session(&self) -> String {
        self.certificate.file("session.pem")
    }

    /// Kills all workers, and waits for those that take their place.
    fn replace_workers(&self) {
        let before = workers(&self.evconn);
        before.iter().for_each(Process::kill);
        self.wait_for_others(&before);
    }

    /// Replaces the certificate, and waits for the workers that have the new one.
    fn reload(&self) {
        let before = workers(&self.evconn);
        self.certificate.renew();
        self.evconn.signal(Signal::HUP);
        self.evconn.logged("certificate reloaded");
        self.wait_for_others(&before);
    }

    fn wait_for_others(&self, before: &[Process]) {
        eventually("the old workers are gone", || {
            let left = before.iter().any(|worker| worker.exists());
            (!left).then_some(())
        });
        wait_for_workers(&self.evconn, WORKERS);
    }
}

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

#[test]
fn a_client_resumes_its_session_with_any_worker_and_after_a_reload() {
    let _open = unchanged();
    for version in VERSIONS {
        let server = Tls::start(Certificate::new(), &[]);
        let Some(first) = server.visit(version) else {
            return;
        };
        assert_eq!(first, "New", "{version}");
        for _ in 0..2 {
            assert_eq!(
                server.visit(version).as_deref(),
                Some("Reused"),
                "{version}"
            );
        }
        server.replace_workers();
        assert_eq!(
            server.visit(version).as_deref(),
            Some("Reused"),
            "{version}"
        );
        server.reload();
        assert_eq!(
            server.visit(version).as_deref(),
            Some("Reused"),
            "{version}"
        );
        let log = end(server.evconn);
        assert!(!log.contains("connection refused"), "{log}");
    }
}

#[test]
fn a_ticket_of_before_a_restart_is_a_full_handshake() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let mut server = Tls::start(certificate, &[]);
    for version in VERSIONS {
        if server.visit(version).is_none() {
            return;
        }
        assert_eq!(
            server.visit(version).as_deref(),
            Some("Reused"),
            "{version}"
        );
        end(server.evconn);
        server = Tls::start(server.certificate, &[]);
        assert_eq!(server.visit(version).as_deref(), Some("New"), "{version}");
        // Of the other version.
        std::fs::remove_file(server.session()).expect("removed");
    }
    end(server.evconn);
}

#[test]
fn without_tickets_every_visit_is_a_full_handshake() {
    let _open = unchanged();
    let server = Tls::start(Certificate::new(), &["--tls-no-tickets"]);
    for version in VERSIONS {
        for _ in 0..3 {
            let Some(kind) = server.visit(version) else {
                return;
            };
            assert_eq!(kind, "New", "{version}");
        }
        // None if the client got nothing to keep.
        let _ = std::fs::remove_file(server.session());
    }
    end(server.evconn);
}

#[test]
fn a_client_resumes_its_session_after_an_upgrade() {
    let _open = unchanged();
    for version in VERSIONS {
        let server = Tls::start(Certificate::new(), &[]);
        let Some(first) = server.visit(version) else {
            return;
        };
        assert_eq!(first, "New", "{version}");
        let new = Successor::of(&server.evconn, server.evconn.id(), 0);
        let visit = server.visit(version);
        assert_eq!(visit.as_deref(), Some("Reused"), "{version}");
        new.stop();
        super::ends_well(server.evconn);
    }
}
