//! What a service is granted besides its connection: nothing, by default.
//!
//! Granted files are wasmtime-wasi's, the network is that of [`sockets`](crate::sockets), and what is
//! printed goes to the instance's console.

mod error;
mod files;
mod listening;

pub use error::GrantError;
pub use files::DirAccess;
pub use listening::{InvalidListenGrant, ListenGrant};

use crate::sockets::{
    Destination, Destinations, OnDenied, Policy, Protocol, Resolver, TcpCtx, UdpRules,
};
use files::GrantedDirectory;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

/// What a [`Service`](crate::Service) is granted besides its connection, clocks and random numbers, or a
/// [`Program`](crate::Program) besides its standard streams, clocks and random numbers.
///
/// Cloning is cheap. Granted directories stay open until the last clone is dropped.
///
/// ```
/// use evconn::{DirAccess, Grants};
///
/// let grants = Grants::builder()
///     .env("LANG", "C.UTF-8")
///     .dir(std::env::temp_dir(), "/data", DirAccess::ReadOnly)
///     .connect("localhost:5432".parse()?)
///     .build()?;
/// # let _: Grants = grants;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Grants(Arc<Granted>);

struct Granted {
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    files: WasiFilesystemCtx,
    sockets: TcpCtx,
    inherit_stderr: bool,
    /// The builder, for `Debug`.
    builder: GrantsBuilder,
}

impl Grants {
    /// Returns a builder, which grants nothing at first.
    pub fn builder() -> GrantsBuilder {
        GrantsBuilder::default()
    }

    /// Returns grants of nothing.
    pub fn none() -> Self {
        Self::new(WasiFilesystemCtx::default(), Self::builder())
    }

    fn new(files: WasiFilesystemCtx, builder: GrantsBuilder) -> Self {
        let sockets = sockets(&builder);
        Self(Arc::new(Granted {
            variables: builder.variables.clone(),
            arguments: builder.arguments.clone(),
            files,
            sockets,
            inherit_stderr: builder.inherit_stderr,
            builder,
        }))
    }

    /// Returns what an instance may do with sockets.
    pub(crate) fn sockets(&self) -> &TcpCtx {
        &self.0.sockets
    }

    /// Returns the grant that a guest lacks for listening on this address.
    pub(crate) fn missing_place(address: SocketAddr) -> ListenGrant {
        ListenGrant::of(address)
    }

    /// Returns whether what is printed goes to standard error, rather than to the log.
    pub(crate) fn inherits_stderr(&self) -> bool {
        self.0.inherit_stderr
    }

    /// Adds the other grants to the context of an instance. `on_denied` is called when the guest is
    /// denied a datagram, for example.
    pub(crate) fn finish(
        &self,
        mut builder: WasiCtxBuilder,
        on_denied: Arc<dyn OnDenied>,
    ) -> WasiCtx {
        builder.envs(&self.0.variables).args(&self.0.arguments);
        self.0.sockets.udp().apply(&mut builder, on_denied);
        let mut wasi = builder.build();
        wasi.filesystem().clone_from(&self.0.files);
        wasi
    }
}

/// Returns the granted use of the network.
fn sockets(builder: &GrantsBuilder) -> TcpCtx {
    let policy = match (&builder.policy, builder.inherit_network) {
        (_, true) => Policy::allow_all(),
        (Some(policy), false) => policy.clone(),
        (None, false) => Policy::deny_all(),
    };
    let tcp = builder.destinations.iter().map(|to| (Protocol::Tcp, to));
    let udp = builder.udp.iter().map(|to| (Protocol::Udp, to));
    let mut destinations =
        Destinations::new(tcp.chain(udp)).with_all_names(builder.inherit_network);
    if let Some(resolver) = &builder.resolver {
        destinations = destinations.with_resolver(Arc::clone(resolver));
    }
    let places = |grants: &[ListenGrant]| grants.iter().map(ListenGrant::place).collect::<Vec<_>>();
    TcpCtx::new(policy)
        .with_destinations(destinations.clone())
        .with_places(places(&builder.listening))
        .with_backlog(builder.backlog)
        .with_udp(UdpRules {
            destinations,
            places: places(&builder.listening_udp).into(),
            everything: builder.inherit_network,
        })
}

