//! Streams in the resource table, whatever is behind them.
//!
//! A socket's streams are in the table as an [`Input`] and an [`Output`] rather than in a box of their own, so
//! that they can be told apart. The others are in it as wasmtime-wasi puts them there.

use super::input::Input;
use super::output::Output;
use crate::connection::Endpoint;
use std::any::Any;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, InputStream, OutputStream, StreamResult};

pub type InputResource = Resource<DynInputStream>;
pub type OutputResource = Resource<DynOutputStream>;

/// Puts the streams of a connection into the table, as children of its socket.
pub fn push<S: 'static>(
    table: &mut ResourceTable,
    socket: &Resource<S>,
    endpoint: &Arc<Endpoint>,
) -> Result<(InputResource, OutputResource), ResourceTableError> {
    let input = table.push_child(Input::new(Arc::clone(endpoint)), socket)?;
    let output = table.push_child(Output::new(Arc::clone(endpoint)), socket)?;
    Ok((
        Resource::new_own(input.rep()),
        Resource::new_own(output.rep()),
    ))
}

/// Takes the streams of a socket out of the table, and ends them: what [`ResourceTable::delete`] is for other
/// streams.
///
/// # Errors
/// If one of them is not in the table, is not a socket's, or has children there.
pub fn delete_streams(
    table: &mut ResourceTable,
    input: InputResource,
    output: OutputResource,
) -> Result<(), ResourceTableError> {
    table.delete(Resource::<Input>::new_own(input.rep()))?;
    table
        .delete(Resource::<Output>::new_own(output.rep()))?
        .end();
    Ok(())
}

/// A stream, whatever is behind it.
pub fn input<'a>(
    table: &'a mut ResourceTable,
    stream: &InputResource,
) -> StreamResult<&'a mut dyn InputStream> {
    let any = table.get_any_mut(stream.rep())?;
    if any.is::<Input>() {
        return Ok(downcast::<Input>(any)?);
    }
    Ok(&mut **downcast::<DynInputStream>(any)?)
}

pub fn output<'a>(
    table: &'a mut ResourceTable,
    stream: &OutputResource,
) -> StreamResult<&'a mut dyn OutputStream> {
    let any = table.get_any_mut(stream.rep())?;
    if any.is::<Output>() {
        return Ok(downcast::<Output>(any)?);
    }
    Ok(&mut **downcast::<DynOutputStream>(any)?)
}

fn downcast<T: 'static>(any: &mut dyn Any) -> Result<&mut T, ResourceTableError> {
    any.downcast_mut().ok_or(ResourceTableError::WrongType)
}

/// A stream that is a socket's.
pub fn socket_input<'a>(
    table: &'a mut ResourceTable,
    stream: &InputResource,
) -> Result<Option<&'a mut Input>, ResourceTableError> {
    Ok(table.get_any_mut(stream.rep())?.downcast_mut())
}

pub fn socket_output<'a>(
    table: &'a mut ResourceTable,
    stream: &OutputResource,
) -> Result<Option<&'a mut Output>, ResourceTableError> {
    Ok(table.get_any_mut(stream.rep())?.downcast_mut())
}

/// Drops an input stream of a guest, a socket's or any other: the resource's drop function.
///
/// # Errors
/// If it is not in the table, or has children there.
pub async fn drop_input(table: &mut ResourceTable, index: u32) -> wasmtime::Result<()> {
    if table.get_any_mut(index)?.is::<Input>() {
        table.delete(Resource::<Input>::new_own(index))?;
    } else {
        let mut stream = table.delete(InputResource::new_own(index))?;
        stream.cancel().await;
    }
    Ok(())
}

/// Drops an output stream of a guest, a socket's or any other: the resource's drop function.
///
/// # Errors
/// If it is not in the table, or has children there.
pub async fn drop_output(table: &mut ResourceTable, index: u32) -> wasmtime::Result<()> {
    if table.get_any_mut(index)?.is::<Output>() {
        table.delete(Resource::<Output>::new_own(index))?.end();
    } else {
        let mut stream = table.delete(OutputResource::new_own(index))?;
        stream.cancel().await;
    }
    Ok(())
}
