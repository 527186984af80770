//! Addresses on which no TCP socket can listen. The operating system only says that they are invalid;
//! this module says why.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Returns what is wrong with an address on which no TCP socket can listen, or None if it may be usable.
pub(super) fn problem(address: SocketAddr) -> Option<String> {
    let problem = match address {
        _ if address.ip().is_multicast() => {
            "it is for groups (multicast), and a connection has one peer".to_owned()
        }
        SocketAddr::V4(v4) if v4.ip().is_broadcast() => {
            "it is for all (broadcast), and a connection has one peer".to_owned()
        }
        SocketAddr::V4(_) => return None,
        SocketAddr::V6(v6) => return of_ipv6(v6),
    };
    Some(problem)
}

fn of_ipv6(address: SocketAddrV6) -> Option<String> {
    if let Some(ip) = address.ip().to_ipv4_mapped() {
        let plain = SocketAddr::new(IpAddr::V4(ip), address.port());
        return Some(format!("it stands for an IPv4 address: write {plain}"));
    }
    if address.ip().is_unicast_link_local() && address.scope_id() == 0 {
        let (ip, port) = (address.ip(), address.port());
        return Some(format!(
            "each interface has addresses such as this: write which one it is, by its name or number, as \
             in [{ip}%eth0]:{port} (`ip link` has them)"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(text: &str) -> Option<String> {
        problem(text.parse().expect("an address"))
    }

    #[test]
    fn what_stands_for_one_machine_can_be_listened_on() {
        for text in [
            "127.0.0.1:0",
            "0.0.0.0:80",
            "192.0.2.1:80",
            "[::]:80",
            "[::1]:80",
            "[fe80::1%2]:80",
            "[2001:db8::1]:80",
        ] {
            assert_eq!(problem_of(text), None, "{text}");
        }
    }

    #[test]
    fn of_others_it_is_said_what_would_be_right() {
        for (text, part) in [
            ("224.0.0.1:80", "multicast"),
            ("[ff02::1]:80", "multicast"),
            ("255.255.255.255:80", "broadcast"),
            ("[::ffff:127.0.0.1]:80", "write 127.0.0.1:80"),
            ("[fe80::1]:80", "[fe80::1%eth0]:80"),
        ] {
            let problem = problem_of(text).expect("a problem");
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
