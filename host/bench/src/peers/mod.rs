//! Who is compared, and how each is started.

mod epoll;
mod native;
mod wasmtime_wasi;

use crate::kit::{self, ECHO, ECHO_COMMAND, ECHO_COPY, Kit, libevent};
use crate::process::{Address, Process, READY};
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

/// Before the name of a server that is in this program. For the benchmark itself only.
pub const SUBCOMMAND: &str = "peer";

/// Port 0: whichever is free.
const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// How long the kernel's queue of connections is: evconn's default.
const BACKLOG: i32 = 4096;

/// How many connections a server has room for unless a work takes more: evconn's default.
const CONNECTIONS: u32 = 1_000;

/// In the order in which they take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    Tokio,
    TokioLarge,
    Epoll,
    Libevent,
    WasmtimeWasi,
    Evconn,
    EvconnReuse,
    EvconnCopy,
    EvconnOne,
    Wasmtime,
}

/// What a server is started for.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// How many connections there are going to be at a time, at most.
    pub connections: u32,
    /// Whether it may find what it compiled before.
    pub cached: bool,
}

impl Peer {
    pub const ALL: [Self; 10] = [
        Self::Tokio,
        Self::TokioLarge,
        Self::Epoll,
        Self::Libevent,
        Self::WasmtimeWasi,
        Self::Evconn,
        Self::EvconnReuse,
        Self::EvconnCopy,
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
            Self::EvconnReuse => "evconn-reuse",
            Self::EvconnCopy => "evconn-copy",
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
            Self::Evconn => "evconn serve: a fresh instance for each connection; bytes are spliced",
            Self::EvconnReuse => "evconn serve --reuse: an instance for connections in turn",
            Self::EvconnCopy => {
                "evconn serve: a fresh instance for each connection; bytes pass through its memory"
            }
            Self::EvconnOne => "evconn run: the manual's echo server, one instance for all",
            Self::Wasmtime => "the same, composed, on the command wasmtime",
        }
    }

    /// Start it, and wait until it listens.
    pub fn start(self, kit: &Kit, start: Start) -> Result<Process> {
        let (mut command, address) = self.command(kit, start.connections)?;
        kit.with_cache(&mut command, start.cached)?;
        // What is logged, and what an error costs, is not to depend on who runs the benchmark.
        for variable in ["RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            command.env_remove(variable);
        }
        Process::start(command, address, kit.log())
    }

    fn command(self, kit: &Kit, connections: u32) -> Result<(Command, Address)> {
        let said = |command| Ok((command, Address::Said));
        match self {
            Self::Tokio | Self::TokioLarge | Self::Epoll | Self::WasmtimeWasi => {
                said(this(self, connections)?)
            }
            Self::Libevent => said(libevent::Program::command(usable(&kit.libevent)?)),
            Self::Evconn => said(serve(kit, &kit.path(ECHO), connections)),
            Self::EvconnCopy => said(serve(kit, &kit.path(ECHO_COPY), connections)),
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

    /// Why it cannot take part here.
    fn obstacle(self, kit: &Kit) -> Option<String> {
        match self {
            Self::Libevent => kit.libevent.as_ref().err().cloned(),
            Self::Wasmtime => kit.wasmtime.as_ref().err().cloned(),
            _ => None,
        }
    }
}

/// Who is not there, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    pub peer: Peer,
    pub reason: String,
}

/// Those of them that can take part here, and those that cannot.
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

/// A server that is in this program.
fn this(peer: Peer, connections: u32) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program")?);
    command.args([SUBCOMMAND, peer.name(), &connections.to_string()]);
    Ok(command)
}

/// With evconn's defaults, unless there are to be more connections than these allow.
fn serve(kit: &Kit, component: &Path, connections: u32) -> Command {
    let mut command = Command::new(&kit.evconn);
    command.arg("serve").arg(component);
    command.args(["--listen", "127.0.0.1:0"]);
    if connections > CONNECTIONS {
        command.args(["--max-connections", &connections.to_string()]);
    }
    command
}

fn run(kit: &Kit, address: SocketAddr) -> Command {
    let port = address.port().to_string();
    let mut command = Command::new(&kit.evconn);
    command.args(["run", "--listen", &format!("0.0.0.0:{port}")]);
    command.arg(kit.path(ECHO_COMMAND)).arg(port);
    command
}

/// Be the server that the arguments name. Returns only if it fails.
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

/// Say where a server listens, as the command does.
fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{READY}{address}")?;
    stdout.flush()?;
    Ok(())
}
