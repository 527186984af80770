//! What everything that runs WebAssembly shares: engines, compiled code, and the threads that serve
//! connections.
//!
//! This module knows no listener, no service and no server.

mod background;
mod cache;
mod clock;
mod descriptors;
mod engine;
mod footprint;
mod host;
mod mapping;
mod meter;
mod shortage;
mod spare;
mod sys;
mod workers;

pub use background::CpuShare;
pub(crate) use background::{Ahead, Run};
pub use cache::CodeCache;
pub(crate) use clock::Ticking;
pub use descriptors::reserve_descriptors;
pub(crate) use engine::Services;
pub use host::{Host, HostBuilder};
pub(crate) use mapping::map;
pub use meter::InstanceUse;
pub(crate) use meter::{Meter, Payer, Tick};
pub(crate) use shortage::{Counted, Shortage, is_shortage};
pub(crate) use workers::LagMeasured;
