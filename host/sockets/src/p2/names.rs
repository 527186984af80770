//! `wasi:sockets/ip-name-lookup`.

use super::bindings::wasi::sockets::ip_name_lookup;
use crate::policy::ResolveAddressStream;
use crate::view::TcpCtxView;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::IpAddress;
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, SocketResult};

impl ip_name_lookup::Host for TcpCtxView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.table.get(&network)?;
        let stream = ResolveAddressStream::new(self.ctx, &name, self.incoming.is_some())?;
        Ok(self.table.push(stream)?)
    }
}

impl ip_name_lookup::HostResolveAddressStream for TcpCtxView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> SocketResult<Option<IpAddress>> {
        let stream = self.table.get_mut(&stream)?;
        Ok(stream.next()?.map(IpAddress::from))
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

#[async_trait]
impl Pollable for ResolveAddressStream {
    async fn ready(&mut self) {
        Self::ready(self).await;
    }
}
