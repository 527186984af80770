//! Streams between connections that the host moves by itself, since a guest of WASI 0.3 has passed them on: back to the
//! host, or to another connection.
//!
//! [`Received`] is a stream that a guest may have, and [`Ending`] what the future beside it tells. [`Moving`] is one
//! that a guest has passed to another connection. [`Relays`] has all of a guest, so that its host can take them over and
//! give up the guest.

mod ending;
mod moving;
mod received;
mod relays;

pub use ending::{Ended, Ending};
pub use moving::Moving;
pub use received::{Broken, Received, Receiver, or_cancelled};
pub use relays::{Live, Relays};
