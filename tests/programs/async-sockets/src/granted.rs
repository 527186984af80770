//! What a guest was granted: names, and who has them.

use crate::bindings::wasi::sockets::ip_name_lookup::{ErrorCode, resolve_addresses};
use crate::bindings::wasi::sockets::types::{IpAddress, UdpSocket};
use crate::net::connect;
use crate::report::outcome;
use crate::run::Run;

crate::cases!(names, by_address, udp);

/// What a name is resolved to.
fn found(result: &Result<Vec<IpAddress>, ErrorCode>) -> String {
    match result {
        Ok(addresses) => format!("{} addresses", addresses.len()),
        Err(ErrorCode::AccessDenied) => "access-denied".to_owned(),
        Err(ErrorCode::InvalidArgument) => "invalid-argument".to_owned(),
        Err(ErrorCode::NameUnresolvable) => "name-unresolvable".to_owned(),
        Err(ErrorCode::TemporaryResolverFailure) => "temporary-resolver-failure".to_owned(),
        Err(ErrorCode::PermanentResolverFailure) => "permanent-resolver-failure".to_owned(),
        Err(ErrorCode::Other(_)) => "other".to_owned(),
    }
}

async fn names(run: &Run) {
    for name in ["192.0.2.1", "db.example", "other.example", "no name"] {
        let resolved = resolve_addresses(name.to_owned()).await;
        run.line(name, found(&resolved)).await;
    }
}

/// It is not known before the name is resolved whether the address is one of its own.
async fn by_address(run: &Run) {
    for (what, address) in ["the granted one", "another"].iter().zip(&run.addresses) {
        let connected = connect(&run.socket(), *address).await;
        run.line(what, outcome(&connected)).await;
    }
}

async fn udp(run: &Run) {
    let created = UdpSocket::create(run.family());
    run.line("create", outcome(&created)).await;
}
