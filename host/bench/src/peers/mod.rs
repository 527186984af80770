//! The servers that are compared, and how each is started.

mod epoll;
mod native;
mod wasmtime_wasi;

use crate::kit::{
    self, ASYNC_ECHO, ASYNC_HAND_BACK, ECHO, ECHO_COMMAND, ECHO_COPY, Kit, Language, libevent,
};
use crate::process::{Address, Process, READY};
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::net::{TcpListener, TcpSocket};

/// The subcommand of this program that runs one of its servers. For the benchmark itself only.
pub const SUBCOMMAND: &str = "peer";

/// Port 0: any free port.
const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// The length of the accept queue: evconn's default.
const BACKLOG: i32 = 4096;

/// How many connections a server allows unless a work needs more: evconn's default.
const CONNECTIONS: u32 = 1_000;

/// How many connections an instance has at a time, if it is shared.
pub const SHARED: u32 = 100;

/// The servers, in the order in which they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    Tokio,
    TokioLarge,
    Epoll,
    Libevent,
    WasmtimeWasi,
    Evconn,
    EvconnThreads,
    EvconnReuse,
    EvconnWarm,
    EvconnCopy,
    EvconnAsync,
    EvconnAsyncBack,
    EvconnAsyncOne,
    EvconnProgram,
    EvconnShared,
    EvconnSharedOne,
    EvconnOne,
    Wasmtime,
}

/// What a server is started for.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Maximum number of connections at a time.
    pub connections: u32,
    /// Whether the server may find compiled code in its cache.
    pub cached: bool,
    /// The language of the service; an echo if there is none. For evconn, evconn-threads and evconn-warm only.
    pub language: Option<Language>,
    /// More flags, for evconn only.
    pub flags: Vec<String>,
}

impl Peer {
    pub const ALL: [Self; 18] = [
        Self::Tokio,
        Self::TokioLarge,
        Self::Epoll,
        Self::Libevent,
        Self::WasmtimeWasi,
        Self::Evconn,
        Self::EvconnThreads,
        Self::EvconnReuse,
        Self::EvconnWarm,
        Self::EvconnCopy,
        Self::EvconnAsync,
        Self::EvconnAsyncBack,
        Self::EvconnAsyncOne,
        Self::EvconnProgram,
        Self::EvconnShared,
        Self::EvconnSharedOne,
        Self::EvconnOne,
        Self::Wasmtime,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::TokioLarge => "tokio-large",
            Self::Epoll => "epoll",
            Self::Libevent => "libevent",
            Self::WasmtimeWasi => "wasmtime-wasi",
            Self::Evconn => "evconn",
            Self::EvconnThreads => "evconn-threads",
            Self::EvconnReuse => "evconn-reuse",
            Self::EvconnCopy => "evconn-copy",
            Self::EvconnAsync => "evconn-async",
            Self::EvconnAsyncBack => "evconn-async-back",
            Self::EvconnAsyncOne => "evconn-async-one",
            Self::EvconnProgram => "evconn-program",
            Self::EvconnWarm => "evconn-warm",
            Self::EvconnShared => "evconn-shared",
            Self::EvconnSharedOne => "evconn-shared-one",
            Self::EvconnOne => "evconn-one",
            Self::Wasmtime => "wasmtime",
        }
    }

    pub const fn about(self) -> &'static str {
        match self {
            Self::Tokio => "native: a task of tokio for each connection",
            Self::TokioLarge => "native: the same with a buffer of 512 KiB instead of 64 KiB",
            Self::Epoll => "native: a loop around epoll on each core, as the floor",
            Self::Libevent => "native: the echo server of libevent's manual, in C, on one core",
            Self::WasmtimeWasi => {
                "evconn's components on wasmtime-wasi's sockets, a fresh instance for each connection"
            }
            Self::Evconn => {
                "evconn serve: a process on each core, a fresh instance for each connection; bytes are spliced"
            }
            Self::EvconnThreads => "evconn serve --processes 0: one process, a thread on each core",
            Self::EvconnReuse => "evconn serve --reuse: an instance for connections in turn",
            Self::EvconnCopy => {
                "evconn serve: a fresh instance for each connection; bytes pass through its memory"
            }
            Self::EvconnAsync => "the same with a handler of WASI 0.3",
            Self::EvconnAsyncBack => {
                "a handler of WASI 0.3 that returns the stream that it was given: the host echoes"
            }
            Self::EvconnAsyncOne => "a handler of WASI 0.3, one instance for all connections",
            Self::EvconnProgram => {
                "evconn serve of a program of std::net: a fresh instance, which listens and accepts, for each connection"
            }
            Self::EvconnWarm => "evconn serve --warm 64: as many instances are made ahead",
            Self::EvconnShared => {
                "evconn serve --instances CORES --concurrency 100: the manual's echo server, an instance on each core"
            }
            Self::EvconnSharedOne => "the same with one instance",
            Self::EvconnOne => "evconn run: the manual's echo server, one instance for all",
            Self::Wasmtime => "the same, composed, on the command wasmtime",
        }
    }

    /// Starts the server, and waits until it listens.
    pub fn start(self, kit: &Kit, start: &Start) -> Result<Process> {
        let (mut command, address) = self.command(kit, start)?;
        kit.with_cache(&mut command, start.cached)?;
        // The log and the cost of errors must not depend on the user's environment.
        for variable in ["RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            command.env_remove(variable);
        }
        Process::start(command, address, kit.log())
    }

    fn command(self, kit: &Kit, start: &Start) -> Result<(Command, Address)> {
        let connections = start.connections;
        let said = |command| Ok((command, Address::Said));
        match self {
            Self::Tokio | Self::TokioLarge | Self::Epoll | Self::WasmtimeWasi => {
                said(this(self, connections)?)
            }
            Self::Libevent => said(libevent::Program::command(usable(&kit.libevent)?)),
            Self::Evconn => {
                let mut command = serve(kit, &service(kit, start)?, connections);
                command.args(&start.flags);
                said(command)
            }
            Self::EvconnThreads => {
                let mut command = serve(kit, &service(kit, start)?, connections);
                let workers = crate::workers().to_string();
                command.args(["--processes", "0", "--workers", &workers]);
                said(command)
            }
            Self::EvconnCopy => said(serve(kit, &kit.path(ECHO_COPY), connections)),
            Self::EvconnAsync => said(serve(kit, &kit.path(ASYNC_ECHO), connections)),
            Self::EvconnAsyncBack => said(serve(kit, &kit.path(ASYNC_HAND_BACK), connections)),
            Self::EvconnAsyncOne => said(one_instance(kit, &kit.path(ASYNC_ECHO), connections)),
            Self::EvconnWarm => {
                let mut command = serve(kit, &service(kit, start)?, connections);
                command.args(["--warm", "64"]);
                said(command)
            }
            Self::EvconnShared => said(shared(kit, crate::workers())),
            Self::EvconnSharedOne => said(shared(kit, 1)),
            Self::EvconnProgram => said(serve(kit, usable(&kit.program)?, connections)),
            Self::EvconnReuse => {
                let mut command = serve(kit, &kit.path(ECHO), connections);
                command.args(["--reuse", "1000000"]);
                said(command)
            }
            Self::EvconnOne => {
                let address = kit::free_port()?;
                Ok((run(kit, address), Address::Told(address)))
            }
            Self::Wasmtime => {
                let address = kit::free_port()?;
                let command = usable(&kit.wasmtime)?.command(address.port());
                Ok((command, Address::Told(address)))
            }
        }
    }

    /// Returns why the server cannot be measured here, if it cannot.
    fn obstacle(self, kit: &Kit) -> Option<String> {
        match self {
            Self::Libevent => kit.libevent.as_ref().err().cloned(),
            Self::Wasmtime => kit.wasmtime.as_ref().err().cloned(),
            Self::EvconnProgram => kit.program.as_ref().err().cloned(),
            _ => None,
        }
    }
}

