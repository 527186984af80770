//! As much of something as there is, at a time.

use crate::evconn::tcp::connection::Connection;
use crate::wasi::clocks::monotonic_clock;
use crate::wasi::filesystem::types::{DescriptorFlags, OpenFlags};
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::{InputStream, StreamError};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
};
use crate::wasi::sockets::tcp::{InputStream as Input, OutputStream as Output, TcpSocket};
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use crate::{granted, read_line, say};

/// `KIND ARGUMENT`: have as many as there are, and say how many, and why there are no more. At the peer's next line,
/// drop all of them, and do it again.
pub fn hoard(connection: &Connection, argument: &str) -> Result<(), String> {
    let (kind, argument) = argument.split_once(' ').unwrap_or((argument, ""));
    if kind == "kept" {
        return keep(connection, number(argument)).map_err(named);
    }
    for _ in 0..2 {
        match kind {
            "sockets" => all(connection, || {
                create_tcp_socket(IpAddressFamily::Ipv4).map_err(|code| code.name().to_owned())
            }),
            "udp" => all(connection, || {
                create_udp_socket(IpAddressFamily::Ipv4).map_err(|code| code.name().to_owned())
            }),
            "connections" => all(connection, || connect(number(argument)).map_err(named)),
            "files" => all(connection, || granted::open_file(argument)),
            "listings" => all(connection, || granted::open_listing(argument)),
            "streams" => streams(connection, argument)?,
            "names" => all(connection, || {
                resolve_addresses(&instance_network(), argument).map_err(named)
            }),
            "everything" => everything(connection, argument)?,
            "unsent" => unsent(connection, number(argument)).map_err(named)?,
            _ => return Err(format!("there is no such thing: {kind:?}")),
        }
    }
    Ok(())
}

/// Have that many sockets for as long as this instance lives.
fn keep(connection: &Connection, count: u16) -> Result<(), ErrorCode> {
    for _ in 0..count {
        std::mem::forget(create_tcp_socket(IpAddressFamily::Ipv4)?);
    }
    say(&connection.output, "kept\n");
    Ok(())
}

fn named(code: ErrorCode) -> String {
    code.name().to_owned()
}

fn number(text: &str) -> u16 {
    text.parse().unwrap_or(0)
}

fn all<T>(connection: &Connection, mut next: impl FnMut() -> Result<T, String>) {
    let mut held = Vec::new();
    let why = loop {
        match next() {
            Ok(one) => held.push(one),
            Err(why) => break why,
        }
    };
    say(&connection.output, &format!("{} {why}\n", held.len()));
    read_line(&connection.input);
}

/// Streams of a file, with something read in each that nobody takes.
fn streams(connection: &Connection, path: &str) -> Result<(), String> {
    let file = granted::open_file(path)?;
    all(connection, || {
        let stream = file
            .read_via_stream(0)
            .map_err(|code| code.name().to_owned())?;
        begin(&stream).map(|()| stream)
    });
    Ok(())
}

fn begin(stream: &InputStream) -> Result<(), String> {
    stream.subscribe().block();
    match stream.read(0) {
        Ok(_) => Ok(()),
        Err(StreamError::Closed) => Err("closed".to_owned()),
        Err(StreamError::LastOperationFailed(error)) => Err(
            match crate::wasi::filesystem::types::filesystem_error_code(&error) {
                Some(code) => code.name().to_owned(),
                None => error.to_debug_string(),
            },
        ),
    }
}

/// The streams go first, when they are dropped in this order.
fn connect(port: u16) -> Result<(Input, Output, TcpSocket), ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let address = (127, 0, 0, 1);
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
    let _ = socket.set_send_buffer_size(4096);
    socket.start_connect(&instance_network(), address)?;
    let ready = socket.subscribe();
    loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => ready.block(),
            result => return result.map(|(input, output)| (input, output, socket)),
        }
    }
}

/// Bytes that eight peers do not read: how many the host has kept at most, and the least that could be written at a
/// time.
fn unsent(connection: &Connection, port: u16) -> Result<(), ErrorCode> {
    let (mut kept, mut least) = (0, u64::MAX);
    let mut held = Vec::new();
    for _ in 0..8 {
        let (input, output, socket) = connect(port)?;
        let mut last = 0;
        while let Ok(permit @ 1..) = output.check_write() {
            last = permit;
            least = least.min(permit);
            if output.write(&vec![b'x'; permit as usize]).is_err() {
                break;
            }
        }
        kept += last;
        held.push((input, output, socket));
    }
    say(&connection.output, &format!("{kept} {least}\n"));
    read_line(&connection.input);
    drop(held);
    Ok(())
}

/// `BYTES PORT PATH`: memory, sockets with unsent bytes, streams with bytes that were read ahead, timers, and as many
/// sockets as there are besides.
fn everything(connection: &Connection, argument: &str) -> Result<(), String> {
    let words: Vec<_> = argument.split(' ').collect();
    let [bytes, port, path] = words[..] else {
        return Err("everything takes bytes, a port and a path".to_owned());
    };
    let memory = vec![1_u8; bytes.parse().map_err(|_| "not a number of bytes")?];
    let timers: Vec<_> = (0..200)
        .map(|_| monotonic_clock::subscribe_duration(u64::MAX))
        .collect();
    let mut connections = Vec::new();
    for _ in 0..16 {
        let (input, output, socket) = connect(number(port)).map_err(named)?;
        while let Ok(permit @ 1..) = output.check_write() {
            if output.write(&memory[..permit as usize]).is_err() {
                break;
            }
        }
        connections.push((input, output, socket));
    }
    let file = granted::open_file(path)?;
    let next = || {
        file.read_via_stream(0)
            .ok()
            .filter(|stream| begin(stream).is_ok())
    };
    let streams: Vec<_> = std::iter::from_fn(next).take(200).collect();
    let sockets: Vec<_> =
        std::iter::from_fn(|| create_tcp_socket(IpAddressFamily::Ipv4).ok()).collect();
    say(&connection.output, "hoarding\n");
    read_line(&connection.input);
    std::hint::black_box((&memory, &timers, &connections, &sockets, &streams));
    Ok(())
}

/// Ask about one pollable that often in one call.
pub fn poll_often(connection: &Connection, argument: &str) -> Result<(), String> {
    let count: usize = argument.parse().map_err(|_| "poll-often takes a number")?;
    let ready = monotonic_clock::subscribe_duration(0);
    let ready = poll(&vec![&ready; count]).len();
    say(&connection.output, &format!("{ready}\n"));
    Ok(())
}

/// Resolve a name of that many bytes.
pub fn long_name(connection: &Connection, argument: &str) -> Result<(), String> {
    let count: usize = argument.parse().map_err(|_| "long-name takes a number")?;
    let found = resolve_addresses(&instance_network(), &"x".repeat(count));
    let found = found.map_or_else(|code| code.name().to_owned(), |_| "ok".to_owned());
    say(&connection.output, &format!("{found}\n"));
    Ok(())
}

/// `PATH`: open it, and say its type or why not.
pub fn open(connection: &Connection, path: &str) {
    let flags = (OpenFlags::empty(), DescriptorFlags::READ);
    say(&connection.output, &granted::type_of(path, flags));
}
