//! What the store of an instance contains.

use super::console::{Console, Output as ConsoleOutput};
use super::{Service, random};
use crate::Grants;
use crate::bindings::ServedConnection;
use crate::bindings::service::evconn::tcp::connection::Connection as WitConnection;
use crate::files::{FilesView, Operations};
use crate::limits::{Allowance, Limits};
use crate::runtime::Meter;
use crate::sockets::p3::Relays;
use crate::sockets::{Account, AccountLimits, Endpoint, Incoming, TcpCtx, TcpCtxView, TcpView, p2};
use std::any::{Any, type_name};
use std::num::NonZeroU32;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The initial capacity of the resource table: a simple service has its connection and a few pollables or
/// errors.
const RESOURCES: usize = 8;

/// The most names that an instance looks up at a time, unless they were granted one by one: of the 64 for all
/// instances of a process, so that it takes many to keep others from theirs.
const LOOK_UPS: usize = 4;

/// How many descriptors an instance may have in any case, for each connection that it may have at a time: the connection,
/// and one more.
const GUARANTEED: usize = 2;

/// What the store of an instance contains: the state of its sockets, streams and files, and that of the
/// [embedder](crate::ServiceBuilder::state).
///
/// It is the type parameter of the [`Linker`](wasmtime::component::Linker) to which
/// [`ServiceBuilder::link`](crate::ServiceBuilder::link) adds imports.
pub struct InstanceState {
    /// The embedder's.
    own: Box<dyn Any + Send>,
    grants: Grants,
    /// The granted files, environment and the like. Created on first use, which never happens in many
    /// services: it has a random number generator of its own.
    wasi: Option<Box<WasiCtx>>,
    tcp: TcpCtx,
    /// What a program's listening sockets accept. None: it is no program, and its sockets are the system's.
    pub(super) incoming: Option<Incoming>,
    /// What the guest uses.
    pub(super) account: Account,
    /// How much a guest with one connection may use.
    limits_of_one: AccountLimits,
    /// What the host knows of its own streams that the guest has.
    pub(super) relays: Relays,
    /// What it does on files.
    operations: Operations,
    table: ResourceTable,
    pub(super) allowance: Allowance,
    pub(super) console: Arc<Console>,
    /// The meter of the current connection.
    pub(super) meter: Arc<Meter>,
    /// Whether the last connection ended regularly.
    pub(super) is_settled: bool,
}

impl InstanceState {
    /// Returns the state of the instance that [`ServiceBuilder::state`](crate::ServiceBuilder::state) has made.
    ///
    /// # Panics
    /// If that makes another type. The connection ends then, and the log says which types they are.
    pub fn get_mut<T: Send + 'static>(&mut self) -> &mut T {
        self.split_mut().0
    }

    /// Returns the same, with the table of the instance's resources, to which resources of your own can be added.
    /// [`Limits::max_handles`] applies to all of them together.
    ///
    /// # Panics
    /// As [`get_mut`](Self::get_mut).
    pub fn split_mut<T: Send + 'static>(&mut self) -> (&mut T, &mut ResourceTable) {
        let Some(own) = self.own.downcast_mut() else {
            panic!(
                "the state of instances is no {}: ServiceBuilder::state has to make one",
                type_name::<T>()
            );
        };
        (own, &mut self.table)
    }
}

impl InstanceState {
    pub(super) fn new(
        service: &Service,
        limits: &Limits,
        console: Arc<Console>,
        concurrency: NonZeroU32,
        meter: Arc<Meter>,
    ) -> Self {
        let grants = &service.grants;
        let mut table = ResourceTable::with_capacity(RESOURCES);
        table.set_max_capacity(limits.max_handles);
        let limits_of_one = AccountLimits {
            descriptors: limits.max_descriptors,
            unsent: limits.max_unsent,
            look_ups: LOOK_UPS,
            shared: Some(service.host.descriptors().clone()),
            guaranteed: GUARANTEED,
        };
        let account = Account::new(
            AccountLimits {
                guaranteed: GUARANTEED.saturating_mul(concurrency.get() as usize),
                ..limits_of_one.clone()
            },
            Some(console.clone()),
        );
        let sockets = grants.sockets().clone().for_guest(console.clone());
        Self {
            own: service.make_state.make(),
            grants: grants.clone(),
            wasi: None,
            tcp: sockets.with_account(account.clone()),
            incoming: None,
            account,
            limits_of_one,
            relays: Relays::default(),
            operations: Operations::default(),
            table,
            allowance: Allowance::new(limits).counted_by(meter.recorder()),
            console,
            meter,
            is_settled: true,
        }
    }

    /// Resets the connections that the guest has made, unless its last one ended regularly, so that their peers know that
    /// they may not have received everything. To be called before the store is dropped, which has the streams of a guest
    /// of WASI 0.3.
    pub(super) fn reset_unless_settled(&mut self) {
        if !self.is_settled {
            self.tcp().reset_all();
        }
    }

    /// Takes away what the guest has not dropped of a connection, whose handles are `given`. Returns how
    /// many handles the guest has, if it has not dropped all of these.
    pub(super) fn revoke(&mut self, given: [u32; 3], endpoint: &Arc<Endpoint>) -> usize {
        match p2::revoke(&mut self.table, given, endpoint) {
            true => self.table.iter_mut().count(),
            false => 0,
        }
    }

    /// Returns the table of the instance's resources.
    pub(super) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// Returns an account for one of its connections that it has no more.
    pub(super) fn account_of_one(&self) -> Account {
        Account::new(self.limits_of_one.clone(), None)
    }

    /// Adds a connection to the table, for a handler of WASI 0.3.
    pub(super) fn add_connection(
        &mut self,
        endpoint: &Arc<Endpoint>,
        number: u64,
    ) -> wasmtime::Result<Resource<ServedConnection>> {
        endpoint.charge_to(&self.account);
        Ok(self.table.push(ServedConnection {
            number,
            peer_address: endpoint.peer_address(),
            endpoint: Arc::downgrade(endpoint),
        })?)
    }

    /// Adds a connection to the table.
    pub(super) fn connection(
        &mut self,
        endpoint: &Arc<Endpoint>,
    ) -> wasmtime::Result<WitConnection> {
        let (socket, input, output) = p2::give(&mut self.table, &self.tcp, endpoint)?;
        Ok(WitConnection {
            input,
            output,
            socket,
            peer_address: endpoint.peer_address().into(),
        })
    }
}

impl Drop for InstanceState {
    fn drop(&mut self) {
        self.reset_unless_settled();
    }
}

impl TcpView for InstanceState {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
            incoming: self.incoming.as_ref(),
        }
    }

    fn relays(&mut self) -> Option<&mut Relays> {
        Some(&mut self.relays)
    }
}

impl FilesView for InstanceState {
    fn operations(&self) -> &Operations {
        &self.operations
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| {
                Box::new(wasi(&self.grants, &self.console, self.incoming.as_ref()))
            }),
            table: &mut self.table,
        }
    }
}

fn wasi(grants: &Grants, console: &Arc<Console>, incoming: Option<&Incoming>) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder
        .max_random_size(random::MOST)
        .stdout(ConsoleOutput::stdout(console, incoming))
        .stderr(ConsoleOutput::stderr(console, incoming));
    grants.finish(builder, console.clone())
}
