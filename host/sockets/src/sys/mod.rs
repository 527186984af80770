//! Everything that differs between operating systems, and the few calls that take `unsafe`.

mod credentials;
mod errno;
#[cfg(target_os = "linux")]
mod linux;
mod listener;
mod readiness;
mod setup;
mod stream;

pub use credentials::PeerCredentials;
pub(crate) use errno::{code_of_accept, code_of_bind, code_of_connect};
pub(crate) use listener::{accept, has_handshakes, refuse_new};
pub(crate) use readiness::{Readiness, TELLS_OF_URGENT};
pub use setup::{KeepAlive, TcpOptions};
#[cfg(feature = "tls")]
pub(crate) use stream::send_vectored;
pub(crate) use stream::{
    BUFFER_OVERHEAD, INHERITS_OPTIONS, SHORT_MEANS_DONE, bytes_to_read, disconnect,
    has_unacknowledged, is_connecting, local_address, never_signal, pair, peek, recv, send,
};
