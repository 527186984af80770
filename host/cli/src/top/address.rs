//! Where the admin endpoint of a server is.

use evconn::ListenSource;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of an admin endpoint, as `--admin` has it, or the URL of its status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host and a port: `127.0.0.1:9000`.
    Tcp(String),
    Unix(PathBuf),
}

impl Address {
    /// Returns what the header `Host` of a request is.
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp(address) => address,
            Self::Unix(_) => "localhost",
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected an address such as 127.0.0.1:9000, localhost:9000 or :9000, or unix:PATH";
        if text.starts_with("https:") {
            return Err(
                "the admin endpoint has no TLS: write http://, or the address alone".to_owned(),
            );
        }
        match text.strip_prefix("unix:") {
            Some("") => return Err("a path comes after \"unix:\"".to_owned()),
            Some(path) => return Ok(Self::Unix(path.into())),
            None => {}
        }
        let address = text.strip_prefix("http://").unwrap_or(text);
        let address = address.strip_suffix('/').unwrap_or(address);
        match address.parse() {
            Ok(ListenSource::Address(address)) if address.port() == 0 => Err(EXPECTED.to_owned()),
            Ok(ListenSource::Address(address)) => Ok(Self::Tcp(address.to_string())),
            Ok(ListenSource::AnyInterface(port)) => Ok(Self::Tcp(format!("localhost:{port}"))),
            Ok(ListenSource::Name { host, port }) => Ok(Self::Tcp(format!("{host}:{port}"))),
            Ok(_) | Err(_) => Err(EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_as_the_flag_has_it() {
        for (text, expected) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("[::1]:9000", "[::1]:9000"),
            ("localhost:9000", "localhost:9000"),
            (":9000", "localhost:9000"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
            ("http://localhost:9000", "localhost:9000"),
            ("unix:/run/evconn/admin.sock", "unix:/run/evconn/admin.sock"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), expected);
        }
        for wrong in [
            "",
            "9000",
            "127.0.0.1",
            "127.0.0.1:0",
            "localhost:x",
            "unix:",
            "fd:3",
            "systemd",
            "/run/a",
            "https://localhost:9000",
            "http://localhost:9000/status",
            "a\x1bb:1",
        ] {
            let problem = wrong.parse::<Address>().expect_err(wrong);
            assert!(
                !problem.is_empty() && !problem.contains('\n'),
                "{wrong}: {problem}"
            );
        }
    }
}
