//! The acceptor: `listener.wasm` in a store of its own, and the task that drives it.
//!
//! This module has the calls to the component; [`run`] decides when to make them. An event leaves the
//! acceptor as the parts of a connection or as an [`AcceptError`], and nothing of it stays in the store.

mod drain;
mod grant;
mod imports;
mod pace;
mod run;

pub(super) use pace::Pace;
pub(super) use run::run;

use super::{AcceptError, Recovery, Stats};
use crate::address::SocketFile;
use crate::bindings::provider::exports::evconn::tcp::listener as wit;
use crate::bindings::provider::{Provider, ProviderPre};
use crate::connection::{OnRelease, Parts};
use crate::sockets::{Policy, TcpCtx, TcpOptions, TcpSocket, p2};
use crate::store::StoreState;
use crate::{Error, ErrorCode, Host, Opened, SourceError};
use std::net::SocketAddr;
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::{Resource, ResourceAny};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode as WasiErrorCode;

/// The callback that the component is given for connections and for errors. The host looks up the
/// function that it stands for, which may change at any time.
const CALLBACK: wit::Callback = 0;

/// The compiled listener component, ready to be instantiated.
pub(crate) struct AcceptorPre(ProviderPre<StoreState>);

impl AcceptorPre {
    pub fn new(host: &Host) -> Result<Self, Error> {
        let component = host.listener();
        let link = || {
            let linker = imports::linker(component.engine())?;
            ProviderPre::new(linker.instantiate_pre(component)?)
        };
        Ok(Self(link().map_err(trap)?))
    }
}

/// The initial settings of a listener.
#[derive(Clone, Debug)]
pub(crate) struct BindOptions {
    pub backlog: Option<u32>,
    pub dual_stack: bool,
    pub ipv6_only: bool,
    pub deferred: Option<DeferredAccept>,
    pub enabled: bool,
    pub has_callback: bool,
    pub tcp: TcpOptions,
    pub policy: Policy,
}

/// The most connections that are held for their first byte, and the time for which each is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferredAccept {
    pub max_held: u32,
    pub timeout: Duration,
}

/// An event of the listener.
pub(crate) enum Event {
    Connection(Parts),
    Error(AcceptError),
}

/// A listener and its store.
pub(crate) struct Acceptor {
    // Dropped before its socket, which is in the store.
    file: Option<SocketFile>,
    /// Whether other processes may accept from the socket, too.
    shared: bool,
    store: Store<StoreState>,
    provider: Provider,
    listener: ResourceAny,
}

impl Acceptor {
    /// Creates a listener on `address`. The store may bind that address, and no other.
    pub fn bind(
        pre: &AcceptorPre,
        address: SocketAddr,
        options: BindOptions,
    ) -> Result<Self, Error> {
        let policy = grant::listening(address, options.dual_stack, options.policy.clone());
        let (mut store, provider) = instantiate(pre, policy, &options)?;
        let given = make_options(&mut store, &provider, &options)?;
        let guest = provider.evconn_tcp_listener().listener();
        let made = guest.call_bind(&mut store, address.into(), Some(given));
        Self::made(store, provider, given, made)
    }

    /// Creates a listener from a listening socket. The store may accept from it, and nothing else.
    pub fn adopt(pre: &AcceptorPre, opened: Opened, options: BindOptions) -> Result<Self, Error> {
        let policy = grant::accepting(options.policy.clone());
        let (mut store, provider) = instantiate(pre, policy, &options)?;
        let shared = opened.is_shared();
        let (socket, file) = into_socket(store.data().sockets(), opened)?;
        let given = make_options(&mut store, &provider, &options)?;
        let socket = store.data_mut().table.push(socket);
        let socket = socket.map_err(|error| trap(error.into()))?;
        let guest = provider.evconn_tcp_listener().listener();
        let made = guest.call_from_sockets(&mut store, &[socket], Some(given));
        let mut acceptor = Self::made(store, provider, given, made)?;
        acceptor.file = file;
        acceptor.shared = shared;
        Ok(acceptor)
    }