/// A server that is left out, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    pub peer: Peer,
    pub reason: String,
}

/// Splits the servers into those that can be measured here and those that cannot.
pub fn available(peers: &[Peer], kit: &Kit) -> (Vec<Peer>, Vec<Skipped>) {
    let mut here = Vec::new();
    let mut skipped = Vec::new();
    for &peer in peers {
        match peer.obstacle(kit) {
            None => here.push(peer),
            Some(reason) => skipped.push(Skipped { peer, reason }),
        }
    }
    (here, skipped)
}

fn usable<T>(tool: &Result<T, String>) -> Result<&T> {
    tool.as_ref().map_err(|reason| anyhow!("{reason}"))
}

/// Returns a command that runs a server of this program.
fn this(peer: Peer, connections: u32) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program")?);
    command.args([SUBCOMMAND, peer.name(), &connections.to_string()]);
    Ok(command)
}

/// Returns the component that is served.
fn service(kit: &Kit, start: &Start) -> Result<PathBuf> {
    let Some(language) = start.language else {
        return Ok(kit.path(ECHO));
    };
    let service = kit
        .service(language)
        .map_err(|reason| anyhow!("{reason}"))?;
    Ok(service.component.clone())
}

/// Runs `evconn serve` with its defaults, unless more connections are needed.
fn serve(kit: &Kit, component: &Path, connections: u32) -> Command {
    let mut command = Command::new(&kit.evconn);
    command.arg("serve").arg(component);
    command.args(["--listen", "127.0.0.1:0"]);
    if connections > CONNECTIONS {
        command.args(["--max-connections", &connections.to_string()]);
    }
    command
}

/// Serves all connections with one instance.
fn one_instance(kit: &Kit, component: &Path, connections: u32) -> Command {
    let mut command = serve(kit, component, connections);
    let connections = connections.max(CONNECTIONS).to_string();
    command.args(["--instances", "1", "--concurrency", &connections]);
    command
}

/// Serves the manual's echo server with so many instances.
fn shared(kit: &Kit, instances: usize) -> Command {
    let mut command = serve(kit, &kit.path(ECHO_COMMAND), SHARED);
    command.args(["--instances", &instances.to_string()]);
    command.args(["--concurrency", &SHARED.to_string()]);
    command
}

fn run(kit: &Kit, address: SocketAddr) -> Command {
    let port = address.port().to_string();
    let mut command = Command::new(&kit.evconn);
    command.args(["run", "--listen", &format!("0.0.0.0:{port}")]);
    command.arg(kit.path(ECHO_COMMAND)).arg(port);
    command
}

/// Runs the server that the arguments name. Returns only on failure.
pub fn serve_as(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let (name, connections) = (arguments.next(), arguments.next());
    let connections = connections.context("a server needs a number of connections")?;
    let connections: u32 = connections.parse().context(connections)?;
    match name.as_deref() {
        Some("tokio") => native::serve(64 << 10),
        Some("tokio-large") => native::serve(512 << 10),
        Some("epoll") => epoll::serve(),
        Some("wasmtime-wasi") => wasmtime_wasi::serve(connections.max(CONNECTIONS)),
        other => bail!("there is no server {other:?} in this program"),
    }
}

/// Listens on any port, and says so.
pub fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(ANY_PORT.into())?;
    let listener = socket.listen(BACKLOG as u32)?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// Prints where a server listens, as evconn does.
fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{READY}{address}")?;
    stdout.flush()?;
    Ok(())
}
