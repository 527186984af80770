//! `wasi:io/streams`: wasmtime-wasi's streams as they are, and those of sockets in a cheaper way.
//!
//! What a guest writes to a socket's stream goes to the kernel from the guest's own memory, what it splices
//! from one to another does not enter it, and waiting takes one allocation.

use super::pollables::{self, SocketPollable};
use super::table::{
    InputResource, OutputResource, drop_input, drop_output, input, output, socket_input,
    socket_output,
};
use super::transfer::{
    blocking_flush, blocking_read, blocking_splice, blocking_write, blocking_write_zeroes, read,
    splice, table, write, write_zeroes,
};
use crate::view::TcpView;
use wasmtime::component::{
    Linker, LinkerInstance, Resource, ResourceTable, ResourceType, WasmList,
};
use wasmtime_wasi::p2::bindings::io::streams::{Host as _, StreamError as WitStreamError};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Pollable, StreamResult, subscribe,
};

/// What a call returns: an error of the stream is the guest's to deal with.
type Returned<T> = wasmtime::Result<(Result<T, WitStreamError>,)>;

/// Defines the interface's functions, or replaces them.
pub(crate) fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    add_input(&mut streams)?;
    add_skips(&mut streams)?;
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
    )
}

fn add_skips<T: TcpView + 'static>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
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
