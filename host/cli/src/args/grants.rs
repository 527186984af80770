//! The flags for what a component may use.

use super::wasmtime::WasmtimeArgs;
use clap::Args;
use evconn::sockets::{Destination, InvalidDestination};
use evconn::{DirAccess, Grants, GrantsBuilder, ListenGrant};
use std::path::Path;
use std::path::PathBuf;

/// What may be granted to every component.
#[derive(Args, Debug)]
#[command(next_help_heading = "Grants")]
pub struct GrantArgs {
    /// Set an environment variable
    ///
    /// If only NAME is given, the value is that of this process. May be repeated.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    env: Vec<Variable>,
    /// Grant a directory and all below it
    ///
    /// HOST is its path on this machine, GUEST the one that the component opens, which defaults to HOST. With :ro it can only be read. May be repeated.
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_parser = directory)]
    dir: Vec<DirectoryGrant>,
    /// Grant TCP connections to this destination
    ///
    /// HOST is a name, such as db.example, which the component may then look up; an address, such as 192.0.2.1
    /// or [2001:db8::1]; or a network, such as 10.0.0.0/8 or [2001:db8::]/32. PORT is a number, a range, such
    /// as 8000-8100, or * for every port. May be repeated.
    #[arg(long, value_name = "HOST:PORT", value_parser = destination)]
    allow_connect: Vec<Destination>,
    /// Grant UDP datagrams to and from this destination, through sockets on any free port
    ///
    /// HOST:PORT is as with --allow-connect. May be repeated.
    #[arg(long, value_name = "HOST:PORT", value_parser = destination)]
    allow_udp: Vec<Destination>,
    /// Grant a UDP socket bound to this address, which receives from anyone and answers
    ///
    /// May be repeated.
    #[arg(long, value_name = "[IP]:PORT")]
    listen_udp: Vec<ListenGrant>,
    /// Grant all that this process may do on the network
    ///
    /// The component may listen, connect, send datagrams and look up any name.
    #[arg(long)]
    inherit_network: bool,
    #[command(flatten)]
    wasmtime: WasmtimeArgs,
}

/// What may be granted to services only: programs have arguments and standard streams anyway.
#[derive(Args, Debug)]
#[command(next_help_heading = "Grants")]
pub struct ServiceGrantArgs {
    #[command(flatten)]
    grants: GrantArgs,
    /// Pass an argument to the service
    ///
    /// The arguments do not begin with a program's name. May be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// Copy the service's stdout and stderr to standard error, unescaped
    ///
    /// Each line begins with the connection's number. There is no limit: --log-budget does not apply. Without this
    /// flag the lines go to the log: escaped, truncated, and up to 100 lines of a connection in 10 seconds, within
    /// --log-budget.
    #[arg(long)]
    inherit_stderr: bool,
}

impl ServiceGrantArgs {
    pub fn builder(&self) -> GrantsBuilder {
        let grants = self.grants.builder().inherit_stderr(self.inherit_stderr);
        self.arg
            .iter()
            .fold(grants, |grants, text| grants.arg(text))
    }

    /// The directories that are granted, and whether they may be written to.
    pub fn directories(&self) -> impl Iterator<Item = (&Path, bool)> {
        let directories = self.grants.dir.iter();
        directories.map(|dir| (dir.host.as_path(), dir.access == DirAccess::ReadWrite))
    }

    /// Whether the service may have sockets of its own, besides its connection.
    pub fn has_network(&self) -> bool {
        let grants = &self.grants;
        let destinations = [&grants.allow_connect, &grants.allow_udp];
        destinations.iter().any(|granted| !granted.is_empty())
            || !grants.listen_udp.is_empty()
            || grants.inherits_network()
    }
}

