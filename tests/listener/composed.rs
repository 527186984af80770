//! `tests/misuse-guest` and `listener.wasm`, composed to one component and run as a program.

use super::linked::{self, Accepted, Ctx, TcpSocket};
use crate::support::within;
use std::net::SocketAddr;
use std::sync::OnceLock;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmtime::component::{Component, Linker, Resource};
use wasmtime::{Config, Engine, Store, StoreContextMut};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

const MISUSE: &[u8] = evconn_artifacts::MISUSE;

/// Which addresses a program is granted.
#[derive(Clone, Copy)]
pub enum Grant {
    Loopback,
    Everything,
}

/// What a program said, and how it ended.
pub struct Ran {
    pub lines: Vec<String>,
    pub trap: Option<wasmtime::Error>,
}

/// A program with its listener component inside, in a store of its own.
pub struct Program {
    grant: Grant,
    accept_fails: Option<ErrorCode>,
}

impl Program {
    pub fn new(grant: Grant) -> Self {
        Self {
            grant,
            accept_fails: None,
        }
    }

    /// Makes every accept fail with this code.
    pub fn accept_fails(mut self, code: ErrorCode) -> Self {
        self.accept_fails = Some(code);
        self
    }

    /// Runs it to its end, or to its trap.
    pub async fn run(self, arguments: &[&str]) -> Ran {
        let program = program();
        let stdout = MemoryOutputPipe::new(1 << 20);
        let ctx = self.ctx(arguments, stdout.clone());
        let mut store = Store::new(program.engine(), ctx);
        let ended = within("the program ends", async {
            let command = program.instantiate_async(&mut store).await?;
            command.wasi_cli_run().call_run(&mut store).await
        })
        .await;
        // What it had is closed, also after a trap.
        drop(store);
        let said = String::from_utf8(stdout.contents().to_vec()).expect("text");
        Ran {
            lines: said.lines().map(str::to_owned).collect(),
            trap: match ended {
                Ok(outcome) => {
                    outcome.expect("the program knows what it is told to do");
                    None
                }
                Err(trap) => Some(trap),
            },
        }
    }

    fn ctx(self, arguments: &[&str], stdout: MemoryOutputPipe) -> Ctx {
        let mut wasi = WasiCtx::builder();
        wasi.args(arguments).stdout(stdout);
        let grant = self.grant;
        let mut ctx = Ctx::new(wasi, move |address| grant.covers(address));
        ctx.accept_fails = self.accept_fails;
        ctx
    }
}

impl Grant {
    fn covers(self, address: SocketAddr) -> bool {
        match self {
            Self::Everything => true,
            // Who connects is asked for the right to bind an address that is to be chosen.
            Self::Loopback => {
                let any = address.ip().is_unspecified() && address.port() == 0;
                address.ip().is_loopback() || any
            }
        }
    }
}

/// Composed, compiled and linked once for all tests.
fn program() -> &'static CommandPre<Ctx> {
    static PROGRAM: OnceLock<CommandPre<Ctx>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::new(&engine, compose(MISUSE)).expect("a component");
        let linker = linker(&engine).expect("WASI");
        let instance = linker.instantiate_pre(&component).expect("all it imports");
        CommandPre::new(instance).expect("a command")
    })
}

/// The listener component put into the place where the program imports one.
pub fn compose(program: &[u8]) -> Vec<u8> {
    plugged(program, evconn::guests::LISTENER)
}

/// `plug` put into the place where `socket` imports what it exports.
pub fn plugged(socket: &[u8], plug_in: &[u8]) -> Vec<u8> {
    let mut graph = CompositionGraph::new();
    let mut register = |name, bytes: &[u8]| {
        let package = Package::from_bytes(name, None, bytes.to_vec(), graph.types_mut());
        graph
            .register_package(package.expect("a component"))
            .expect("registered")
    };
    let plug_in = register("evconn:plug", plug_in);
    let socket = register("evconn:socket", socket);
    plug(&mut graph, vec![plug_in], socket).expect("it fits");
    graph.encode(EncodeOptions::default()).expect("encoded")
}

/// WASI, but `accept` can be made to fail.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    linked::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    linker
        .instance("wasi:sockets/tcp@0.2.12")?
        .func_wrap("[method]tcp-socket.accept", accept)?;
    Ok(linker)
}

fn accept(
    mut store: StoreContextMut<'_, Ctx>,
    (socket,): (Resource<TcpSocket>,),
) -> wasmtime::Result<(Result<Accepted, ErrorCode>,)> {
    if let Some(code) = store.data().accept_fails {
        return Ok((Err(code),));
    }
    match linked::accept(store.data_mut(), socket) {
        Ok(accepted) => Ok((Ok(accepted),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
