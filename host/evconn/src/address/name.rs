//! Host names and their addresses.

use super::SourceError;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The longest host name and the longest label, in bytes (RFC 1035).
const LONGEST: usize = 253;
const LONGEST_PART: usize = 63;

/// Returns whether the text can be a host name. The last label of one is not all digits: such a text is
/// probably meant to be an address.
pub(super) fn is_one(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_part = |part: &str| {
        let may_be = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LONGEST_PART).contains(&part.len())
            && part.bytes().all(may_be)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= LONGEST && text.split('.').all(is_part) && !is_number
}

/// Returns the distinct addresses of a host name: at least one.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SourceError> {
    distinct(host, (host, port).to_socket_addrs())
}

/// Resolves the name as [`resolve`] does, without blocking the thread.
pub(crate) async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, SourceError> {
    distinct(host, tokio::net::lookup_host((host, port)).await)
}

fn distinct(
    host: &str,
    found: io::Result<impl Iterator<Item = SocketAddr>>,
) -> Result<Vec<SocketAddr>, SourceError> {
    let unresolved = |error| SourceError::Unresolved {
        host: host.to_owned(),
        error,
    };
    let mut addresses = Vec::new();
    for address in found.map_err(unresolved)? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(unresolved(io::ErrorKind::NotFound.into())),
        false => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        for name in ["localhost", "a.example", "a-1.b_2.example.", "1a", "3com"] {
            assert!(is_one(name), "{name}");
        }
        let (long_part, long) = ("x".repeat(64), "x.".repeat(128));
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "1",
            "127.0.0.300",
            "a.1",
            "a b",
            "a/b",
            "ä",
            "[a]",
            &long_part,
            &long,
        ] {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn each_address_is_there_once() {
        let [one, two] = ["127.0.0.1:80", "[::1]:80"].map(|text| text.parse().expect("an address"));
        let addresses = distinct("a", Ok([one, two, one].into_iter())).expect("addresses");
        assert_eq!(addresses, [one, two]);
    }

    #[test]
    fn a_name_without_an_address_is_one_line() {
        let error = distinct("a.example", Ok(std::iter::empty())).expect_err("none");
        assert!(
            error
                .to_string()
                .starts_with("\"a.example\" has no address")
        );
        // No such name can be registered (RFC 2606).
        let error = resolve("nobody.invalid", 80).expect_err("none").to_string();
        assert!(
            error.starts_with("\"nobody.invalid\" has no address: "),
            "{error}"
        );
        assert!(!error.contains('\n') && !error.contains("look"), "{error}");
    }
}
