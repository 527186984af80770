//! `tests/sockets-guest`, or another program, linked with either implementation of the sockets.

use crate::support::DEADLINE;
use evconn::sockets::{
    Account, Destinations, Incoming, OnDenied, Policy, TcpCtx, TcpCtxView, TcpView, Use as TcpUse,
};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wasmtime::component::{Accessor, Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::cli::{AsyncStdinStream, AsyncStdoutStream, StdoutStream};
use wasmtime_wasi::p2::OutputStream;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3::bindings::CommandPre as AsyncCommandPre;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

const PROGRAM: &[u8] = evconn_artifacts::SOCKETS;

const ASYNC_PROGRAM: &[u8] = evconn_artifacts::ASYNC_SOCKETS;

/// Whose sockets they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Implementation {
    Wasmtime,
    Own,
}

/// What a program may do with which address.
#[derive(Clone, Copy)]
pub enum Grant {
    Everything,
    /// All but port 1.
    NotPort1,
    /// All but listening.
    NotListening,
    /// All but peers from 127.0.0.2.
    NotFrom2,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Listen,
    Accept,
    Other,
}

impl Grant {
    fn covers(self, address: SocketAddr, wanted: Use) -> bool {
        match self {
            Self::Everything => true,
            Self::NotPort1 => address.port() != 1,
            Self::NotListening => wanted != Use::Listen,
            Self::NotFrom2 => wanted != Use::Accept || address.ip().to_string() != "127.0.0.2",
        }
    }
}

/// What the host's own sockets have besides, by default nothing.
#[derive(Clone, Default)]
pub struct Setup {
    /// The connections of virtual sockets.
    pub incoming: Option<Incoming>,
    pub account: Option<Account>,
    /// Nothing is allowed but these, and who is told of what is not.
    pub granted: Option<(Destinations, Arc<dyn OnDenied>)>,
}

impl Setup {
    fn rules(&self, policy: Policy) -> TcpCtx {
        let ctx = match &self.granted {
            Some((destinations, on_denied)) => TcpCtx::new(Policy::deny_all())
                .with_destinations(destinations.clone())
                .for_guest(Arc::clone(on_denied)),
            None => TcpCtx::new(policy),
        };
        match &self.account {
            Some(account) => ctx.with_account(account.clone()),
            None => ctx,
        }
    }
}

pub struct Ctx {
    wasi: WasiCtx,
    tcp: TcpCtx,
    incoming: Option<Incoming>,
    table: ResourceTable,
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl TcpView for Ctx {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
            incoming: self.incoming.as_ref(),
        }
    }
}

impl Ctx {
    fn new(
        arguments: &[String],
        grant: Grant,
        setup: Setup,
        (stdin, stdout): (AsyncStdinStream, AsyncStdoutStream),
    ) -> Self {
        let wasi = WasiCtx::builder()
            .args(arguments)
            .stdin(stdin)
            .stdout(stdout)
            .allow_tcp(true)
            .socket_addr_check(move |address, wanted| {
                let wanted = match wanted {
                    SocketAddrUse::TcpListen => Use::Listen,
                    SocketAddrUse::TcpAccept => Use::Accept,
                    _ => Use::Other,
                };
                let granted = grant.covers(address, wanted);
                Box::pin(async move { granted })
            })
            .build();
        let policy = Policy::new(move |address, wanted| {
            let wanted = match wanted {
                TcpUse::Listen => Use::Listen,
                TcpUse::Accept => Use::Accept,
                TcpUse::Bind | TcpUse::Connect => Use::Other,
            };
            grant.covers(address, wanted)
        });
        Self {
            wasi,
            tcp: setup.rules(policy),
            incoming: setup.incoming,
            table: ResourceTable::new(),
        }
    }
}

/// The program, compiled.
pub struct Compiled {
    engine: Engine,
    component: Component,
    is_async: bool,
}

impl Compiled {
    pub fn new() -> Self {
        Self::of(PROGRAM)
    }

    /// Another program.
    pub fn of(program: &[u8]) -> Self {
        let mut config = Config::new();
        config.concurrency_support(false).epoch_interruption(true);
        Self::with(&config, program, false)
    }

    /// A program of WASI 0.3.
    pub fn of_async(program: &[u8]) -> Self {
        let mut config = Config::new();
        config
            .wasm_component_model_async(true)
            .epoch_interruption(true);
        Self::with(&config, program, true)
    }

