//! Loading services: from text and compiled code, what is refused and why, and what a start keeps for the
//! next one.

mod cache;
mod command;
mod complex;
mod features;
mod hostile;
#[cfg(target_os = "linux")]
mod mapped;
mod modules;
mod precompiled;
mod problems;
mod room;
#[cfg(target_os = "linux")]
mod shortage;
mod text;

use crate::support::{DEADLINE, Server, exchange};
use evconn::{Limits, Service, guests};
use std::net::{IpAddr, Ipv4Addr};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The text of the echo service.
fn echo_text() -> String {
    wasmprinter::print_bytes(guests::ECHO).expect("the text of a component")
}

/// The same with more definitions at its end.
pub fn echo_with(definitions: &str) -> String {
    let text = echo_text();
    let open = text.trim_end().strip_suffix(')').expect("its end");
    format!("{open}{definitions})")
}

/// The text of a component that exports this as an interface without functions.
fn exporting(name: &str) -> String {
    format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#)
}

/// What it is: an echo service.
async fn echoes(service: Service) {
    let server = Server::start_service(LOCALHOST, service, Limits::default(), DEADLINE).await;
    let answer = exchange(server.connect().await, b"hello").await;
    assert_eq!(answer, b"hello");
    assert_eq!(server.stop().await.connections, 1);
}