impl Default for Grants {
    /// Returns [`Grants::none`].
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.builder, f)
    }
}

/// Collects grants. Nothing is checked or opened before [`build`](Self::build).
#[derive(Clone, Default)]
pub struct GrantsBuilder {
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    directories: Vec<GrantedDirectory>,
    destinations: Vec<Destination>,
    listening: Vec<ListenGrant>,
    udp: Vec<Destination>,
    listening_udp: Vec<ListenGrant>,
    inherit_network: bool,
    backlog: Option<NonZeroU32>,
    policy: Option<Policy>,
    resolver: Option<Arc<dyn Resolver>>,
    inherit_stderr: bool,
}

impl GrantsBuilder {
    /// Grants an environment variable. It replaces one of the same name.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.variables.iter_mut().find(|(known, _)| *known == name) {
            Some(variable) => variable.1 = value,
            None => self.variables.push((name, value)),
        }
        self
    }

    /// Adds an argument. `get-arguments` of `wasi:cli/environment` returns exactly these arguments,
    /// without a program name in front. (Rust's `std::env::args` and Python's `sys.argv` expect one, so
    /// they take the first argument for the program name.)
    pub fn arg(mut self, text: impl Into<String>) -> Self {
        self.arguments.push(text.into());
        self
    }

    /// Grants a directory of the host, with everything below it, at this path in the guest. Neither `..`
    /// nor a symbolic link leads out of it.
    ///
    /// It is opened once: if the directory is moved, the service keeps it, and if it is replaced, the
    /// service does not see the new one.
    pub fn dir(
        mut self,
        host_path: impl Into<PathBuf>,
        guest_path: impl Into<String>,
        access: DirAccess,
    ) -> Self {
        self.directories.push(GrantedDirectory {
            host_path: host_path.into(),
            guest_path: guest_path.into(),
            access,
        });
        self
    }

    /// Grants TCP connections to this destination. If it is a host name, the service may look it up.
    /// Looking up any other name fails with `permanent-resolver-failure`, connecting to any other address
    /// with `access-denied`.
    ///
    /// A host name covers the addresses that it resolves to when the service looks it up or connects, and
    /// those that it had in the last ten minutes.
    pub fn connect(mut self, destination: Destination) -> Self {
        self.destinations.push(destination);
        self
    }

    /// Grants listening on an address and accepting whoever connects. A program that is a server needs
    /// this; a service seldom does.
    ///
    /// A guest that listens on a loopback address may also connect to it. And a guest that is granted any
    /// use of the network, or is a [`Program`](crate::Program), may bind port 0 of `127.0.0.1` and `::1`,
    /// listen there and connect to itself; no one else is let in, unless that was granted. Python's
    /// asyncio, for example, requires this.
    pub fn listen(mut self, place: ListenGrant) -> Self {
        self.listening.push(place);
        self
    }

    /// Sets the length of the accept queue of each socket on which a guest listens, whatever the guest
    /// requests. The kernel has a limit of its own. Defaults to what the guest requests, or 4,096.
    pub fn backlog(mut self, count: NonZeroU32) -> Self {
        self.backlog = Some(count);
        self
    }

    /// Grants sending UDP datagrams to this destination and receiving them from it, through sockets on
    /// any free port. If it is a host name, the service may look it up, as with
    /// [`connect`](Self::connect).
    pub fn udp(mut self, destination: Destination) -> Self {
        self.udp.push(destination);
        self
    }

    /// Grants a UDP socket on this address: the service may receive datagrams from anyone, and answer.
    ///
    /// It may answer the latest senders: some thousand.
    pub fn listen_udp(mut self, place: ListenGrant) -> Self {
        self.listening_udp.push(place);
        self
    }

    /// Grants all that this process may do on the network: listening, connecting, datagrams, and looking
    /// up any name. Defaults to false.
    pub fn inherit_network(mut self, inherit: bool) -> Self {
        self.inherit_network = inherit;
        self
    }

    /// Grants what a policy of your own allows with sockets, in addition to [`connect`](Self::connect).
    /// The policy is asked only about addresses that `connect` does not cover. It does not apply to host
    /// names: looking one up requires `connect`. Defaults to [`Policy::deny_all`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets the resolver of the names that the service looks up or connects to, without granting any.
    /// Defaults to the operating system's.
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Sets where the service's standard output and standard error go.
    ///
    /// If false, the default, they go to the log, line by line, with the number and the peer of the
    /// connection. Lines are escaped and cut off, and limited to 100 for each connection in 10 seconds.
    /// If true, they go to the host's standard error completely, each line after the connection's number:
    /// `[N] `. The text is not escaped, so it may contain control sequences of the terminal, and
    /// [`Limits::log_budget`](crate::Limits::log_budget) does not apply. A guest that prints waits until this process's
    /// standard error is read.
    pub fn inherit_stderr(mut self, inherit: bool) -> Self {
        self.inherit_stderr = inherit;
        self
    }

    /// Checks the grants and opens the directories.
    ///
    /// # Errors
    /// [`GrantError`] if something cannot be granted.
    pub fn build(self) -> Result<Grants, GrantError> {
        for (name, value) in &self.variables {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(GrantError::VariableName(name.clone()));
            }
            if value.contains('\0') {
                return Err(GrantError::Nul(format!("the variable {name}")));
            }
        }
        if let Some(text) = self.arguments.iter().find(|text| text.contains('\0')) {
            return Err(GrantError::Nul(format!("the argument {text:?}")));
        }
        Ok(Grants::new(files::open(&self.directories)?, self))
    }
}

