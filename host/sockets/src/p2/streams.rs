//! `wasi:io/streams`: wasmtime-wasi's streams as they are, and those of sockets in a cheaper way.
//!
//! A socket's streams are in the resource table as an [`Input`] and an [`Output`] rather than in a box
//! of their own, so that they can be told apart. What a guest writes to one goes to the kernel from the
//! guest's own memory, what it splices never gets there, and waiting takes one allocation. The others
//! are in the table as wasmtime-wasi puts them there.

use super::input::Input;
use super::output::{Output, check_permit, failure};
use super::pollables::{self, SocketPollable};
use super::view::TcpView;
use crate::connection::{Endpoint, Received};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Linker, LinkerInstance, Resource, ResourceTable, ResourceTableError, ResourceType, WasmList,
};
use wasmtime_wasi::p2::bindings::io::streams::{Host as _, StreamError as WitStreamError};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, OutputStream, Pollable, StreamError,
    StreamResult, subscribe,
};

type InputResource = Resource<DynInputStream>;
type OutputResource = Resource<DynOutputStream>;

/// What a call returns: an error of the stream is the guest's to deal with.
type Returned<T> = wasmtime::Result<(Result<T, WitStreamError>,)>;

/// The most bytes of the calls that write and flush in one.
const MOST_AT_ONCE: usize = 4096;

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

/// Defines the interface's functions, or replaces them.
pub(crate) fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    add_input(&mut streams)?;
    add_output(&mut streams)?;
    add_writes(&mut streams)?;
    add_splices(&mut streams)
}

fn add_input<T: TcpView + 'static>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    streams.resource_async(
        "input-stream",
        ResourceType::host::<DynInputStream>(),
        |mut store, index| Box::new(async move { drop_input(table(&mut store), index).await }),
    )?;
    streams.func_wrap(
        "[method]input-stream.read",
        |mut store, (stream, size): (InputResource, u64)| {
            let table = table(&mut store);
            let result = read(table, &stream, limited(size));
            returned(table, result)
        },
    )?;
    streams.func_wrap_async(
        "[method]input-stream.blocking-read",
        |mut store, (stream, size): (InputResource, u64)| {
            Box::new(async move {
                let table = table(&mut store);
                let result = blocking_read(table, &stream, limited(size)).await;
                returned(table, result)
            })
        },
    )?;
    streams.func_wrap(
        "[method]input-stream.skip",
        |mut store, (stream, count): (InputResource, u64)| {
            let table = table(&mut store);
            let result = input(table, &stream).and_then(|input| input.skip(limited(count)));
            returned(table, result.map(|count| count as u64))
        },
    )?;
    streams.func_wrap_async(
        "[method]input-stream.blocking-skip",
        |mut store, (stream, count): (InputResource, u64)| {
            Box::new(async move {
                let table = table(&mut store);
                let result = match input(table, &stream) {
                    Ok(input) => input.blocking_skip(limited(count)).await,
                    Err(error) => Err(error),
                };
                returned(table, result.map(|count| count as u64))
            })
        },
    )?;
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |mut store, (stream,): (InputResource,)| {
            let table = table(&mut store);
            let of_socket = socket_input(table, &stream)?.map(|input| input.pollable());
            Ok((subscribe_to(table, stream, of_socket)?,))
        },
    )
}

