//! What a service is granted besides its connection. By default it is nothing.
//!
//! Where it ends: what comes of a grant when the guest makes use of it is wasmtime-wasi's for files,
//! the [`sockets`](crate::sockets)' for the network, and the console's of an instance for what it
//! prints.

mod error;
mod files;
mod listening;

pub use error::GrantError;
pub use files::DirAccess;
pub use listening::{InvalidListenGrant, ListenGrant};

use crate::sockets::{Destination, Destinations, OnDenied, Policy, Protocol, TcpCtx, UdpRules};
use files::GrantedDirectory;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

/// What a [`Service`](crate::Service) is granted besides its connection, clocks and random numbers, or a
/// [`Program`](crate::Program) besides its standard streams and these.
///
/// Cheap to clone. Its directories stay open for as long as there is a clone of it.
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
    /// What it was made of, to be shown.
    builder: GrantsBuilder,
}

impl Grants {
    /// To say what is granted.
    pub fn builder() -> GrantsBuilder {
        GrantsBuilder::default()
    }

    /// Nothing is granted.
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

    /// What one instance may do with sockets.
    pub(crate) fn sockets(&self) -> &TcpCtx {
        &self.0.sockets
    }

    /// What would let a guest listen on an address where it may not.
    pub(crate) fn missing_place(address: SocketAddr) -> ListenGrant {
        ListenGrant::of(address)
    }

    /// Whether what is printed goes to standard error as it is, rather than to the log.
    pub(crate) fn inherits_stderr(&self) -> bool {
        self.0.inherit_stderr
    }

    /// All else, for one instance. `on_denied` is told of datagrams that it may not send, and the like.
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

/// What the builder grants of the network.
fn sockets(builder: &GrantsBuilder) -> TcpCtx {
    let policy = match (&builder.policy, builder.inherit_network) {
        (_, true) => Policy::allow_all(),
        (Some(policy), false) => policy.clone(),
        (None, false) => Policy::deny_all(),
    };
    let tcp = builder.destinations.iter().map(|to| (Protocol::Tcp, to));
    let udp = builder.udp.iter().map(|to| (Protocol::Udp, to));
    let destinations = Destinations::new(tcp.chain(udp)).with_all_names(builder.inherit_network);
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
    /// [`Grants::none`].
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.builder, f)
    }
}

/// What is to be granted. Nothing is checked or opened before [`build`](Self::build).
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
    inherit_stderr: bool,
}

impl GrantsBuilder {
    /// An environment variable. One of the same name that was granted before is replaced.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.variables.iter_mut().find(|(known, _)| *known == name) {
            Some(variable) => variable.1 = value,
            None => self.variables.push((name, value)),
        }
        self
    }

    /// One more argument: what `get-arguments` of `wasi:cli/environment` returns is these, and no name
    /// of a program in front of them. (To `std::env::args` of Rust and `sys.argv` of Python, which
    /// expect one, the first of them is the program's name.)
    pub fn arg(mut self, text: impl Into<String>) -> Self {
        self.arguments.push(text.into());
        self
    }

    /// A directory of the host with all that is below it, and the path that it has for the guest.
    /// Neither `..` nor a symbolic link leads out of it.
    ///
    /// It is opened once: if it is moved, the service keeps it, and if it is replaced, the service does
    /// not see the new one.
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

    /// The service may connect to this by TCP. If it is a name, the service may have it looked up; to
    /// look any other name up is a `permanent-resolver-failure`, and to connect to an address that is
    /// nobody's here is `access-denied`.
    ///
    /// A name's addresses are those that it resolves to when the service asks for them or connects,
    /// and those that it had in the last ten minutes.
    pub fn connect(mut self, destination: Destination) -> Self {
        self.destinations.push(destination);
        self
    }

    /// It may make a socket listen there, and accept whoever connects. A service seldom needs this, and a
    /// program that is a server does.
    ///
    /// Whoever listens on a loopback address may connect to it, too. And who is granted anything of the
    /// network, or is a [`Program`](crate::Program), may bind port 0 of `127.0.0.1` and `::1`, listen there
    /// and connect to itself: nobody else is let in, unless that was granted. Python's asyncio, for one,
    /// does not run without.
    pub fn listen(mut self, place: ListenGrant) -> Self {
        self.listening.push(place);
        self
    }

    /// How many connections the kernel may hold that were not yet accepted, of each socket that listens by
    /// itself, whatever the component asks for. The kernel has a limit of its own. Default: what the
    /// component says, or 4,096.
    pub fn backlog(mut self, count: NonZeroU32) -> Self {
        self.backlog = Some(count);
        self
    }

    /// It may send datagrams (UDP) to this and receive them from it, by sockets that have any port that is
    /// free. If it is a name, it may have that looked up, as with [`connect`](Self::connect).
    pub fn udp(mut self, destination: Destination) -> Self {
        self.udp.push(destination);
        self
    }

    /// It may bind a socket for datagrams there, receive from anyone, and answer.
    ///
    /// Whom it may answer are the latest peers that have sent to it: some thousand.
    pub fn listen_udp(mut self, place: ListenGrant) -> Self {
        self.listening_udp.push(place);
        self
    }

    /// It may use the network as this process may: listen, connect, exchange datagrams, look up any name.
    /// Default: false.
    pub fn inherit_network(mut self, inherit: bool) -> Self {
        self.inherit_network = inherit;
        self
    }

    /// What the service may do with sockets by a rule of your own, besides what
    /// [`connect`](Self::connect) grants. It is asked only about addresses that `connect` does not
    /// cover, and says nothing of names: to have one looked up takes `connect`. Default:
    /// [`Policy::deny_all`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Where what the service prints goes to, be it by its standard output or its standard error.
    ///
    /// False, the default: to the log, with the number of the connection and its peer, line by line:
    /// escaped, cut, and no more than 100 lines of a connection in 10 seconds. True: to the host's
    /// standard error, all of it, each line with the number of the connection in front: `[N] `. It is
    /// what the guest wrote, even if that is meant to lead a terminal astray; and whoever does not read
    /// this process's standard error holds it up.
    pub fn inherit_stderr(mut self, inherit: bool) -> Self {
        self.inherit_stderr = inherit;
        self
    }

    /// Check all of it, and open the directories.
    ///
    /// # Errors
    /// [`GrantError`], if one of them cannot be granted.
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

/// Without the values of variables: some are secrets.
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
