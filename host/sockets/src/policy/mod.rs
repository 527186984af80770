//! What a guest's sockets may do: what may be bound, listened on, connected to and looked up.
//!
//! [`TcpCtx`] puts the rules of one guest together.

mod account;
mod address;
mod ctx;
mod denial;
mod destination;
mod destinations;
mod life;
mod lookup;
mod own;
mod place;
mod resolve;
mod resolver;
mod rule;
mod udp;

pub use account::{Account, AccountLimits, Charge, Counted, SharedDescriptors, UsedUp};
pub use address::IpAddressFamily;
pub(crate) use address::{check_local, check_remote};
pub use ctx::TcpCtx;
pub use denial::{Denial, OnDenied};
pub use destination::{Destination, InvalidDestination};
pub(crate) use destinations::{Check, Verdict};
pub use destinations::{Destinations, Protocol};
pub(crate) use life::{Connected, Resettable};
pub(crate) use own::Claim;
pub use place::{Place, PlaceHost, scope_of};
pub use resolve::ResolveAddressStream;
pub use resolver::{Resolver, resolve_name};
pub use rule::{Policy, Refusals, Use};
pub use udp::UdpRules;
pub(crate) use udp::{DatagramCharges, UdpGuest};