fn add_output<T: TcpView + 'static>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    streams.resource_async(
        "output-stream",
        ResourceType::host::<DynOutputStream>(),
        |mut store, index| Box::new(async move { drop_output(table(&mut store), index).await }),
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |mut store, (stream,): (OutputResource,)| {
            let table = table(&mut store);
            let result = output(table, &stream).and_then(|output| output.check_write());
            returned(table, result.map(|count| count as u64))
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.flush",
        |mut store, (stream,): (OutputResource,)| {
            let table = table(&mut store);
            let result = output(table, &stream).and_then(|output| output.flush());
            returned(table, result)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-flush",
        |mut store, (stream,): (OutputResource,)| {
            Box::new(async move {
                let table = table(&mut store);
                let result = blocking_flush(table, &stream).await;
                returned(table, result)
            })
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |mut store, (stream,): (OutputResource,)| {
            let table = table(&mut store);
            let of_socket = socket_output(table, &stream)?.map(|output| output.pollable());
            Ok((subscribe_to(table, stream, of_socket)?,))
        },
    )
}

fn add_writes<T: TcpView + 'static>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    streams.func_wrap(
        "[method]output-stream.write",
        |mut store, (stream, bytes): (OutputResource, WasmList<u8>)| {
            let result = write(&mut store, &stream, &bytes);
            returned(table(&mut store), result)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store, (stream, bytes): (OutputResource, WasmList<u8>)| {
            Box::new(async move {
                let result = blocking_write(&mut store, &stream, &bytes).await;
                returned(table(&mut store), result)
            })
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.write-zeroes",
        |mut store, (stream, count): (OutputResource, u64)| {
            let table = table(&mut store);
            let result = write_zeroes(table, &stream, limited(count));
            returned(table, result)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-zeroes-and-flush",
        |mut store, (stream, count): (OutputResource, u64)| {
            Box::new(async move {
                let table = table(&mut store);
                let result = blocking_write_zeroes(table, &stream, limited(count)).await;
                returned(table, result)
            })
        },
    )
}

fn add_splices<T: TcpView + 'static>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    streams.func_wrap(
        "[method]output-stream.splice",
        |mut store, (to, from, count): (OutputResource, InputResource, u64)| {
            let table = table(&mut store);
            let result = splice(table, &to, &from, limited(count));
            returned(table, result.map(|count| count as u64))
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-splice",
        |mut store, (to, from, count): (OutputResource, InputResource, u64)| {
            Box::new(async move {
                let table = table(&mut store);
                let result = blocking_splice(table, &to, &from, limited(count)).await;
                returned(table, result.map(|count| count as u64))
            })
        },
    )
}

fn table<'a, T: TcpView>(store: &'a mut StoreContextMut<'_, T>) -> &'a mut ResourceTable {
    store.data_mut().tcp().table
}

fn limited(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn returned<T>(table: &mut ResourceTable, result: StreamResult<T>) -> Returned<T> {
    Ok((match result {
        Ok(value) => Ok(value),
        Err(error) => Err(table.convert_stream_error(error)?),
    },))
}

/// What says when a stream is ready: of a socket, or of anything else.
fn subscribe_to<S: Pollable>(
    table: &mut ResourceTable,
    stream: Resource<S>,
    of_socket: Option<SocketPollable>,
) -> wasmtime::Result<Resource<DynPollable>> {
    match of_socket {
        Some(pollable) => Ok(pollables::push(table, &stream, pollable)?),
        None => subscribe(table, stream),
    }
}

/// A stream, whatever is behind it.
fn input<'a>(
    table: &'a mut ResourceTable,
    stream: &InputResource,
) -> StreamResult<&'a mut dyn InputStream> {
    let any = table.get_any_mut(stream.rep())?;
    if any.is::<Input>() {
        return Ok(downcast::<Input>(any)?);
    }
    Ok(&mut **downcast::<DynInputStream>(any)?)
}

fn output<'a>(
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
fn socket_input<'a>(
    table: &'a mut ResourceTable,
    stream: &InputResource,
) -> Result<Option<&'a mut Input>, ResourceTableError> {
    Ok(table.get_any_mut(stream.rep())?.downcast_mut())
}

fn socket_output<'a>(
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

fn read(table: &mut ResourceTable, stream: &InputResource, size: usize) -> StreamResult<Received> {
    if let Some(input) = socket_input(table, stream)? {
        return input.read_now(size);
    }
    let bytes = input(table, stream)?.read(size)?;
    Ok(Received::new(bytes.into()))
}

async fn blocking_read(
    table: &mut ResourceTable,
    stream: &InputResource,
    size: usize,
) -> StreamResult<Received> {
    if let Some(input) = socket_input(table, stream)? {
        return input.read_next(size).await;
    }
    let bytes = input(table, stream)?.blocking_read(size).await?;
    Ok(Received::new(bytes.into()))
}

