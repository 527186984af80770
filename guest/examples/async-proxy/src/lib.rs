//! A proxy: a service of WASI 0.3 that forwards each connection to another server, which its arguments name:
//! `evconn serve --arg proxy --arg HOST --arg PORT --allow-connect HOST:PORT`.

use evconn_guest::p3::{Connection, Reader, TcpStream, Writer};
use futures::io::copy;
use futures::{AsyncWriteExt, try_join};
use std::io;

async fn forward(connection: Connection) -> io::Result<()> {
    let (host, port) = server()?;
    let server = TcpStream::connect(&host, port).await?;
    let (from_server, to_server) = server.split();
    let (from_peer, to_peer) = connection.split();
    try_join!(pass(from_peer, to_server), pass(from_server, to_peer))?;
    Ok(())
}

/// Returns the server's host and port.
fn server() -> io::Result<(String, u16)> {
    let mut arguments = evconn_guest::wasi::cli::environment::get_arguments().into_iter();
    let (_name, host, port) = (arguments.next(), arguments.next(), arguments.next());
    let port = port.and_then(|port| port.parse().ok());
    host.zip(port)
        .ok_or_else(|| io::Error::other("the arguments are HOST PORT, after the program's name"))
}

/// Sends all of one side to the other, and then its end.
async fn pass(from: Reader, mut to: Writer) -> io::Result<()> {
    copy(from, &mut to).await?;
    to.close().await
}

evconn_guest::p3_service!(forward);
