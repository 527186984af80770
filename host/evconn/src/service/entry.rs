//! Entry points: what a service exports for connections.

use super::InstanceState;
use super::program::Program;
use crate::bindings::service::{Service as Handler, ServicePre as HandlerPre};
use crate::bindings::service_v0_3::{Service as AsyncHandler, ServicePre as AsyncHandlerPre};
use crate::interfaces::{ASYNC_HANDLER, ASYNC_RUN, EntryPoint};
use crate::sockets::Incoming;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3::bindings::CommandPre as AsyncCommandPre;

/// A linked component, with the entry point that is used.
#[derive(Clone)]
pub(super) enum Entry {
    Handler(HandlerPre<InstanceState>),
    /// The handler of WASI 0.3.
    AsyncHandler(AsyncHandlerPre<InstanceState>),
    Run(CommandPre<InstanceState>),
    /// The program of WASI 0.3.
    AsyncRun(AsyncCommandPre<InstanceState>),
}

/// An instance of it.
pub(super) enum Instantiated {
    Handler(Handler),
    AsyncHandler(Arc<AsyncHandler>),
    /// With what its listening sockets accept.
    Run(Program, Incoming),
}

impl Entry {
    pub fn new(entry_point: EntryPoint, pre: InstancePre<InstanceState>) -> wasmtime::Result<Self> {
        Ok(match entry_point {
            EntryPoint::Handler if has(&pre, ASYNC_HANDLER) => {
                Self::AsyncHandler(AsyncHandlerPre::new(pre)?)
            }
            EntryPoint::Handler => Self::Handler(HandlerPre::new(pre)?),
            EntryPoint::Run if has(&pre, ASYNC_RUN) => Self::AsyncRun(AsyncCommandPre::new(pre)?),
            EntryPoint::Run => Self::Run(CommandPre::new(pre)?),
        })
    }

    pub fn pre(&self) -> &InstancePre<InstanceState> {
        match self {
            Self::Handler(pre) => pre.instance_pre(),
            Self::AsyncHandler(pre) => pre.instance_pre(),
            Self::Run(pre) => pre.instance_pre(),
            Self::AsyncRun(pre) => pre.instance_pre(),
        }
    }

    pub async fn instantiate(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Instantiated> {
        Ok(match self {
            Self::Handler(pre) => Instantiated::Handler(pre.instantiate_async(store).await?),
            Self::AsyncHandler(pre) => {
                Instantiated::AsyncHandler(Arc::new(pre.instantiate_async(store).await?))
            }
            Self::Run(pre) => {
                let incoming = incoming(store);
                let program = Program::Sync(pre.instantiate_async(store).await?);
                Instantiated::Run(program, incoming)
            }
            Self::AsyncRun(pre) => {
                let incoming = incoming(store);
                let program = Program::Async(pre.instantiate_async(store).await?);
                Instantiated::Run(program, incoming)
            }
        })
    }
}

/// Returns whether it exports an interface of WASI 0.3, which is called even if it exports that of WASI 0.2, too.
fn has(pre: &InstancePre<InstanceState>, interface: &str) -> bool {
    let component = pre.component();
    component.get_export_index(None, interface).is_some()
}

/// Returns the queue of a program, whose listening sockets are virtual from here on.
fn incoming(store: &mut Store<InstanceState>) -> Incoming {
    let incoming = &mut store.data_mut().incoming;
    incoming.get_or_insert_default().clone()
}
