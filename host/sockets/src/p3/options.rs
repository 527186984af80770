//! The options of `tcp-socket`.

use super::tcp::{Socket, with};
use crate::socket::option::{self, SocketOption};
use crate::view::TcpView;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower};

/// Defines the functions, or replaces them.
pub fn add_to_instance<T: TcpView + 'static>(
    types: &mut LinkerInstance<'_, T>,
) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]tcp-socket.set-listen-backlog-size",
        |store, (socket, size): (Socket, u64)| {
            with(store, &socket, |socket| socket.set_backlog(size))
        },
    )?;
    add(types, "keep-alive-enabled", &option::KEEP_ALIVE_ENABLED)?;
    add(types, "keep-alive-idle-time", &option::KEEP_ALIVE_IDLE_TIME)?;
    add(types, "keep-alive-interval", &option::KEEP_ALIVE_INTERVAL)?;
    add(types, "keep-alive-count", &option::KEEP_ALIVE_COUNT)?;
    add(types, "hop-limit", &option::HOP_LIMIT)?;
    add(types, "receive-buffer-size", &option::RECEIVE_BUFFER_SIZE)?;
    add(types, "send-buffer-size", &option::SEND_BUFFER_SIZE)
}

fn add<T, V>(
    types: &mut LinkerInstance<'_, T>,
    name: &str,
    option: &'static SocketOption<V>,
) -> wasmtime::Result<()>
where
    T: TcpView + 'static,
    V: ComponentType + Lift + Lower + Copy + Send + Sync + 'static,
{
    types.func_wrap(
        &format!("[method]tcp-socket.get-{name}"),
        move |store, (socket,): (Socket,)| with(store, &socket, |socket| socket.get(option)),
    )?;
    types.func_wrap(
        &format!("[method]tcp-socket.set-{name}"),
        move |store, (socket, value): (Socket, V)| {
            with(store, &socket, |socket| socket.set(option, value))
        },
    )
}
