//! Entry points: what a service exports for connections.

use super::InstanceState;
use crate::bindings::service::{Service as Handler, ServicePre as HandlerPre};
use crate::bindings::service_v0_3::{Service as AsyncHandler, ServicePre as AsyncHandlerPre};
use crate::interfaces::{ASYNC_HANDLER, EntryPoint};
use crate::sockets::Incoming;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi::p2::bindings::{Command, CommandPre};

/// A linked component, with the entry point that is used.
#[derive(Clone)]
pub(super) enum Entry {
    Handler(HandlerPre<InstanceState>),
    /// The handler of WASI 0.3.
    AsyncHandler(AsyncHandlerPre<InstanceState>),
    Run(CommandPre<InstanceState>),
}

/// An instance of it.
pub(super) enum Instantiated {
    Handler(Handler),
    AsyncHandler(Arc<AsyncHandler>),
    /// With what its listening sockets accept.
    Run(Command, Incoming),
}

impl Entry {
    pub fn new(entry_point: EntryPoint, pre: InstancePre<InstanceState>) -> wasmtime::Result<Self> {
        Ok(match entry_point {
            EntryPoint::Handler if has_async_handler(&pre) => {
                Self::AsyncHandler(AsyncHandlerPre::new(pre)?)
            }
            EntryPoint::Handler => Self::Handler(HandlerPre::new(pre)?),
            EntryPoint::Run => Self::Run(CommandPre::new(pre)?),
        })
    }

    pub fn pre(&self) -> &InstancePre<InstanceState> {
        match self {
            Self::Handler(pre) => pre.instance_pre(),
            Self::AsyncHandler(pre) => pre.instance_pre(),
            Self::Run(pre) => pre.instance_pre(),
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
                let incoming = store.data_mut().incoming.get_or_insert_default().clone();
                Instantiated::Run(pre.instantiate_async(store).await?, incoming)
            }
        })
    }
}

/// Returns whether it exports the handler of WASI 0.3, which is called even if it exports the other one, too.
fn has_async_handler(pre: &InstancePre<InstanceState>) -> bool {
    let component = pre.component();
    component.get_export_index(None, ASYNC_HANDLER).is_some()
}
