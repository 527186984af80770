//! Listen sources as text, from the command line or a configuration file.

use super::{ListenSource, SourceError, UnixName, UnixSource, name, zone};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

impl FromStr for ListenSource {
    type Err = SourceError;

    /// # Errors
    /// [`SourceError::Invalid`] with what is wrong and what would be right.
    fn from_str(text: &str) -> Result<Self, SourceError> {
        parse(text).map_err(|problem| SourceError::Invalid {
            text: text.to_owned(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<ListenSource, String> {
    if let Some(rest) = text.strip_prefix("unix:") {
        return unix(rest).map(ListenSource::Unix);
    }
    if let Some(number) = text.strip_prefix("fd:") {
        return descriptor(number).map(ListenSource::Fd);
    }
    if text == "systemd" {
        return Ok(ListenSource::Systemd(None));
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        return match name {
            "" => Err("a name comes after \"systemd:\"; all sockets are just \"systemd\"".into()),
            name => Ok(ListenSource::Systemd(Some(name.to_owned()))),
        };
    }
    tcp(text.strip_prefix("tcp://").unwrap_or(text))
}

/// Parses the sources that are TCP addresses: an address, a port of all interfaces, or a host name.
fn tcp(text: &str) -> Result<ListenSource, String> {
    if let Some(port) = text.strip_prefix("*:").or(text.strip_prefix(':'))
        && let Some(port) = decimal(port)
    {
        return Ok(ListenSource::AnyInterface(port));
    }
    if let Ok(address) = text.parse() {
        return Ok(ListenSource::Address(address));
    }
    if let Some(address) = zone::parse(text)? {
        return Ok(ListenSource::Address(address));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && name::is_one(host)
        && let Some(port) = decimal(port)
    {
        let host = host.to_owned();
        return Ok(ListenSource::Name { host, port });
    }
    Err(not_an_address(text))
}

/// Returns what is wrong with a text that is no address, with what its author probably meant.
fn not_an_address(text: &str) -> String {
    let host = text.rsplit_once(':').map(|(host, _port)| host);
    match host {
        Some(host) if text.parse::<Ipv6Addr>().is_ok() && host.parse::<Ipv6Addr>().is_ok() => {
            let port = &text[host.len() + 1..];
            format!("an IPv6 address is in brackets: [{host}]:{port}, or [{text}]:9876, for one")
        }
        _ if text.parse::<IpAddr>().is_ok() => {
            let bare = |ip: IpAddr| SocketAddr::new(ip, 9876).to_string();
            let example = text.parse().map_or_else(|_| String::new(), bare);
            format!("it has no port: {example}, for one")
        }
        None if decimal::<u16>(text).is_some() => {
            format!("for port {text} of any interface, write :{text}")
        }
        None if text == "*" => "it has no port: *:9876, for one".to_owned(),
        None if text.contains('/') => format!("for a Unix socket, write unix:{text}"),
        None if name::is_one(text) => format!("it has no port: {text}:9876, for one"),
        Some(host)
            if ["", "*"].contains(&host) || host.parse::<IpAddr>().is_ok() || is_ipv6(host) =>
        {
            "its port is not a number from 0 to 65535".to_owned()
        }
        Some(host) if name::is_one(host) => "its port is not a number from 0 to 65535".to_owned(),
        _ => "it takes an address such as 127.0.0.1:9876, [::1]:9876, :9876 or localhost:9876, \
              unix:PATH, fd:NUMBER or systemd"
            .to_owned(),
    }
}

fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

fn unix(text: &str) -> Result<UnixSource, String> {
    let (name, options) = match text.split_once(',') {
        Some((name, options)) => (name, Some(options)),
        None => (text, None),
    };
    let mut source = match name.strip_prefix('@') {
        _ if name.contains('\0') => return Err("a name has no zero byte".to_owned()),
        Some("") => return Err("a name comes after \"unix:@\"".to_owned()),
        Some(name) => UnixSource::abstract_name(name),
        None if name.is_empty() => return Err("a path comes after \"unix:\"".to_owned()),
        None => UnixSource::path(name),
    };
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        let Some(mode) = option.strip_prefix("mode=") else {
            return Err(format!(
                "after a comma comes mode=660, for one, and not {option:?}"
            ));
        };
        if matches!(source.name, UnixName::Abstract(_)) {
            return Err("an abstract name has no file, and so no mode".to_owned());
        }
        if source.mode.is_some() {
            return Err("the mode is given twice".to_owned());
        }
        source = source.mode(octal(mode).ok_or("the mode is octal, from 0 to 777")?);
    }
    Ok(source)
}

fn octal(text: &str) -> Option<u32> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let mode = digits.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.filter(|mode| *mode <= 0o777)
}

fn descriptor(text: &str) -> Result<i32, String> {
    match decimal(text) {
        Some(0..=2) => Err("0, 1 and 2 are the standard streams: pass it as 3 or higher".into()),
        Some(number) => Ok(number),
        None => Err("a descriptor's number, such as 3, comes after \"fd:\"".to_owned()),
    }
}

/// Parses a number without a sign, which `str::parse` would accept.
pub(super) fn decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for ListenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::AnyInterface(port) => write!(f, ":{port}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(source) => write!(f, "{source}"),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Systemd(None) => f.write_str("systemd"),
            Self::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

impl fmt::Display for UnixSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.name)?;
        match self.mode {
            Some(mode) => write!(f, ",mode={mode:o}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> ListenSource {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn problem(text: &str) -> String {
        match text.parse::<ListenSource>() {
            Err(SourceError::Invalid {
                text: said,
                problem,
            }) => {
                assert_eq!(said, text);
                assert!(!problem.contains('\n'));
                problem
            }
            other => panic!("{text:?} is {other:?}"),
        }
    }

    #[test]
    fn addresses() {
        let address = |text: &str| ListenSource::Address(text.parse().expect("an address"));
        for text in [
            "127.0.0.1:9876",
            "[::1]:0",
            "0.0.0.0:65535",
            "[fe80::1%2]:80",
        ] {
            assert_eq!(source(text), address(text));
        }
        assert_eq!(source(":0"), ListenSource::AnyInterface(0));
        assert_eq!(source(":9876"), ListenSource::AnyInterface(9876));
        assert_eq!(source("*:9876"), ListenSource::AnyInterface(9876));
    }

    #[test]
    fn an_address_may_say_that_it_is_one_of_tcp() {
        for text in ["127.0.0.1:9876", "[::1]:0", ":80", "*:80", "localhost:80"] {
            assert_eq!(source(&format!("tcp://{text}")), source(text));
        }
    }

    #[test]
    fn names() {
        for (text, name) in [
            ("localhost:0", "localhost"),
            ("a-b.example:80", "a-b.example"),
            ("tcp:80", "tcp"),
        ] {
            let port = text.rsplit(':').next().expect("a port");
            let source = source(text);
            let expected = ListenSource::Name {
                host: name.to_owned(),
                port: port.parse().expect("a number"),
            };
            assert_eq!(source, expected);
        }
    }

    #[test]
    fn unix_sockets() {
        let unix = |source| ListenSource::Unix(source);
        assert_eq!(source("unix:/a/b"), unix(UnixSource::path("/a/b")));
        assert_eq!(source("unix:a b"), unix(UnixSource::path("a b")));
        for (text, mode) in [("660", 0o660), ("0660", 0o660), ("0", 0), ("777", 0o777)] {
            assert_eq!(
                source(&format!("unix:/a,mode={text}")),
                unix(UnixSource::path("/a").mode(mode))
            );
        }
        assert_eq!(source("unix:@a"), unix(UnixSource::abstract_name("a")));
    }

    #[test]
    fn passed_sockets() {
        assert_eq!(source("fd:3"), ListenSource::Fd(3));
        assert_eq!(source("systemd"), ListenSource::Systemd(None));
        let web = ListenSource::Systemd(Some("web".to_owned()));
        assert_eq!(source("systemd:web"), web);
    }

    #[test]
    fn what_is_displayed_is_the_same_source() {
        for text in [
            "127.0.0.1:80",
            "[::1]:80",
            ":80",
            "localhost:80",
            "unix:/run/a.sock",
            "unix:a,mode=600",
            "unix:@a",
            "fd:7",
            "systemd",
            "systemd:a b",
        ] {
            assert_eq!(source(text).to_string(), text);
        }
    }

    #[test]
    fn bad_addresses_say_what_would_be_right() {
        for (text, hint) in [
            ("", "such as 127.0.0.1:9876"),
            ("localhost", "localhost:9876"),
            ("a.example:", "0 to 65535"),
            ("a.example:http", "0 to 65535"),
            ("127.0.0.300:80", "such as 127.0.0.1:9876"),
            ("a b:80", "such as 127.0.0.1:9876"),
            ("127.0.0.1", "127.0.0.1:9876"),
            ("::1", "[::1]:9876"),
            ("::1:7180", "[::1]:7180"),
            ("9876", "write :9876"),
            (":", "0 to 65535"),
            (":65536", "0 to 65535"),
            (":+1", "0 to 65535"),
            ("127.0.0.1:x", "0 to 65535"),
            ("127.0.0.1:65536", "0 to 65535"),
            ("[::1]:", "0 to 65535"),
            ("[::1]", "such as 127.0.0.1:9876"),
            ("/run/a.sock", "write unix:/run/a.sock"),
            ("0.0.0.0", "0.0.0.0:9876"),
            ("*", "*:9876"),
            ("*:x", "0 to 65535"),
            ("tcp://", "such as 127.0.0.1:9876"),
            ("tcp://9876", "write :9876"),
            ("tcp://127.0.0.1", "127.0.0.1:9876"),
            ("udp://a:80", "such as 127.0.0.1:9876"),
            (" 127.0.0.1:80", "such as 127.0.0.1:9876"),
        ] {
            let problem = problem(text);
            assert!(problem.contains(hint), "{text:?}: {problem}");
        }
    }

    #[test]
    fn bad_unix_sockets_say_what_would_be_right() {
        for (text, hint) in [
            ("unix:", "a path comes after"),
            ("unix:,mode=660", "a path comes after"),
            ("unix:@", "a name comes after"),
            ("unix:@a,mode=660", "no file"),
            ("unix:/a,mode=", "octal"),
            ("unix:/a,mode=888", "octal"),
            ("unix:/a,mode=1777", "octal"),
            ("unix:/a,mode=+660", "octal"),
            ("unix:/a,mode=0o660", "octal"),
            ("unix:/a,mode=600,mode=660", "twice"),
            ("unix:/a,", "mode=660"),
            ("unix:/a,b", "mode=660"),
            ("unix:/a,user=me", "mode=660"),
            ("unix:/a\0b", "zero byte"),
        ] {
            let problem = problem(text);
            assert!(problem.contains(hint), "{text:?}: {problem}");
        }
    }

    #[test]
    fn bad_numbers_and_names_say_what_would_be_right() {
        for (text, hint) in [
            ("fd:", "a descriptor's number"),
            ("fd:x", "a descriptor's number"),
            ("fd:-1", "a descriptor's number"),
            ("fd:+3", "a descriptor's number"),
            ("fd:2147483648", "a descriptor's number"),
            ("fd:0", "3 or higher"),
            ("fd:2", "3 or higher"),
            ("systemd:", "just \"systemd\""),
        ] {
            let problem = problem(text);
            assert!(problem.contains(hint), "{text:?}: {problem}");
        }
    }
}