    fn with(config: &Config, program: &[u8], is_async: bool) -> Self {
        let engine = Engine::new(config).expect("an engine");
        let component = Component::new(&engine, program).expect("a component");
        Self {
            engine,
            component,
            is_async,
        }
    }

    pub fn is_async(&self) -> bool {
        self.is_async
    }

    /// The program of WASI 0.3, once for all tests.
    pub fn shared_async() -> Arc<Self> {
        static COMPILED: OnceLock<Arc<Compiled>> = OnceLock::new();
        Arc::clone(COMPILED.get_or_init(|| Arc::new(Self::of_async(ASYNC_PROGRAM))))
    }

    /// Once for all tests that interrupt nobody.
    pub fn shared() -> Arc<Self> {
        static COMPILED: OnceLock<Arc<Compiled>> = OnceLock::new();
        Arc::clone(COMPILED.get_or_init(|| Arc::new(Self::new())))
    }

    /// Ends what runs with a trap.
    pub fn interrupt(&self) {
        self.engine.increment_epoch();
    }

    /// Runs the program to its end, or to its trap. What it had is closed after that.
    pub async fn run(
        &self,
        implementation: Implementation,
        arguments: Vec<String>,
        grant: Grant,
        setup: Setup,
        pipes: (AsyncStdinStream, AsyncStdoutStream),
    ) -> wasmtime::Result<()> {
        let stdout = pipes.1.p2_stream();
        let has_grants = setup.granted.is_some();
        let ctx = Ctx::new(&arguments, grant, setup, pipes);
        let mut store = Store::new(&self.engine, ctx);
        store.set_epoch_deadline(1);
        if self.is_async {
            let linker = implementation.async_linker(&self.engine, has_grants)?;
            return self.run_async(linker, store, stdout).await;
        }
        let linker = implementation.linker(&self.engine)?;
        let command = CommandPre::new(linker.instantiate_pre(&self.component)?)?;
        let command = command.instantiate_async(&mut store).await?;
        let outcome = command.wasi_cli_run().call_run(&mut store).await?;
        outcome.expect("the program knows what it is told to do");
        Ok(())
    }
}

impl Compiled {
    async fn run_async(
        &self,
        linker: Linker<Ctx>,
        mut store: Store<Ctx>,
        mut stdout: Box<dyn OutputStream>,
    ) -> wasmtime::Result<()> {
        let command = AsyncCommandPre::new(linker.instantiate_pre(&self.component)?)?;
        let command = command.instantiate_async(&mut store).await?;
        let run = async |store: &Accessor<Ctx>| command.wasi_cli_run().call_run(store).await;
        let ended = match store.run_concurrent(run).await {
            Ok(ended) => ended,
            Err(error) => Err(error),
        };
        if ended.is_err() {
            store.data_mut().tcp().reset_all();
        }
        // wasmtime-wasi tells the program that its lines are written before they are.
        stdout.flush().expect("it is open");
        stdout.write_ready().await.expect("it is open");
        ended?.expect("the program knows what it is told to do");
        Ok(())
    }
}

impl Implementation {
    fn linker(self, engine: &Engine) -> wasmtime::Result<Linker<Ctx>> {
        let mut linker = Linker::new(engine);
        match self {
            Self::Wasmtime => wasmtime_wasi::p2::add_to_linker_async(&mut linker)?,
            Self::Own => evconn::sockets::p2::add_to_linker(&mut linker)?,
        }
        Ok(linker)
    }

    fn async_linker(self, engine: &Engine, has_grants: bool) -> wasmtime::Result<Linker<Ctx>> {
        let mut linker = Linker::new(engine);
        match self {
            Self::Wasmtime => {
                wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
                wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            }
            Self::Own => {
                evconn::sockets::p2::add_to_linker(&mut linker)?;
                evconn::sockets::p3::add_to_linker(&mut linker)?;
            }
        }
        if has_grants {
            evconn::sockets::p3::add_granted_to_linker(&mut linker)?;
        }
        Ok(linker)
    }

    /// Returns how long to wait for what ought to happen: not for ever, where it is known not to.
    pub fn patience(self) -> Duration {
        match self {
            Self::Wasmtime => Duration::from_millis(200),
            Self::Own => DEADLINE,
        }
    }
}
