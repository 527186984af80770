//! `wasi:sockets/ip-name-lookup`: a guest has those names resolved that it may connect to, and no
//! others.

use crate::TcpCtxView;
use crate::p2::bindings::wasi::sockets::ip_name_lookup;
use crate::policy::denial::Denial;
use crate::policy::destination::Host;
use crate::policy::lookup::{Lookup, Outcome};
use std::net::IpAddr;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, SocketResult};

/// The resource `resolve-address-stream`: the addresses of a name, one after the other.
#[derive(Debug)]
pub struct ResolveAddressStream {
    source: Source,
    /// How many of them the guest has.
    taken: usize,
}

#[derive(Debug)]
enum Source {
    /// The text was an address.
    Ip(IpAddr),
    Name(Lookup),
}

impl ResolveAddressStream {
    fn new(source: Source) -> Self {
        Self { source, taken: 0 }
    }

    fn outcome(&self) -> Option<Outcome> {
        match &self.source {
            Source::Ip(ip) => Some(Ok([*ip].into())),
            Source::Name(lookup) => lookup.outcome(),
        }
    }

    fn next(&mut self) -> Result<Option<IpAddr>, ErrorCode> {
        let addresses = self.outcome().ok_or(ErrorCode::WouldBlock)??;
        let next = addresses.get(self.taken).copied();
        self.taken += usize::from(next.is_some());
        Ok(next)
    }
}

impl ip_name_lookup::Host for TcpCtxView<'_> {
    /// What may not be resolved is `permanent-resolver-failure`, as wasmtime-wasi has it.
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.table.get(&network)?;
        let source = match Host::parse_bare(&name).ok_or(ErrorCode::InvalidArgument)? {
            Host::Ip(ip) => Source::Ip(ip),
            Host::Name(name) => match self.ctx.destinations().name(&name) {
                Some(name) => Source::Name(name.look_up()),
                None => {
                    self.ctx.tell(Denial::LookUp(&name));
                    return Err(ErrorCode::PermanentResolverFailure.into());
                }
            },
        };
        Ok(self.table.push(ResolveAddressStream::new(source))?)
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
        match &self.source {
            // However often it is asked, others get their turn.
            Source::Ip(_) => tokio::task::coop::consume_budget().await,
            Source::Name(lookup) => lookup.done().await,
        }
    }
}
