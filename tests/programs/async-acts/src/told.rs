//! What is known of a connection.

use super::Stage;
use super::bytes::say;
use crate::wasi::sockets::types::IpSocketAddress;
use std::sync::atomic::{AtomicU32, Ordering};

pub async fn addresses(mut stage: Stage) {
    let peer = shown(stage.connection.peer_address());
    let local = shown(stage.connection.local_address().expect("an address"));
    say(&mut stage.sender, &format!("{peer} {local}")).await;
}

pub async fn tls(mut stage: Stage) {
    let text = match stage.connection.tls() {
        None => "none".to_owned(),
        Some(tls) => format!(
            "{} {:?} {:?} {}",
            tls.protocol,
            tls.application_protocol,
            tls.server_name,
            tls.client_certificates.len()
        ),
    };
    say(&mut stage.sender, &text).await;
}

pub async fn number(mut stage: Stage) {
    let number = stage.connection.number();
    say(&mut stage.sender, &number.to_string()).await;
}

/// Tells how often this instance has done this.
pub async fn count(mut stage: Stage) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    say(&mut stage.sender, &count.to_string()).await;
}

/// Returns an address as Rust shows it.
fn shown(address: IpSocketAddress) -> String {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    match address {
        IpSocketAddress::Ipv4(v4) => {
            let (a, b, c, d) = v4.address;
            SocketAddr::from((Ipv4Addr::new(a, b, c, d), v4.port)).to_string()
        }
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            SocketAddr::from((Ipv6Addr::new(a, b, c, d, e, f, g, h), v6.port)).to_string()
        }
    }
}
