//! Groups of flags that several commands have, and what they make of them.

mod cache;
mod grants;
mod ingress;
mod limits;
mod listen;
mod tcp;
mod values;
mod wasmtime;

pub use cache::CacheArgs;
pub use grants::{GrantArgs, ServiceGrantArgs};
pub use ingress::IngressArgs;
pub use limits::{AcceptArgs, LimitArgs, PeerArgs, ReuseArgs};
pub use listen::ListenArgs;
pub use values::{bytes, count, seconds, some_seconds};
