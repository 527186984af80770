//! What a guest has open: a descriptor of wasmtime-wasi's, and what is charged for it.

use super::Files;
use crate::sockets::{Account, Charge, Counted};
use futures_util::FutureExt;
use std::sync::{Arc, LazyLock};
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{FsError, FsResult};

/// An open file or directory. Its clones share what is charged for it.
#[derive(Clone)]
pub struct Opened {
    descriptor: Descriptor,
    /// None: it is granted, and open whatever the guest does, or nothing is counted.
    _charge: Option<Arc<Charge>>,
}

impl Opened {
    pub fn granted(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            _charge: None,
        }
    }

    pub fn charged(descriptor: Descriptor, charge: Option<Arc<Charge>>) -> Self {
        Self {
            descriptor,
            _charge: charge,
        }
    }

    /// Puts it into the table of a call, too.
    pub fn push_to(&self, own: &mut Own) -> Result<Resource<Descriptor>, ResourceTableError> {
        own.push(&self.descriptor)
    }

    /// Has wasmtime-wasi do something with it, on this thread, which may block.
    pub fn with<R>(
        &self,
        action: impl FnOnce(&mut Own, Resource<Descriptor>) -> FsResult<R>,
    ) -> FsResult<R> {
        let mut own = Own::default();
        let descriptor = own.push(&self.descriptor)?;
        action(&mut own, descriptor)
    }
}

/// A table for a single call, for wasmtime-wasi to find in it what the call is about.
pub struct Own {
    granted: WasiFilesystemCtx,
    pub table: ResourceTable,
}

impl Default for Own {
    fn default() -> Self {
        /// What is opened may block, too.
        static BLOCKING: LazyLock<WasiFilesystemCtx> = LazyLock::new(|| {
            let mut wasi = WasiCtx::builder()
                .allow_blocking_current_thread(true)
                .build();
            wasi.filesystem().clone()
        });
        Self {
            granted: BLOCKING.clone(),
            table: ResourceTable::new(),
        }
    }
}

impl Own {
    pub fn push(
        &mut self,
        descriptor: &Descriptor,
    ) -> Result<Resource<Descriptor>, ResourceTableError> {
        self.table.push(descriptor.clone())
    }

    pub fn view(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView {
            ctx: &mut self.granted,
            table: &mut self.table,
        }
    }
}

/// Returns the result of a future that blocks rather than waits: granted directories, and what is opened in them,
/// allow it.
pub fn now<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    future
        .now_or_never()
        .ok_or_else(|| wasmtime::format_err!("an operation on a file waits rather than blocks"))
}

/// Does the same with a result of wasmtime-wasi.
pub fn done<T>(future: impl Future<Output = FsResult<T>>) -> FsResult<T> {
    now(future).map_err(FsError::trap)?
}

/// Charges a descriptor that is about to be opened.
pub fn charge(account: Option<&Account>) -> FsResult<Option<Arc<Charge>>> {
    let charge = |account: &Account| account.charge(Counted::Descriptors, 1);
    let charged = account.map(charge).transpose();
    let charged = charged.map_err(|_| FsError::from(ErrorCode::InsufficientMemory))?;
    Ok(charged.map(Arc::new))
}

impl Files<'_> {
    pub fn opened(&self, descriptor: &Resource<Descriptor>) -> Result<&Opened, ResourceTableError> {
        self.table
            .get(&Resource::<Opened>::new_borrow(descriptor.rep()))
    }

    pub fn push(&mut self, opened: Opened) -> Result<Resource<Descriptor>, ResourceTableError> {
        let opened = self.table.push(opened)?;
        Ok(Resource::new_own(opened.rep()))
    }

    /// Has wasmtime-wasi do something with an open file, on another thread.
    pub async fn run<R: Send + 'static>(
        &mut self,
        descriptor: &Resource<Descriptor>,
        action: impl FnOnce(&mut Own, Resource<Descriptor>) -> FsResult<R> + Send + 'static,
    ) -> FsResult<R> {
        let opened = self.opened(descriptor)?.clone();
        let done = self.operations.clone().run(move || opened.with(action));
        done.await.map_err(FsError::trap)?
    }

    /// Does the same with two of them.
    pub async fn run_with_two<R: Send + 'static>(
        &mut self,
        [one, other]: [&Resource<Descriptor>; 2],
        action: impl FnOnce(&mut Own, [Resource<Descriptor>; 2]) -> FsResult<R> + Send + 'static,
    ) -> FsResult<R> {
        let other = self.opened(other)?.clone();
        self.run(one, move |own, one| {
            let other = other.push_to(own)?;
            action(own, [one, other])
        })
        .await
    }

    /// Opens something, on another thread. `open` is called once its descriptor is charged.
    pub async fn open(
        &mut self,
        directory: &Resource<Descriptor>,
        open: impl FnOnce(&mut Own, Resource<Descriptor>) -> FsResult<Descriptor> + Send + 'static,
    ) -> FsResult<Resource<Descriptor>> {
        let charge = charge(self.account.as_ref())?;
        // The charge goes along: the descriptor may be opened after the guest has gone.
        let opened = self.run(directory, move |own, directory| {
            Ok(Opened::charged(open(own, directory)?, charge))
        });
        let opened = opened.await?;
        Ok(self.push(opened)?)
    }
}
