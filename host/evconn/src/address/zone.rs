//! IPv6 addresses with the name of an interface: `[fe80::1%eth0]:80`. The standard library parses
//! interface numbers only.

use super::parse::decimal;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// Parses an address with the name of an interface. Returns None for any other text.
///
/// # Errors
/// A message if there is no interface of that name.
pub(super) fn parse(text: &str) -> Result<Option<SocketAddr>, String> {
    let Some((ip, name, port)) = split(text) else {
        return Ok(None);
    };
    match index(name) {
        Some(number) => Ok(Some(SocketAddrV6::new(ip, port, 0, number).into())),
        None => Err(format!(
            "there is no interface {name:?}: `ip link` has their names, and their numbers"
        )),
    }
}

fn split(text: &str) -> Option<(Ipv6Addr, &str, u16)> {
    let (host, port) = text.strip_prefix('[')?.split_once("]:")?;
    let (ip, name) = host.split_once('%')?;
    let has_name = !name.is_empty() && decimal::<u64>(name).is_none();
    Some((ip.parse().ok()?, name, decimal(port)?)).filter(|_| has_name)
}

#[cfg(target_os = "linux")]
fn index(name: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    // Any socket will do.
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(socket, name).ok()
}

/// On other systems, only interface numbers are supported.
#[cfg(not(target_os = "linux"))]
fn index(_name: &str) -> Option<u32> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_a_name() {
        let address = parse("[::1%lo]:80").expect("an interface").expect("one");
        let SocketAddr::V6(address) = address else {
            panic!("{address}");
        };
        assert_eq!((*address.ip(), address.port()), (Ipv6Addr::LOCALHOST, 80));
        let number = std::fs::read_to_string("/sys/class/net/lo/ifindex").expect("the loopback");
        assert_eq!(address.scope_id().to_string(), number.trim());
    }

    #[test]
    fn one_that_is_not_there_is_named() {
        let problem = parse("[fe80::1%evconn9]:80").expect_err("none");
        assert!(problem.contains("\"evconn9\""), "{problem}");
    }

    #[test]
    fn all_else_is_left_to_others() {
        for text in [
            "[::1]:80",
            "[::1%2]:80",
            "[::1%]:80",
            "[x%lo]:80",
            "[::1%lo]:",
            "::1%lo:80",
        ] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }
}
