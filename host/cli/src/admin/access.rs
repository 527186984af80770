//! Who may do what.

use super::routes::{Action, Route};
use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use std::net::{IpAddr, SocketAddr};

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// A Unix socket, whose file only its owner may use.
    Unix,
    /// A loopback address, which the pages of a browser can reach, too.
    Loopback,
    /// Any other address.
    Network,
}

impl Entrance {
    pub fn of_address(address: SocketAddr) -> Self {
        match address.ip().to_canonical().is_loopback() {
            true => Self::Loopback,
            false => Self::Network,
        }
    }

    /// Checks whether a request may be answered.
    ///
    /// # Errors
    /// Why not, in one line.
    pub fn check(self, route: Option<&Route>, request: &Parts) -> Result<(), String> {
        match self {
            Self::Network => return check_public(route, request),
            Self::Loopback => check_host(request)?,
            Self::Unix => {}
        }
        match route {
            // A link to it may be anywhere: it has no data in it, and is shown in no frame.
            Some(route) if route.action == Action::Page => Ok(()),
            Some(route) if !route.is_public => check_origin(request),
            _ => Ok(()),
        }
    }
}

fn check_public(route: Option<&Route>, request: &Parts) -> Result<(), String> {
    let is_public = |route: &Route| route.is_public && route.verb.allows(&request.method);
    match route.is_some_and(is_public) {
        true => Ok(()),
        false => Err(
            "only GET of /metrics, /healthz and /readyz is allowed here: for the rest, --admin has to be a loopback \
             address or a Unix socket"
                .to_owned(),
        ),
    }
}

/// Refuses names that a page may have made stand for this machine (DNS rebinding).
fn check_host(request: &Parts) -> Result<(), String> {
    let of_url = request.uri.authority().map(|authority| authority.as_str());
    let hosts = request.headers.get_all(HOST).iter();
    let hosts: Vec<_> = hosts
        .map(|host| host.to_str().unwrap_or_default())
        .chain(of_url)
        .collect();
    match hosts.iter().find(|host| !is_loopback(host)) {
        None if hosts.is_empty() => Err("the request has no Host header".to_owned()),
        None => Ok(()),
        Some(host) => Err(format!(
            "the request is for the host {host:?}: use localhost, 127.0.0.1 or [::1]"
        )),
    }
}

/// Returns whether the name of a host, which may be followed by a port, is this machine's.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
            _ => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// Refuses what a page of another origin sends.
fn check_origin(request: &Parts) -> Result<(), String> {
    let fetch_site = HeaderName::from_static("sec-fetch-site");
    let refused = |name: &HeaderName, value: &[u8]| {
        Err(format!(
            "the request comes from another site ({name}: {}): use a program rather than a web page",
            String::from_utf8_lossy(value).escape_debug()
        ))
    };
    for site in request.headers.get_all(&fetch_site) {
        // What is typed in the address bar is "none".
        if site != "same-origin" && site != "none" {
            return refused(&fetch_site, site.as_bytes());
        }
    }
    let host = request.headers.get(HOST).map(|host| host.as_bytes());
    for origin in request.headers.get_all(ORIGIN) {
        let own = origin.as_bytes().strip_prefix(b"http://");
        if own.is_none() || own != host {
            return refused(&ORIGIN, origin.as_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::routes::find;
    use hyper::Request;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = Request::builder().method(method).uri(path);
        let add = |builder: hyper::http::request::Builder, (name, value): &(&str, &str)| {
            builder.header(*name, *value)
        };
        let request = headers.iter().fold(builder, add).body(());
        request.expect("a request").into_parts().0
    }

    fn is_allowed(entrance: Entrance, method: &str, path: &str, headers: &[(&str, &str)]) -> bool {
        let route = find(path).map(|(route, _)| route);
        entrance
            .check(route, &request(method, path, headers))
            .is_ok()
    }

    #[test]
    fn the_host_is_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:9000",
            "127.8.0.1",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.1",
            "[::2]",
            "[::1]x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
        let wrong = [("host", "example.org")];
        assert!(!is_allowed(Entrance::Loopback, "GET", "/metrics", &wrong));
        assert!(!is_allowed(Entrance::Loopback, "GET", "/metrics", &[]));
        assert!(is_allowed(Entrance::Unix, "GET", "/metrics", &wrong));
    }

    #[test]
    fn the_network_may_look_and_no_more() {
        for (method, path, expected) in [
            ("GET", "/metrics", true),
            ("HEAD", "/healthz", true),
            ("GET", "/readyz", true),
            ("POST", "/metrics", false),
            ("GET", "/connections", false),
            ("POST", "/drain", false),
            ("GET", "/elsewhere", false),
        ] {
            assert_eq!(
                is_allowed(Entrance::Network, method, path, &[]),
                expected,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn another_origin_may_change_nothing() {
        let host = ("host", "localhost:1");
        for (header, expected) in [
            (("origin", "http://localhost:1"), true),
            (("origin", "http://localhost:2"), false),
            (("origin", "https://localhost:1"), false),
            (("origin", "null"), false),
            (("sec-fetch-site", "same-origin"), true),
            (("sec-fetch-site", "none"), true),
            (("sec-fetch-site", "cross-site"), false),
            (("sec-fetch-site", "same-site"), false),
        ] {
            let allowed = is_allowed(Entrance::Loopback, "POST", "/drain", &[host, header]);
            assert_eq!(allowed, expected, "{header:?}");
        }
    }
}
