//! The names of the interfaces that components import and export.

use std::borrow::Cow;
use std::fmt;

/// The interface that a service of WASI 0.2 exports.
pub(crate) const HANDLER: &str = "evconn:tcp/handler@0.1.0";

/// The interface that a service of WASI 0.3 exports.
pub(crate) const ASYNC_HANDLER: &str = "evconn:tcp/handler@0.3.0";

/// The interface that a component imports in order to be composed with the listener.
pub(crate) const LISTENER: &str = "evconn:tcp/listener@0.1.0";

/// The same for a program of WASI 0.3.
pub(crate) const ASYNC_LISTENER: &str = "evconn:tcp/listener@0.3.0";

/// The world of a service.
pub(crate) const WORLD: &str = "evconn:tcp/service@0.1.0";

/// The interface that a program of WASI 0.3 exports.
pub(crate) const ASYNC_RUN: &str = "wasi:cli/run@0.3.0";

/// The version of WASI that a component was built for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WasiVersion {
    /// WASI 0.2: functions are synchronous, and streams have pollables.
    #[default]
    V0_2,
    /// WASI 0.3: functions may be asynchronous, and streams and futures are types of their own.
    V0_3,
}

/// The beginnings of what components of WASI 0.3 export, their text and their compiled code, too.
const OF_0_3: [&[u8]; 2] = [b"evconn:tcp/handler@0.3.", b"wasi:cli/run@0.3."];

impl WasiVersion {
    /// Returns the version that a component seems to be built for, its text or its compiled code, without more than a
    /// look at the bytes: for [`HostBuilder::wasi`](crate::HostBuilder::wasi).
    pub fn guess(bytes: &[u8]) -> Self {
        let has = |name: &[u8]| bytes.windows(name.len()).any(|part| part == name);
        match OF_0_3.into_iter().any(has) {
            true => Self::V0_3,
            false => Self::V0_2,
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::V0_2 => Self::V0_3,
            Self::V0_3 => Self::V0_2,
        }
    }

    /// Returns the interface that a service of this version exports.
    pub(crate) fn handler(self) -> &'static str {
        match self {
            Self::V0_2 => HANDLER,
            Self::V0_3 => ASYNC_HANDLER,
        }
    }
}

/// What a service exports for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    /// The function `handle` of `evconn:tcp/handler`, which gets the connection.
    Handler,
    /// The function `run` of `wasi:cli/run`, which listens and accepts the connection: a program.
    Run,
}

impl EntryPoint {
    /// Returns the interface that contains it, with its versions.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Handler => "evconn:tcp/handler@0.1.0 or 0.3.0",
            Self::Run => "wasi:cli/run@0.2 or 0.3",
        }
    }
}

/// Versions with the same beginning are compatible, by the rules of the linker.
pub(crate) const OURS: &str = "0.1";
pub(crate) const WASI: &str = "0.2";

/// The beginning of the versions of WASI 0.3, and of evconn's interfaces for it.
pub(crate) const ASYNC: &str = "0.3";

/// Returns the version of WASI for which a component with these exports was built: 0.3 if its handler is of that, or its
/// program.
pub(crate) fn wasi_version<'a>(exports: impl IntoIterator<Item = &'a str>) -> WasiVersion {
    let is_async = |export| is_async_handler(export) || is_async_run(export);
    match exports.into_iter().any(is_async) {
        true => WasiVersion::V0_3,
        false => WasiVersion::V0_2,
    }
}

/// Returns the version of WASI that a handler interface of this name is for, or `None` if it is none of this host's.
pub(crate) fn handler_version(name: &str) -> Option<WasiVersion> {
    let name = Name::parse(name)?;
    if (name.package, name.interface) != ("evconn:tcp", "handler") {
        return None;
    }
    let versions = [(OURS, WasiVersion::V0_2), (ASYNC, WasiVersion::V0_3)];
    let version = versions
        .iter()
        .find(|(beginning, _)| name.is_version(beginning));
    version.map(|(_, version)| *version)
}

/// Returns whether this is the handler interface of WASI 0.3, in this version or a compatible one.
pub(crate) fn is_async_handler(export: &str) -> bool {
    Name::parse(export).is_some_and(|name| {
        (name.package, name.interface) == ("evconn:tcp", "handler") && name.is_version(ASYNC)
    })
}

/// Returns whether this is the interface of programs of WASI 0.3, in this version or a compatible one.
pub(crate) fn is_async_run(export: &str) -> bool {
    Name::parse(export).is_some_and(|name| {
        (name.package, name.interface) == ("wasi:cli", "run") && name.is_version(ASYNC)
    })
}

