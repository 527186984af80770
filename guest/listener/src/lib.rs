//! `listener.wasm`: the connection listener of `wit/listener.wit`, over wasi-sockets.
//!
//! What the listener does when is decided in the crate `evconn-listener-state`, without a socket in
//! sight. Here are the sockets, the clock and the bindings.

mod bindings;
mod deferred;
mod event;
mod listener;
mod options;
mod socket;
mod sockets;

use bindings::exports::evconn::tcp::listener::Guest;

struct Component;

impl Guest for Component {
    type Options = options::OptionsCell;
    type Listener = listener::ListenerCell;
}

bindings::export!(Component with_types_in bindings);
