//! Resolves the names that a guest may connect to, and no others.

use super::account::UsedUp;
use super::ctx::TcpCtx;
use super::denial::Denial;
use super::destination::Host;
use super::lookup::{Lookup, Outcome};
use crate::error::ErrorCode;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that is looked at, in bytes: one of 253 in ASCII, in the most bytes that these can be in
/// another script.
const LONGEST: usize = 4 * 253;

/// What `localhost` means to a guest with virtual sockets. IPv4 comes first: a guest may bind only the first address,
/// and most peers have one of that family.
const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The resource `resolve-address-stream`: the addresses of a name, one after the other.
#[derive(Debug)]
pub struct ResolveAddressStream {
    source: Source,
    /// The number of addresses that the guest has received.
    taken: usize,
}

#[derive(Debug)]
enum Source {
    /// The text was an address.
    Ip(IpAddr),
    /// The text was `localhost`, which is not looked up.
    Localhost,
    Name(Lookup),
}

impl ResolveAddressStream {
    /// Starts to resolve a name or an address. A name that the guest may not look up fails with
    /// `permanent-resolver-failure`, as in wasmtime-wasi.
    ///
    /// `localhost` is resolved without a look-up, and without a grant, for a guest that `is_virtual`: programs look up
    /// where to listen, `getaddrinfo` without a name in wasi-libc among them.
    pub(crate) fn new(ctx: &TcpCtx, name: &str, is_virtual: bool) -> Result<Self, ErrorCode> {
        if name.len() > LONGEST {
            return Err(ErrorCode::InvalidArgument);
        }
        let source = match Host::parse_bare(name).ok_or(ErrorCode::InvalidArgument)? {
            Host::Ip(ip) => Source::Ip(ip),
            Host::Name(name) => match ctx.destinations().look_up(&name, ctx.account()) {
                Some(Ok(lookup)) => Source::Name(lookup),
                Some(Err(UsedUp(_))) => return Err(ErrorCode::TemporaryResolverFailure),
                None if is_virtual && name == "localhost" => Source::Localhost,
                None => {
                    ctx.tell(Denial::LookUp(&name));
                    return Err(ErrorCode::PermanentResolverFailure);
                }
            },
        };
        Ok(Self { source, taken: 0 })
    }

    fn outcome(&self) -> Option<Outcome> {
        match &self.source {
            Source::Ip(ip) => Some(Ok([*ip].into())),
            Source::Localhost => Some(Ok(LOCALHOST.into())),
            Source::Name(lookup) => lookup.outcome(),
        }
    }

    /// Returns the next address, or None after the last. Fails with `WouldBlock` while they are not known
    /// yet.
    pub(crate) fn next(&mut self) -> Result<Option<IpAddr>, ErrorCode> {
        let addresses = self.outcome().ok_or(ErrorCode::WouldBlock)??;
        let next = addresses.get(self.taken).copied();
        self.taken += usize::from(next.is_some());
        Ok(next)
    }

    /// Waits until the look-up is done.
    pub(crate) async fn ready(&self) {
        match &self.source {
            // Other tasks get their time slice, however often this is polled.
            Source::Ip(_) | Source::Localhost => tokio::task::coop::consume_budget().await,
            Source::Name(lookup) => lookup.done().await,
        }
    }
}
