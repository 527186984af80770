//! `wasi:sockets/ip-name-lookup`.

use super::awaits::awaits;
use crate::error::ErrorCode;
use crate::listen::Awaited;
use crate::policy::ResolveAddressStream;
use crate::view::TcpView;
use wasmtime::component::{Accessor, Linker};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup, types::IpAddress};

/// Replaces the function.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut lookup = linker.instance("wasi:sockets/ip-name-lookup@0.3.0")?;
    lookup.func_wrap_concurrent("resolve-addresses", |store, (name,): (String,)| {
        Box::pin(async move {
            let found = resolve(store, &name).await;
            Ok((found.map_err(ip_name_lookup::ErrorCode::from),))
        })
    })
}

async fn resolve<T: TcpView>(store: &Accessor<T>, name: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    let _awaits = awaits(store, Awaited::Other);
    let mut addresses = store.with(|mut access| {
        let view = access.data_mut().tcp();
        ResolveAddressStream::new(view.ctx, name, view.incoming.is_some())
    })?;
    addresses.ready().await;
    let mut found = Vec::new();
    while let Some(address) = addresses.next()? {
        found.push(address.into());
    }
    match found.is_empty() {
        true => Err(ErrorCode::NameUnresolvable),
        false => Ok(found),
    }
}