impl GrantArgs {
    pub fn builder(&self) -> GrantsBuilder {
        let mut grants = Grants::builder();
        for Variable { name, value } in &self.env {
            grants = grants.env(name, value);
        }
        for directory in &self.dir {
            let DirectoryGrant {
                host,
                guest,
                access,
            } = directory;
            grants = grants.dir(host, guest, *access);
        }
        for destination in &self.allow_connect {
            grants = grants.connect(destination.clone());
        }
        for destination in &self.allow_udp {
            grants = grants.udp(destination.clone());
        }
        for address in &self.listen_udp {
            grants = grants.listen_udp(*address);
        }
        grants.inherit_network(self.inherits_network())
    }

    fn inherits_network(&self) -> bool {
        self.inherit_network || self.wasmtime.inherit_network()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    name: String,
    value: String,
}

fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => (text, inherited(text)?),
    };
    if name.is_empty() {
        return Err("expected NAME=VALUE or NAME".to_owned());
    }
    let name = name.to_owned();
    Ok(Variable { name, value })
}

fn inherited(name: &str) -> Result<String, String> {
    use std::env::VarError;
    // `std::env::var` would panic.
    if name.is_empty() || name.contains('\0') {
        return Err("expected NAME=VALUE or NAME".to_owned());
    }
    std::env::var(name).map_err(|error| match error {
        VarError::NotPresent => format!("the variable is not set here: write {name}=VALUE"),
        VarError::NotUnicode(_) => "the value of the variable is not Unicode".to_owned(),
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DirectoryGrant {
    host: PathBuf,
    guest: String,
    access: DirAccess,
}

fn directory(text: &str) -> Result<DirectoryGrant, String> {
    let (paths, access) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, DirAccess::ReadOnly),
        None => (text, DirAccess::ReadWrite),
    };
    let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
    if host.is_empty() || guest.is_empty() {
        return Err("expected HOST or HOST::GUEST".to_owned());
    }
    // A misspelt `:ro` must not grant writing.
    if guest.contains(':') {
        return Err(
            "a colon in the guest's path: expected HOST, HOST::GUEST or HOST::GUEST:ro".to_owned(),
        );
    }
    Ok(DirectoryGrant {
        host: PathBuf::from(host),
        guest: guest.to_owned(),
        access,
    })
}

fn destination(text: &str) -> Result<Destination, String> {
    text.parse()
        .map_err(|error: InvalidDestination| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_value_or_is_inherited() {
        let set = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            Ok(Variable { name, value })
        };
        assert_eq!(variable("A=b=c"), set("A", "b=c"));
        assert_eq!(variable("A="), set("A", ""));
        let path = std::env::var("PATH").expect("a PATH");
        assert_eq!(variable("PATH"), set("PATH", &path));
        let missing = variable("EVCONN_NOT_SET").expect_err("it is not set");
        assert!(missing.contains("EVCONN_NOT_SET=VALUE"), "{missing}");
        assert!(variable("").is_err() && variable("=b").is_err());
    }

    #[test]
    fn a_directory_has_a_path_for_the_guest_and_may_be_read_only() {
        use DirAccess::{ReadOnly, ReadWrite};
        let directory_of = |host: &str, guest: &str, access| {
            let (host, guest) = (PathBuf::from(host), guest.to_owned());
            Ok(DirectoryGrant {
                host,
                guest,
                access,
            })
        };
        assert_eq!(directory("/a"), directory_of("/a", "/a", ReadWrite));
        assert_eq!(directory("/a:ro"), directory_of("/a", "/a", ReadOnly));
        assert_eq!(directory("a::/b"), directory_of("a", "/b", ReadWrite));
        assert_eq!(directory("a::/b:ro"), directory_of("a", "/b", ReadOnly));
        assert_eq!(directory("a:b::c"), directory_of("a:b", "c", ReadWrite));
        for text in [
            "", "::", "a::", "::b", ":ro", "a::b:rw", "a::b:RO", "a:b", "a::b::c",
        ] {
            assert!(directory(text).is_err(), "{text:?}");
        }
    }
}
