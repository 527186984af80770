//! A trap at each call of the host, one after the other.

use crate::evconn::tcp::connection::Connection;
use crate::wasi::cli::environment::{get_arguments, get_environment};
use crate::wasi::cli::stdout::get_stdout;
use crate::wasi::clocks::monotonic_clock::{now, subscribe_duration};
use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use crate::wasi::io::poll::poll;
use crate::wasi::random::random::get_random_bytes;
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Network};
use crate::wasi::sockets::tcp::ShutdownType;
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use std::cell::Cell;

pub fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// The calls that are left until it traps.
struct Calls(Cell<u64>);

impl Calls {
    /// Calls, unless it is time to trap.
    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        match self.0.get().checked_sub(1) {
            Some(left) => self.0.set(left),
            None => trap(),
        }
        call()
    }

    /// A destructor is a call, too.
    fn drop<T>(&self, resource: T) {
        self.call(|| drop(resource));
    }
}

/// Makes one call after the other, and traps before the call with this number; the first one has 0. If it has
/// made all of them, the connection ends well.
pub fn at_call(connection: Connection, number: u64) -> Result<(), String> {
    let calls = Calls(Cell::new(number));
    clocks_and_output(&calls);
    sockets(&calls);
    files(&calls);
    streams(&calls, connection);
    Ok(())
}

fn clocks_and_output(calls: &Calls) {
    calls.call(now);
    calls.call(|| get_random_bytes(1000));
    calls.call(get_environment);
    calls.call(get_arguments);
    let stdout = calls.call(get_stdout);
    let _ = calls.call(|| stdout.blocking_write_and_flush(b"printed before the trap\n"));
    let timer = calls.call(|| subscribe_duration(1000));
    calls.call(|| timer.block());
    calls.drop(timer);
    calls.drop(stdout);
}

/// Each of them is an error if it is not granted, which is as good.
fn sockets(calls: &Calls) {
    let network = calls.call(instance_network);
    if let Ok(lookup) = calls.call(|| resolve_addresses(&network, "localhost")) {
        let ready = calls.call(|| lookup.subscribe());
        calls.call(|| ready.block());
        let _ = calls.call(|| lookup.resolve_next_address());
        calls.drop(ready);
        calls.drop(lookup);
    }
    tcp(calls, &network);
    if let Ok(socket) = calls.call(|| create_udp_socket(IpAddressFamily::Ipv4)) {
        let ready = calls.call(|| socket.subscribe());
        calls.drop(ready);
        calls.drop(socket);
    }
    calls.drop(network);
}

/// Connects to a port where nobody listens.
fn tcp(calls: &Calls, network: &Network) {
    let nobody = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: 1,
        address: (127, 0, 0, 1),
    });
    if let Ok(socket) = calls.call(|| create_tcp_socket(IpAddressFamily::Ipv4)) {
        if calls.call(|| socket.start_connect(network, nobody)).is_ok() {
            let ready = calls.call(|| socket.subscribe());
            calls.call(|| ready.block());
            let _ = calls.call(|| socket.finish_connect());
            calls.drop(ready);
        }
        calls.drop(socket);
    }
}

fn files(calls: &Calls) {
    for (directory, _) in calls.call(get_directories) {
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let opened = calls
            .call(|| directory.open_at(PathFlags::empty(), "trapped", OpenFlags::CREATE, flags));
        if let Ok(file) = opened {
            read_and_write(calls, &file);
            calls.drop(file);
        }
        calls.drop(directory);
    }
}

fn read_and_write(calls: &Calls, file: &Descriptor) {
    let _ = calls.call(|| file.write(b"text", 0));
    let _ = calls.call(|| file.read(100, 0));
    if let Ok(stream) = calls.call(|| file.read_via_stream(0)) {
        let _ = calls.call(|| stream.blocking_read(100));
        calls.drop(stream);
    }
    let _ = calls.call(|| file.sync());
}

/// The connection's own, to their end.
fn streams(calls: &Calls, connection: Connection) {
    let Connection {
        input,
        output,
        socket,
        ..
    } = connection;
    let _ = calls.call(|| socket.remote_address());
    let _ = calls.call(|| socket.set_keep_alive_enabled(true));
    let readable = calls.call(|| input.subscribe());
    let writable = calls.call(|| output.subscribe());
    calls.call(|| poll(&[&readable, &writable]));
    let _ = calls.call(|| output.check_write());
    let _ = calls.call(|| output.write(b"written before the trap\n"));
    let _ = calls.call(|| output.flush());
    let _ = calls.call(|| input.read(100));
    let _ = calls.call(|| output.splice(&input, 100));
    calls.drop(readable);
    calls.drop(writable);
    let _ = calls.call(|| output.blocking_flush());
    calls.drop(input);
    calls.drop(output);
    let _ = calls.call(|| socket.shutdown(ShutdownType::Receive));
    calls.drop(socket);
}
