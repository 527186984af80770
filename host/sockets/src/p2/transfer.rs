//! What the functions of streams do: those of sockets transfer bytes in a cheaper way.

use super::output::{Output, check_permit, failure};
use super::table::{InputResource, OutputResource, input, output, socket_input, socket_output};
use crate::connection::Received;
use crate::view::TcpView;
use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{ResourceTable, WasmList};
use wasmtime_wasi::p2::{StreamError, StreamResult};

/// The most bytes of the calls that write and flush in one.
const MOST_AT_ONCE: usize = 4096;

/// The table of a store.
pub fn table<'a, T: TcpView>(store: &'a mut StoreContextMut<'_, T>) -> &'a mut ResourceTable {
    store.data_mut().tcp().table
}

pub fn read(
    table: &mut ResourceTable,
    stream: &InputResource,
    size: usize,
) -> StreamResult<Received> {
    if let Some(input) = socket_input(table, stream)? {
        return input.read_now(size);
    }
    let bytes = input(table, stream)?.read(size)?;
    Ok(Received::new(bytes.into()))
}

pub async fn blocking_read(
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

pub fn write<T: TcpView>(
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

pub async fn blocking_write<T: TcpView>(
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

pub fn write_zeroes(
    table: &mut ResourceTable,
    stream: &OutputResource,
    count: usize,
) -> StreamResult<()> {
    let output = output(table, stream)?;
    check_permit(count, output.check_write()?)?;
    output.write_zeroes(count)
}

pub async fn blocking_write_zeroes(
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

pub async fn blocking_flush(
    table: &mut ResourceTable,
    stream: &OutputResource,
) -> StreamResult<()> {
    let output = output(table, stream)?;
    output.flush()?;
    output.write_ready().await?;
    Ok(())
}

pub fn splice(
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

pub async fn blocking_splice(
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
