//! Resources: so many of a kind, which are kept for ever.

use crate::evconn::tcp::connection::Connection;
use crate::sleep;
use crate::wasi::cli::{stderr, stdin, stdout};
use crate::wasi::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wasi::sockets::network::IpAddressFamily;
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::wasi::sockets::udp_create_socket::create_udp_socket;

/// The kinds, and what makes one. What needs a grant is an error without it.
pub fn hoard(connection: &Connection, kind: &str, count: usize) -> Result<(), String> {
    match kind {
        "clocks" => keep(count, || Ok(subscribe_duration(u64::MAX))),
        // Ready at once, and never waited for.
        "timers" => keep(count, || Ok(subscribe_instant(0))),
        "pollables" => keep(count, || Ok(connection.input.subscribe())),
        "writable" => keep(count, || Ok(connection.output.subscribe())),
        "closing" => keep(count, || Ok(connection.socket.subscribe())),
        "stdin" => keep(count, || Ok(stdin::get_stdin())),
        "stdout" => keep(count, || Ok(stdout::get_stdout())),
        "stderr" => keep(count, || Ok(stderr::get_stderr())),
        "networks" => keep(count, || Ok(instance_network())),
        "lookups" => keep(count, lookup),
        "directories" => keep(count, || Ok(get_directories())),
        "files" => keep(count, file),
        "file-streams" => {
            let file = file()?;
            keep(count, || file.read_via_stream(0).map_err(name))
        }
        "listings" => {
            let directory = directory()?;
            keep(count, || directory.read_directory().map_err(name))
        }
        "tcp" => keep(count, || {
            create_tcp_socket(IpAddressFamily::Ipv4).map_err(|code| code.name().to_owned())
        }),
        "udp" => keep(count, || {
            create_udp_socket(IpAddressFamily::Ipv6).map_err(|code| code.name().to_owned())
        }),
        _ => Err(format!("there is nothing to hoard that is called {kind:?}")),
    }
}

/// Keeps as many as it gets.
fn keep<T>(count: usize, make: impl Fn() -> Result<T, String>) -> Result<(), String> {
    let mut kept = Vec::new();
    while kept.len() < count {
        match make() {
            Ok(resource) => kept.push(resource),
            Err(error) if kept.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    sleep()
}

fn lookup() -> Result<impl Sized, String> {
    let lookup = resolve_addresses(&instance_network(), "localhost");
    lookup.map_err(|code| code.name().to_owned())
}

fn directory() -> Result<Descriptor, String> {
    let first = get_directories().into_iter().next();
    first
        .map(|(directory, _)| directory)
        .ok_or_else(|| "no directory is granted".to_owned())
}

/// A file of its own, or the one of another instance.
fn file() -> Result<Descriptor, String> {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let opened = directory()?.open_at(PathFlags::empty(), "hoarded", OpenFlags::CREATE, flags);
    opened.map_err(name)
}

fn name(code: crate::wasi::filesystem::types::ErrorCode) -> String {
    code.name().to_owned()
}
