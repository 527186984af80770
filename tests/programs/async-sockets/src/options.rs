//! The options of a socket.

use crate::bindings::wasi::sockets::types::{ErrorCode, TcpSocket};
use crate::net::local;
use crate::report::{outcome, same, yes};
use crate::run::Run;
use futures_util::future::join;

crate::cases!(
    defaults,
    zero,
    read_back,
    clamped,
    inherited,
    set_while_listening,
    not_shared
);

const SECOND: u64 = 1_000_000_000;

async fn zero(run: &Run) {
    let socket = run.socket();
    for (what, set) in [
        ("keep-alive-idle-time", socket.set_keep_alive_idle_time(0)),
        ("keep-alive-interval", socket.set_keep_alive_interval(0)),
        ("keep-alive-count", socket.set_keep_alive_count(0)),
        ("hop-limit", socket.set_hop_limit(0)),
        ("receive-buffer-size", socket.set_receive_buffer_size(0)),
        ("send-buffer-size", socket.set_send_buffer_size(0)),
    ] {
        run.line(what, outcome(&set)).await;
    }
}

/// Values that are not a default.
fn set(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.set_keep_alive_enabled(true)?;
    socket.set_keep_alive_idle_time(42 * SECOND)?;
    socket.set_keep_alive_interval(7 * SECOND)?;
    socket.set_keep_alive_count(5)?;
    socket.set_hop_limit(42)?;
    socket.set_receive_buffer_size(0x4000)?;
    socket.set_send_buffer_size(0x4000)
}

fn get(socket: &TcpSocket) -> Result<String, ErrorCode> {
    Ok(format!(
        "{} {} {} {} {}",
        socket.get_keep_alive_enabled()?,
        socket.get_keep_alive_idle_time()? / SECOND,
        socket.get_keep_alive_interval()? / SECOND,
        socket.get_keep_alive_count()?,
        socket.get_hop_limit()?,
    ))
}

async fn defaults(run: &Run) {
    let options = get(&run.socket());
    run.line("get", options.unwrap_or_default()).await;
}

/// Those of a connection are not its listener's.
async fn not_shared(run: &Run) {
    let mut listener = run.listening();
    let before = get(&listener.socket).ok();
    let client = run.connected(local(&listener.socket));
    let (_client, server) = join(client, listener.accept()).await;
    run.line("set", outcome(&set(&server))).await;
    let after = get(&listener.socket).ok();
    run.line("the listener's", same(before == after)).await;
}

async fn read_back(run: &Run) {
    let socket = run.socket();
    run.line("set", outcome(&set(&socket))).await;
    run.line("get", get(&socket).unwrap_or_default()).await;
    let receive = socket.get_receive_buffer_size();
    run.line("receive-buffer-size", yes(matches!(receive, Ok(0x4000))))
        .await;
    let send = socket.get_send_buffer_size();
    run.line("send-buffer-size", yes(matches!(send, Ok(0x4000))))
        .await;
}

async fn clamped(run: &Run) {
    let socket = run.socket();
    for (what, set) in [
        ("shortest idle time", socket.set_keep_alive_idle_time(1)),
        (
            "longest idle time",
            socket.set_keep_alive_idle_time(u64::MAX),
        ),
        ("shortest interval", socket.set_keep_alive_interval(1)),
        ("longest interval", socket.set_keep_alive_interval(u64::MAX)),
        ("most probes", socket.set_keep_alive_count(u32::MAX)),
        ("most hops", socket.set_hop_limit(u8::MAX)),
        ("smallest buffer", socket.set_receive_buffer_size(1)),
        ("largest buffer", socket.set_receive_buffer_size(u64::MAX)),
        ("smallest send buffer", socket.set_send_buffer_size(1)),
        ("largest send buffer", socket.set_send_buffer_size(u64::MAX)),
    ] {
        run.line(what, outcome(&set)).await;
    }
}

async fn inherited(run: &Run) {
    let mut listener = run.listening();
    run.line("set", outcome(&set(&listener.socket))).await;
    let client = run.connected(local(&listener.socket));
    let (_client, server) = join(client, listener.accept()).await;
    run.line(
        "options",
        same(get(&server).ok() == get(&listener.socket).ok()),
    )
    .await;
    let family = server.get_address_family() == run.family();
    run.line("family", yes(family)).await;
}

/// The socket may be dropped meanwhile.
async fn set_while_listening(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    run.line("set", outcome(&listener.socket.set_hop_limit(42)))
        .await;
    drop(listener.socket);
    let (_client, server) = join(run.connected(address), listener.connections.next()).await;
    let server = server.expect("a connection");
    run.line("inherited", yes(matches!(server.get_hop_limit(), Ok(42))))
        .await;
}
