//! Adding the interfaces to a linker.

use super::{bindings, clocks, pollables, streams, udp};
use crate::view::{TcpCtxView, TcpView};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::io;
use wasmtime_wasi::p2::bindings::sockets::{instance_network, network};

struct Tcp;

impl HasData for Tcp {
    type Data<'a> = TcpCtxView<'a>;
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Adds all interfaces of WASI 0.2 to a linker: those of TCP, and the pollables of timers, from here, the others from
/// wasmtime-wasi. To be called on a linker that has none of them.
///
/// # Errors
/// If the linker has some of them already.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let options = network::LinkOptions::default();
    network::add_to_linker::<T, Tcp>(linker, &options, T::tcp)?;
    instance_network::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    bindings::wasi::sockets::tcp::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    bindings::wasi::sockets::tcp_create_socket::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    // The same as wasmtime-wasi's, but for what it takes to get at the table: a store may have no more
    // of WASI than this and what follows.
    io::error::add_to_linker::<T, Table>(linker, |state| state.tcp().table)?;
    clocks::add_to_linker(linker)?;
    pollables::add_to_linker(linker)?;
    streams::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Replaces wasmtime-wasi's name look-up in a linker, so that names are resolved which are destinations,
/// and no others; and have it told that a guest wants UDP sockets and may have none.
pub fn add_granted_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    bindings::wasi::sockets::ip_name_lookup::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    udp::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}