fn write<T: TcpView>(
    store: &mut StoreContextMut<'_, T>,
    stream: &OutputResource,
    bytes: &WasmList<u8>,
) -> StreamResult<()> {
    let Some(output) = socket_output(table(store), stream)? else {
        // What is not permitted is not worth a copy: a guest may write all of its memory.
        let permitted = output(table(store), stream)?.check_write()?;
        check_permit(bytes.len(), permitted)?;
        let bytes = Bytes::copy_from_slice(bytes.as_le_slice(&*store));
        return output(table(store), stream)?.write(bytes);
    };
    let endpoint = output.take_permit(bytes.len())?;
    let written = endpoint.write(bytes.as_le_slice(&*store));
    written.map(drop).map_err(failure)
}

async fn blocking_write<T: TcpView>(
    store: &mut StoreContextMut<'_, T>,
    stream: &OutputResource,
    bytes: &WasmList<u8>,
) -> StreamResult<()> {
    check_at_once(bytes.len(), "blocking-write-and-flush")?;
    let Some(output) = socket_output(table(store), stream)? else {
        let bytes = Bytes::copy_from_slice(bytes.as_le_slice(&*store));
        return output(table(store), stream)?
            .blocking_write_and_flush(bytes)
            .await;
    };
    // It is less than any permit.
    output.permitted().await?;
    let endpoint = output.take_permit(bytes.len())?;
    match endpoint
        .write(bytes.as_le_slice(&*store))
        .map_err(failure)?
    {
        true => Ok(()),
        false => endpoint.flushed().await.map_err(failure),
    }
}

fn write_zeroes(
    table: &mut ResourceTable,
    stream: &OutputResource,
    count: usize,
) -> StreamResult<()> {
    let output = output(table, stream)?;
    check_permit(count, output.check_write()?)?;
    output.write_zeroes(count)
}

async fn blocking_write_zeroes(
    table: &mut ResourceTable,
    stream: &OutputResource,
    count: usize,
) -> StreamResult<()> {
    check_at_once(count, "blocking-write-zeroes-and-flush")?;
    let zeroes = Bytes::from_static(&[0; MOST_AT_ONCE]).slice(..count);
    output(table, stream)?
        .blocking_write_and_flush(zeroes)
        .await
}

fn check_at_once(count: usize, function: &str) -> StreamResult<()> {
    match count > MOST_AT_ONCE {
        true => Err(StreamError::trap(&format!(
            "{function} takes {MOST_AT_ONCE} bytes at most, not {count}: call it with pieces of that size, or \
             check-write, write of what that permits, and blocking-flush (in Rust, evconn-guest's Connection \
             has write_all)"
        ))),
        false => Ok(()),
    }
}

async fn blocking_flush(table: &mut ResourceTable, stream: &OutputResource) -> StreamResult<()> {
    let output = output(table, stream)?;
    output.flush()?;
    output.write_ready().await?;
    Ok(())
}

fn splice(
    table: &mut ResourceTable,
    to: &OutputResource,
    from: &InputResource,
    count: usize,
) -> StreamResult<usize> {
    let count = count.min(output(table, to)?.check_write()?);
    if count == 0 {
        return Ok(0);
    }
    let bytes = input(table, from)?.read(count)?;
    let count = bytes.len();
    if count > 0 {
        output(table, to)?.write(bytes)?;
    }
    Ok(count)
}

async fn blocking_splice(
    table: &mut ResourceTable,
    to: &OutputResource,
    from: &InputResource,
    count: usize,
) -> StreamResult<usize> {
    if let Some(output) = socket_output(table, to)?.map(Output::lend).transpose()?
        && let Some(input) = socket_input(table, from)?
    {
        return input.splice(&output, count).await;
    }
    let count = count.min(output(table, to)?.write_ready().await?);
    if count == 0 {
        return Ok(0);
    }
    let bytes = input(table, from)?.blocking_read(count).await?;
    let count = bytes.len();
    if count > 0 {
        output(table, to)?.blocking_write_and_flush(bytes).await?;
    }
    Ok(count)
}
