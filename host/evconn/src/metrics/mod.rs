//! What is measured: words that each process writes for itself, and their rendering.
//!
//! The words of a process are in its own memory, or in that of the [`quota`](crate::Quota), which adds up those of all
//! processes. What they count is decided where it happens.

mod cause;
#[cfg(feature = "metrics")]
mod encode;
mod recorder;
mod served;
#[cfg(feature = "metrics")]
mod source;
#[cfg(feature = "metrics")]
mod sys;
mod timing;
mod words;

pub use cause::EndCause;
pub(crate) use cause::Kind;
#[cfg(unix)]
pub(crate) use recorder::Words;
pub(crate) use recorder::{GuestMemory, OpenInstance, Recorder};
pub use served::Served;
#[cfg(feature = "metrics")]
pub use source::Metrics;
#[cfg(feature = "metrics")]
#[cfg(unix)]
pub(crate) use source::{Process, Source};
pub(crate) use timing::Timing;
pub(crate) use words::Count;
#[cfg(unix)]
pub(crate) use words::{Snapshot, WORDS};
