//! Adding the interfaces to a linker.

use super::{clocks, names, options, tcp, udp};
use crate::view::TcpView;
use wasmtime::component::Linker;

/// The interface of sockets.
pub const TYPES: &str = "wasi:sockets/types@0.3.0";

/// Adds all interfaces of WASI 0.3 to a linker: TCP sockets from here, the others from wasmtime-wasi. To be called on a
/// linker that has none of them, of an engine with [`Config::wasm_component_model_async`].
///
/// [`Config::wasm_component_model_async`]: wasmtime::Config::wasm_component_model_async
///
/// # Errors
/// If the linker has some of them already.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    tcp::add_to_instance(&mut types)?;
    options::add_to_instance(&mut types)?;
    udp::add_transfer_to_instance(&mut types)?;
    clocks::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Replaces wasmtime-wasi's name look-up in a linker, so that names are resolved which are destinations,
/// and no others; and have it told that a guest wants UDP sockets and may have none.
///
/// # Errors
/// If the linker does not have the interfaces.
pub fn add_granted_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    names::add_to_linker(linker)?;
    udp::add_to_instance(&mut linker.instance(TYPES)?)?;
    linker.allow_shadowing(false);
    Ok(())
}