/// Omits the values of variables, some of which are secrets.
impl fmt::Debug for GrantsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("Grants")
            .field("env", &names)
            .field("args", &self.arguments.len())
            .field("directories", &self.directories)
            .field("destinations", &self.destinations)
            .field("listening", &self.listening)
            .field("udp", &self.udp)
            .field("listening_udp", &self.listening_udp)
            .field("inherit_network", &self.inherit_network)
            .field("backlog", &self.backlog)
            .field("policy", &self.policy)
            .field("resolver", &self.resolver)
            .field("inherit_stderr", &self.inherit_stderr)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: GrantsBuilder) -> String {
        let error = builder.build().expect_err("it cannot be granted");
        error.to_string()
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let missing = std::env::temp_dir().join("evconn-nothing-is-here");
        let builder = Grants::builder().dir(&missing, "/", DirAccess::ReadOnly);
        let error = refused(builder);
        assert!(
            error.starts_with(&format!(
                "cannot grant the directory {}: ",
                missing.display()
            )),
            "{error}"
        );
        let file = std::env::current_exe().expect("this program");
        let error = refused(Grants::builder().dir(file, "/", DirAccess::ReadOnly));
        assert!(error.contains("ot a directory"), "{error}");
    }

    #[test]
    fn each_directory_has_a_path_of_its_own() {
        let add = |builder: GrantsBuilder, path: &str| {
            builder.dir(std::env::temp_dir(), path, DirAccess::ReadWrite)
        };
        let two = add(add(Grants::builder(), "/one"), "/other");
        assert!(two.clone().build().is_ok());
        assert!(refused(add(two, "/one")).contains("\"/one\""));
        assert!(refused(add(Grants::builder(), "")).contains("\"\""));
    }

    #[test]
    fn what_no_environment_can_have_is_refused() {
        for name in ["", "A=B", "A\0"] {
            assert!(refused(Grants::builder().env(name, "")).contains("variable"));
        }
        assert!(refused(Grants::builder().env("A", "\0")).contains("NUL"));
        assert!(refused(Grants::builder().arg("a\0b")).contains("NUL"));
        assert!(Grants::builder().env("A", "B=C").arg("").build().is_ok());
    }

    #[test]
    fn values_are_not_shown() {
        let builder = Grants::builder().env("TOKEN", "secret").arg("secret");
        let shown = format!("{:?}", builder.build().expect("grants"));
        assert!(
            shown.contains("TOKEN") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