    fn made(
        mut store: Store<StoreState>,
        provider: Provider,
        options: ResourceAny,
        made: wasmtime::Result<Result<ResourceAny, WasiErrorCode>>,
    ) -> Result<Self, Error> {
        let listener = made
            .map_err(trap)?
            .map_err(|code| Error::Socket(code.into()))?;
        options.resource_drop(&mut store).map_err(trap)?;
        Ok(Self {
            file: None,
            shared: false,
            store,
            provider,
            listener,
        })
    }

    pub fn local_addrs(&mut self) -> Result<Vec<SocketAddr>, Error> {
        let (guest, store, listener) = self.split();
        let addresses = guest
            .call_local_addresses(store, listener)
            .map_err(trap)?
            .map_err(|code| Error::Socket(code.into()))?;
        Ok(addresses.into_iter().map(SocketAddr::from).collect())
    }

    /// Enables or disables the listener. One that has stopped stays stopped.
    fn set_enabled(&mut self, enabled: bool) -> wasmtime::Result<()> {
        let (guest, store, listener) = self.split();
        if enabled {
            // The error means that it has stopped, which was reported at that time.
            let _ = guest.call_enable(store, listener)?;
            Ok(())
        } else {
            guest.call_disable(store, listener)
        }
    }

    /// Resumes or pauses the listener.
    fn set_has_callback(&mut self, has: bool) -> wasmtime::Result<()> {
        let (guest, store, listener) = self.split();
        let callback = has.then_some(CALLBACK);
        guest.call_set_callback(store, listener, callback)
    }

    fn retry(&mut self) -> wasmtime::Result<()> {
        let (guest, store, listener) = self.split();
        guest.call_retry(store, listener)
    }

    /// Returns the rest of the backoff, if there is one.
    fn backing_off(&mut self) -> wasmtime::Result<Option<Duration>> {
        let (guest, store, listener) = self.split();
        Ok(match guest.call_state(store, listener)? {
            wit::State::BackingOff(left) => Some(Duration::from_nanos(left)),
            wit::State::Accepting
            | wit::State::Disabled
            | wit::State::Paused
            | wit::State::Stopped(_) => None,
        })
    }

    fn stats(&mut self) -> wasmtime::Result<Stats> {
        let (guest, store, listener) = self.split();
        Ok(guest.call_stats(store, listener)?.into())
    }

    /// Takes up to `max` events, with everything that belongs to them, out of the store.
    fn next_events(&mut self, max: u32, on_release: &OnRelease) -> wasmtime::Result<Vec<Event>> {
        let (guest, store, listener) = self.split();
        let events = guest.call_next_events(store, listener, max)?;
        events
            .into_iter()
            .map(|event| self.take(event, on_release))
            .collect()
    }

    fn take(&mut self, event: wit::Event, on_release: &OnRelease) -> wasmtime::Result<Event> {
        let connection = match event {
            wit::Event::Connection(event) => event.connection,
            wit::Event::Error(event) => return Ok(Event::Error(event.into())),
        };
        let table = &mut self.store.data_mut().table;
        let handles = (connection.socket, connection.input, connection.output);
        let endpoint = p2::take(table, handles)?;
        Ok(Event::Connection(Parts {
            endpoint,
            on_release: on_release.clone(),
        }))
    }

    /// Returns the pollables to wait for before the next events are taken: none, if the listener is idle.
    fn subscribe(&mut self) -> wasmtime::Result<Pollables> {
        let (guest, store, listener) = self.split();
        Ok(Pollables(guest.call_subscribe(store, listener)?))
    }

    /// Waits until one of the pollables is ready. The future is cancel-safe.
    ///
    /// The host waits without running any guest code.
    async fn ready(&mut self, pollables: &Pollables) -> wasmtime::Result<()> {
        if pollables.0.is_empty() {
            return std::future::pending().await;
        }
        let borrowed = pollables.0.iter();
        let borrowed = borrowed.map(|pollable| Resource::new_borrow(pollable.rep()));
        let table = &mut self.store.data_mut().table;
        p2::poll(table, borrowed.collect()).await?;
        Ok(())
    }

    /// Drops the pollables. They are valid until the next call of the listener, and have to be dropped
    /// before its sockets.
    fn unsubscribe(&mut self, pollables: Pollables) -> wasmtime::Result<()> {
        let table = &mut self.store.data_mut().table;
        let mut pollables = pollables.0.into_iter();
        pollables.try_for_each(|pollable| p2::delete_pollable(table, pollable))
    }

