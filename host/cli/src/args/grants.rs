//! The flags for what a service is granted.

use super::wasmtime::HabitArgs;
use clap::Args;
use evconn::sockets::{Destination, InvalidDestination};
use evconn::{DirAccess, GrantError, Grants, GrantsBuilder, ListenGrant};
use std::path::PathBuf;

/// To be flattened into the arguments of each command that runs components.
#[derive(Args, Debug)]
#[command(next_help_heading = "Grants")]
pub struct GrantArgs {
    /// Give the component an environment variable: NAME=VALUE, or NAME alone for the value that it has
    /// here. May be repeated.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    env: Vec<Variable>,
    /// Give the component a directory, with all that is below it: the directory HOST has the path GUEST
    /// for it, or HOST if only that is given. With :ro behind, it is only to be read. May be repeated.
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_parser = directory)]
    dir: Vec<Directory>,
    /// Let the component connect to this by TCP. HOST is a name, such as db.example, which it may then
    /// have resolved, and no other; an address, such as 192.0.2.1 or [2001:db8::1]; or a network, such as
    /// 10.0.0.0/8 or [2001:db8::]/32. PORT is a number, a range, such as 8000-8100, or * for every port.
    /// May be repeated.
    #[arg(long, value_name = "HOST:PORT", value_parser = destination)]
    allow_connect: Vec<Destination>,
    /// Let the component send datagrams (UDP) to this, and receive them from it, by sockets on any free
    /// port. HOST:PORT is as with --allow-connect. May be repeated.
    #[arg(long, value_name = "HOST:PORT", value_parser = destination)]
    allow_udp: Vec<Destination>,
    /// Let the component bind a socket for datagrams (UDP) here, receive them from anyone, and answer.
    /// May be repeated.
    #[arg(long, value_name = "[IP]:PORT")]
    listen_udp: Vec<ListenGrant>,
    /// Let the component use the network as this process may: listen, connect, send datagrams, and
    /// resolve any name.
    #[arg(long)]
    inherit_network: bool,
    #[command(flatten)]
    habits: HabitArgs,
}

/// What is granted to services only, which have no arguments and no standard streams otherwise.
#[derive(Args, Debug)]
#[command(next_help_heading = "Grants")]
pub struct ServiceGrantArgs {
    #[command(flatten)]
    grants: GrantArgs,
    /// Give the service an argument. What it gets are these, without the name of a program in front.
    /// May be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// Pass what the service prints, be it to stdout or stderr, to the standard error of this command
    /// as it is, each line with the connection's number in front. Otherwise it goes to the log: escaped,
    /// cut, and so many lines of a connection at a time.
    #[arg(long)]
    inherit_stderr: bool,
}

impl ServiceGrantArgs {
    /// Open what is to be opened.
    pub fn grants(&self) -> Result<Grants, GrantError> {
        let grants = self.grants.builder().inherit_stderr(self.inherit_stderr);
        let grants = self
            .arg
            .iter()
            .fold(grants, |grants, text| grants.arg(text));
        grants.build()
    }

    /// Whether it may have sockets of its own, besides the connection that it serves.
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
            let Directory {
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
        for place in &self.listen_udp {
            grants = grants.listen_udp(*place);
        }
        grants.inherit_network(self.inherits_network())
    }

    fn inherits_network(&self) -> bool {
        self.inherit_network || self.habits.inherit_network()
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
        return Err("it takes NAME=VALUE, or a NAME".to_owned());
    }
    let name = name.to_owned();
    Ok(Variable { name, value })
}

fn inherited(name: &str) -> Result<String, String> {
    use std::env::VarError;
    // What has no name cannot be asked for.
    if name.is_empty() || name.contains('\0') {
        return Err("it takes NAME=VALUE, or a NAME".to_owned());
    }
    std::env::var(name).map_err(|error| match error {
        VarError::NotPresent => format!("it is not set here: say {name}=VALUE"),
        VarError::NotUnicode(_) => "its value here is not Unicode".to_owned(),
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    host: PathBuf,
    guest: String,
    access: DirAccess,
}

fn directory(text: &str) -> Result<Directory, String> {
    let (paths, access) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, DirAccess::ReadOnly),
        None => (text, DirAccess::ReadWrite),
    };
    let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
    if host.is_empty() || guest.is_empty() {
        return Err("it takes a path: HOST, or HOST::GUEST".to_owned());
    }
    // Or else a slip of the pen after the last colon would let the service write.
    if guest.contains(':') {
        return Err(
            "a path for the service has no colon: it takes HOST, HOST::GUEST or HOST::GUEST:ro"
                .to_owned(),
        );
    }
    Ok(Directory {
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
            Ok(Directory {
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
