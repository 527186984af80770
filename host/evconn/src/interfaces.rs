//! The names of the interfaces that components import and export.

use std::fmt;

/// The interface that a service exports.
pub(crate) const HANDLER: &str = "evconn:tcp/handler@0.1.0";

/// The interface that a component imports in order to be composed with the listener.
pub(crate) const LISTENER: &str = "evconn:tcp/listener@0.1.0";

/// The world of a service.
pub(crate) const WORLD: &str = "evconn:tcp/service@0.1.0";

/// The interface that a program exports, with the beginning of its version.
pub(crate) const RUN: &str = "wasi:cli/run@0.2";

/// What a service exports for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    /// The function `handle` of `evconn:tcp/handler`, which gets the connection.
    Handler,
    /// The function `run` of `wasi:cli/run`, which listens and accepts the connection: a program.
    Run,
}

impl EntryPoint {
    /// Returns the interface that contains it.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Handler => HANDLER,
            Self::Run => RUN,
        }
    }
}

/// Versions with the same beginning are compatible, by the rules of the linker.
pub(crate) const OURS: &str = "0.1";
pub(crate) const WASI: &str = "0.2";

/// The WASI interfaces that this host provides.
const PROVIDED: [(&str, &[&str]); 6] = [
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    (
        "wasi:sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// The name of an interface, such as `wasi:io/poll@0.2.0`.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub package: &'a str,
    pub interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// Parses a name. Returns None for a plain name, of a function for example.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (package, rest) = name.split_once('/')?;
        let (interface, version) = match rest.split_once('@') {
            Some((interface, version)) => (interface, Some(version)),
            None => (rest, None),
        };
        Some(Self {
            package,
            interface,
            version,
        })
    }

    /// Returns whether the version is compatible with those that begin with `beginning`.
    pub fn is_version(&self, beginning: &str) -> bool {
        let number = |version: &'a str| {
            version
                .split_once('+')
                .map_or(version, |(number, _build)| number)
        };
        self.version
            .and_then(|version| number(version).strip_prefix(beginning)?.strip_prefix('.'))
            .is_some_and(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()))
    }

    pub fn provided(&self) -> Provided {
        let package = PROVIDED
            .iter()
            .find(|(package, _)| *package == self.package);
        match package {
            Some((_, interfaces)) if interfaces.contains(&self.interface) => {
                match self.is_version(WASI) {
                    true => Provided::Yes,
                    false => Provided::OtherVersion,
                }
            }
            Some(_) | None => Provided::No,
        }
    }
}

pub(crate) enum Provided {
    Yes,
    OtherVersion,
    No,
}

/// An import that this host does not provide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub(crate) String);

impl Missing {
    /// Returns its name, as the component has it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns why it is missing, or what would provide it, if that is known.
    fn hint(&self) -> Option<&'static str> {
        let name = Name::parse(&self.0)?;
        if let Provided::OtherVersion = name.provided() {
            return Some("this host has version 0.2 of it");
        }
        match (name.package, name.interface) {
            ("evconn:tcp", "listener") => Some(
                "a service gets its connections from the host's listener; a component that listens is \
                 to be composed with it",
            ),
            ("evconn:tcp", _) => Some("this host has version 0.1.0 of evconn:tcp"),
            ("wasi:http", _) => Some(
                "this host has TCP, and no HTTP client; a JavaScript component is built without it by \
                 `jco componentize --disable http --disable fetch-event`",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint() {
            Some(hint) => write!(f, "{} ({hint})", self.0),
            None => f.write_str(&self.0),
        }
    }
}

/// Returns whether this host provides the interface of this name.
pub(crate) fn is_provided(import: &str) -> bool {
    Name::parse(import).is_some_and(|name| matches!(name.provided(), Provided::Yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(name: &str) -> String {
        Missing(name.to_owned()).to_string()
    }

    #[test]
    fn versions_are_compatible_by_the_rules_of_the_linker() {
        for (name, compatible) in [
            ("wasi:io/poll@0.2.0", true),
            ("wasi:io/poll@0.2.99", true),
            ("wasi:io/poll@0.2.3+build.1", true),
            ("wasi:io/poll@0.2.0-rc-2023-11-10", false),
            ("wasi:io/poll@0.3.0", false),
            ("wasi:io/poll@0.20.0", false),
            ("wasi:io/poll@1.0.0", false),
            ("wasi:io/poll", false),
            ("wasi:io/other@0.2.0", false),
            ("wasi:http/types@0.2.0", false),
            ("poll", false),
        ] {
            assert_eq!(is_provided(name), compatible, "{name}");
        }
    }

    #[test]
    fn what_is_missing_says_why() {
        assert_eq!(hint("log"), "log");
        assert_eq!(hint("acme:kv/store@1.0.0"), "acme:kv/store@1.0.0");
        assert_eq!(
            hint("wasi:io/poll@0.3.0"),
            "wasi:io/poll@0.3.0 (this host has version 0.2 of it)"
        );
        assert!(hint("evconn:tcp/listener@0.1.0").contains("composed"));
        assert!(hint("wasi:http/outgoing-handler@0.2.0").contains("no HTTP client"));
    }
}