    fn split(&mut self) -> (wit::GuestListener<'_>, &mut Store<StoreState>, ResourceAny) {
        let guest = self.provider.evconn_tcp_listener().listener();
        (guest, &mut self.store, self.listener)
    }
}

/// The result of [`Acceptor::subscribe`].
struct Pollables(Vec<Resource<DynPollable>>);

/// Instantiates the component in a store of its own, whose sockets are subject to the policy.
fn instantiate(
    pre: &AcceptorPre,
    policy: Policy,
    options: &BindOptions,
) -> Result<(Store<StoreState>, Provider), Error> {
    let tcp = TcpCtx::new(policy).options(options.tcp.clone());
    let state = StoreState::new(WasiCtx::builder().build(), tcp);
    let mut store = Store::new(pre.0.engine(), state);
    let provider = pre.0.instantiate(&mut store).map_err(trap)?;
    Ok((store, provider))
}

/// Returns a listening socket as the component's TCP socket, and its file if it has one.
fn into_socket(ctx: &TcpCtx, opened: Opened) -> Result<(TcpSocket, Option<SocketFile>), Error> {
    match opened {
        // The component binds addresses itself.
        Opened::Address { .. } => Err(Error::Socket(ErrorCode::InvalidArgument)),
        Opened::Tcp { listener, .. } => {
            let socket = TcpSocket::from_tcp_listener(ctx, listener)
                .map_err(SourceError::not_accepted_from)?;
            Ok((socket, None))
        }
        #[cfg(unix)]
        Opened::Unix { file, listener, .. } => {
            let socket = TcpSocket::from_unix_listener(ctx, listener)
                .map_err(SourceError::not_accepted_from)?;
            Ok((socket, file))
        }
    }
}

fn make_options(
    store: &mut Store<StoreState>,
    provider: &Provider,
    options: &BindOptions,
) -> Result<ResourceAny, Error> {
    let guest = provider.evconn_tcp_listener().options();
    let made = guest.call_constructor(&mut *store).map_err(trap)?;
    if let Some(backlog) = options.backlog {
        guest
            .call_set_backlog(&mut *store, made, backlog)
            .map_err(trap)?
            .map_err(|code| Error::Socket(code.into()))?;
    }
    if let Some(deferred) = options.deferred {
        let timeout = u64::try_from(deferred.timeout.as_nanos()).unwrap_or(u64::MAX);
        guest
            .call_set_deferred_accept(&mut *store, made, deferred.max_held, timeout)
            .map_err(trap)?
            .map_err(|code| Error::Socket(code.into()))?;
    }
    let callback = options.has_callback.then_some(CALLBACK);
    // Always set: the host logs the errors for which no callback is set.
    let error_callback = Some(CALLBACK);
    let mut set = || {
        guest.call_set_enabled(&mut *store, made, options.enabled)?;
        guest.call_set_callback(&mut *store, made, callback)?;
        guest.call_set_error_callback(&mut *store, made, error_callback)?;
        guest.call_set_dual_stack(&mut *store, made, options.dual_stack)?;
        guest.call_set_ipv6_only(&mut *store, made, options.ipv6_only)
    };
    set().map_err(trap)?;
    Ok(made)
}

fn trap(error: wasmtime::Error) -> Error {
    Error::Acceptor(format!("{error:#}"))
}

impl From<wit::ErrorEvent> for AcceptError {
    fn from(event: wit::ErrorEvent) -> Self {
        Self {
            code: ErrorCode::from(event.code),
            recovery: match event.recovery {
                wit::Recovery::Retrying(after) => Recovery::Retrying(Duration::from_nanos(after)),
                wit::Recovery::Stopped => Recovery::Stopped,
            },
        }
    }
}

impl From<wit::Stats> for Stats {
    fn from(stats: wit::Stats) -> Self {
        Self {
            accepted: stats.accepted,
            aborted: stats.aborted,
            peer_errors: stats.peer_errors,
            resource_errors: stats.resource_errors,
            fatal_errors: stats.fatal_errors,
            backoff_steps: stats.backoff_steps,
            retries: stats.retries,
            held: stats.held,
            timed_out: stats.timed_out,
        }
    }
}