/// The interfaces of packages.
type Interfaces = [(&'static str, &'static [&'static str])];

/// The interfaces of WASI 0.3 that this host provides, and evconn's own for it.
const PROVIDED_ASYNC: &Interfaces = &[
    ("evconn:tcp", &["types"]),
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "types",
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
    ("wasi:clocks", &["types", "monotonic-clock", "system-clock"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    ("wasi:sockets", &["ip-name-lookup", "types"]),
];

/// The interfaces of WASI 0.2 that this host provides.
const PROVIDED: &Interfaces = &[
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

    /// Returns whether it is of a version that was not released.
    fn is_candidate(&self) -> bool {
        self.version.is_some_and(|version| version.contains("-rc"))
    }

    /// Returns whether this host provides it.
    pub fn provided(&self) -> Provided {
        let versions = [(PROVIDED, WASI), (PROVIDED_ASYNC, ASYNC)];
        let has = versions.map(|(provided, version)| {
            let has = |(package, interfaces): &(&str, &[&str])| {
                *package == self.package && interfaces.contains(&self.interface)
            };
            provided.iter().any(has).then_some(version)
        });
        let has: Vec<_> = has.into_iter().flatten().collect();
        match has.iter().any(|version| self.is_version(version)) {
            true => Provided::Yes,
            false if has.is_empty() => Provided::No,
            false => Provided::OtherVersions(has),
        }
    }
}

pub(crate) enum Provided {
    Yes,
    /// In these versions.
    OtherVersions(Vec<&'static str>),
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
    fn hint(&self) -> Option<Cow<'static, str>> {
        let name = Name::parse(&self.0)?;
        if let Provided::Yes = name.provided() {
            return Some(
                format!(
                    "this host has it for components that export {ASYNC_HANDLER} or {ASYNC_RUN}"
                )
                .into(),
            );
        }
        if let Provided::OtherVersions(versions) = name.provided() {
            let kind = match name.is_candidate() {
                true => "no release candidate, but ",
                false => "",
            };
            let versions = versions.join(" and ");
            return Some(format!("this host has {kind}version {versions} of it").into());
        }
        let hint = match (name.package, name.interface) {
            ("evconn:tcp", "listener") => Some(
                "a service gets its connections from the host's listener; a component that listens is \
                 to be composed with it",
            ),
            ("evconn:tcp", "handler") => Some(
                "it calls another handler: it is a filter, which is put in front of a service with `--through`",
            ),
            ("evconn:tcp", _) => Some("this host has versions 0.1.0 and 0.3.0 of evconn:tcp"),
            ("wasi:http", _) => Some(
                "this host has TCP, and no HTTP client; a JavaScript component is built without it by \
                 `jco componentize --disable http --disable fetch-event`",
            ),
            _ => None,
        };
        hint.map(Cow::Borrowed)
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

/// Returns whether this host provides the interface of this name to components of this version of WASI: to those of 0.3,
/// what is 0.2's, too.
pub(crate) fn is_provided(import: &str, wasi: WasiVersion) -> bool {
    Name::parse(import).is_some_and(|name| match name.provided() {
        Provided::Yes => wasi == WasiVersion::V0_3 || !name.is_version(ASYNC),
        Provided::OtherVersions(_) | Provided::No => false,
    })
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
            assert_eq!(is_provided(name, WasiVersion::V0_2), compatible, "{name}");
            assert_eq!(is_provided(name, WasiVersion::V0_3), compatible, "{name}");
        }
    }

    #[test]
    fn what_is_new_in_wasi_0_3_is_for_components_of_it() {
        for (name, provided) in [
            ("wasi:cli/stdout@0.3.0", true),
            ("wasi:clocks/system-clock@0.3.9", true),
            ("evconn:tcp/types@0.3.0", true),
            ("wasi:cli/stdout@0.3.0-rc-2025-09-16", false),
            ("wasi:clocks/system-clock@0.2.0", false),
            ("wasi:filesystem/types@0.3.0", true),
            ("wasi:filesystem/types@0.3.0-rc-2025-09-16", false),
        ] {
            assert_eq!(is_provided(name, WasiVersion::V0_3), provided, "{name}");
            assert!(!is_provided(name, WasiVersion::V0_2), "{name}");
        }
    }

    #[test]
    fn its_entry_point_says_which_version_a_component_is_of() {
        let of = |exports: &[&str]| wasi_version(exports.iter().copied());
        assert_eq!(of(&[HANDLER, ASYNC_HANDLER]), WasiVersion::V0_3);
        assert_eq!(of(&["evconn:tcp/handler@0.3.4"]), WasiVersion::V0_3);
        assert_eq!(of(&[HANDLER, "wasi:cli/run@0.3.1"]), WasiVersion::V0_3);
        for other in [
            HANDLER,
            "evconn:tcp/handler@0.3.0-rc-1",
            "wasi:cli/run@0.2.9",
            "wasi:cli/run@0.3.0-rc-2025-09-16",
        ] {
            assert_eq!(of(&[other]), WasiVersion::V0_2, "{other}");
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
        assert_eq!(
            hint("wasi:cli/stdout@0.3.0-rc-1"),
            "wasi:cli/stdout@0.3.0-rc-1 (this host has no release candidate, but version 0.2 and 0.3 of it)"
        );
        assert!(hint("wasi:cli/stdout@0.3.0").contains("that export evconn:tcp/handler@0.3.0"));
        assert!(hint("evconn:tcp/handler@0.3.0").contains("filter"));
        assert!(hint("evconn:tcp/listener@0.1.0").contains("composed"));
        assert!(hint("wasi:http/outgoing-handler@0.2.0").contains("no HTTP client"));
    }
}
