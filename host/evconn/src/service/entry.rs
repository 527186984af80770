//! Entry points: what a service exports for connections.

use super::InstanceState;
use crate::bindings::service::{Service as Handler, ServicePre as HandlerPre};
use crate::interfaces::EntryPoint;
use crate::sockets::Incoming;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi::p2::bindings::{Command, CommandPre};

/// A linked component, with the entry point that is used.
#[derive(Clone)]
pub(super) enum Entry {
    Handler(HandlerPre<InstanceState>),
    Run(CommandPre<InstanceState>),
}

/// An instance of it.
pub(super) enum Instantiated {
    Handler(Handler),
    /// With what its listening sockets accept.
    Run(Command, Incoming),
}

impl Entry {
    pub fn new(entry_point: EntryPoint, pre: InstancePre<InstanceState>) -> wasmtime::Result<Self> {
        Ok(match entry_point {
            EntryPoint::Handler => Self::Handler(HandlerPre::new(pre)?),
            EntryPoint::Run => Self::Run(CommandPre::new(pre)?),
        })
    }

    pub fn pre(&self) -> &InstancePre<InstanceState> {
        match self {
            Self::Handler(pre) => pre.instance_pre(),
            Self::Run(pre) => pre.instance_pre(),
        }
    }

    pub async fn instantiate(
        &self,
        store: &mut Store<InstanceState>,
    ) -> wasmtime::Result<Instantiated> {
        Ok(match self {
            Self::Handler(pre) => Instantiated::Handler(pre.instantiate_async(store).await?),
            Self::Run(pre) => {
                let incoming = store.data_mut().incoming.get_or_insert_default().clone();
                Instantiated::Run(pre.instantiate_async(store).await?, incoming)
            }
        })
    }
}
