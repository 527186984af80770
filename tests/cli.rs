//! The command `evconn echo` as a process, with common clients.

use crate::support::descriptors::unchanged;
use crate::support::process::{CACHE_HOME, Evconn, tests_cache};
use crate::support::{DEADLINE, skip};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

const ON_LOOPBACK: [&str; 4] = ["echo", "0", "--address", "127.0.0.1"];

fn start(more: &[&str]) -> Evconn {
    Evconn::start(&[&ON_LOOPBACK, more].concat())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

fn ask(stream: &mut TcpStream, line: &str) {
    stream.write_all(line.as_bytes()).expect("sent");
    let mut answer = vec![0; line.len()];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, line.as_bytes());
}

#[test]
fn the_first_line_says_where_it_listens() {
    let _open = unchanged();
    let evconn = start(&[]);
    let address = evconn.address();
    assert_ne!(address.port(), 0);
    ask(&mut connect(address), "hello\n");
}

#[test]
fn it_listens_on_an_ipv6_address() {
    let _open = unchanged();
    if crate::support::has_ipv6() {
        let evconn = Evconn::start(&["echo", "0", "--address", "::1"]);
        ask(&mut connect(evconn.address()), "hello\n");
    }
}

#[test]
fn without_an_address_it_listens_on_all_of_ipv4() {
    let _open = unchanged();
    let evconn = Evconn::start(&["echo", "0"]);
    let address = evconn.address();
    assert!(address.ip().is_unspecified() && address.is_ipv4());
    ask(
        &mut connect(SocketAddr::new([127, 0, 0, 1].into(), address.port())),
        "hello\n",
    );
}

#[test]
fn a_bad_port_is_invalid() {
    let _open = unchanged();
    for port in [
        "abc",
        "-1",
        "0x50",
        "65536",
        "",
        "99999999999999999999",
        "8 0",
    ] {
        let ended = Evconn::run(&["echo", port]);
        assert_eq!(ended.stdout, "Invalid port\n", "{port:?}");
        assert_eq!(ended.stderr, "", "{port:?}");
        assert_eq!(ended.status.code(), Some(1), "{port:?}");
    }
}

#[test]
fn a_port_in_use_is_one_line_on_stderr() {
    let _open = unchanged();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let ended = Evconn::run(&["echo", &port, "--address", "127.0.0.1"]);
    assert_eq!(ended.stdout, "");
    assert_eq!(
        ended.stderr,
        "Couldn't create listener: Address already in use\n"
    );
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn a_privileged_port_needs_the_capability() {
    let _open = unchanged();
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim() == "0") {
        return skip("every port is unprivileged on this machine");
    }
    // Only root has the capability, and can give it up.
    let mut command = match rustix::process::getuid().is_root() {
        true => Command::new("setpriv"),
        false => Command::new("env"),
    };
    if rustix::process::getuid().is_root() {
        command.args([
            "--inh-caps=-net_bind_service",
            "--bounding-set=-net_bind_service",
        ]);
    }
    let output = command
        .args([env!("CARGO_BIN_EXE_evconn"), "echo", "1"])
        .args(["--address", "127.0.0.1"])
        .env(CACHE_HOME, tests_cache())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return skip("setpriv is not installed");
        }
        Err(error) => panic!("setpriv: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("Couldn't create listener: "), "{said}");
    let refused = "Permission denied: take a port from 1024 on";
    assert!(said.contains(refused), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn bad_flags_say_what_would_be_right() {
    let _open = unchanged();
    for (arguments, hint) in [
        (["echo", "0", "--address", "nowhere"], "--address"),
        (["echo", "0", "--grace", "soon"], "a number of seconds"),
        (["echo", "0", "--grace", "-1"], "a number of seconds"),
    ] {
        let ended = Evconn::run(&arguments);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    }
}

#[test]
fn a_signal_with_nothing_open_ends_it_at_once() {
    let _open = unchanged();
    for signal in [Signal::INT, Signal::TERM] {
        let evconn = start(&[]);
        ask(&mut connect(evconn.address()), "hello\n");
        evconn.signal(signal);
        let ended = evconn.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
}

#[test]
fn a_signal_stops_accepting_and_lets_connections_finish() {
    let _open = unchanged();
    let mut evconn = start(&[]);
    let address = evconn.address();
    let mut open = connect(address);
    ask(&mut open, "before\n");
    evconn.signal(Signal::INT);
    wait_until_refused(address);
    assert!(evconn.is_running());
    ask(&mut open, "after\n");
    open.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(open.read(&mut [0]).expect("the end"), 0);
    assert_eq!(evconn.wait().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_now() {
    let _open = unchanged();
    let evconn = start(&["--grace", "3600"]);
    let address = evconn.address();
    let mut open = connect(address);
    ask(&mut open, "hello\n");
    evconn.signal(Signal::TERM);
    wait_until_refused(address);
    evconn.signal(Signal::INT);
    assert_eq!(evconn.wait().status.code(), Some(0));
    assert_closed(&mut open);
}

#[test]
fn grace_has_an_end() {
    let _open = unchanged();
    let evconn = start(&["--grace", "0.05"]);
    let mut open = connect(evconn.address());
    ask(&mut open, "hello\n");
    evconn.signal(Signal::TERM);
    assert_eq!(evconn.wait().status.code(), Some(0));
    assert_closed(&mut open);
}

#[test]
fn netcat_gets_its_byte_back() {
    let _open = unchanged();
    // -N: shuts down its side at the end of the input.
    client_gets_its_bytes_back("nc", &["-N"], |address| {
        vec![address.ip().to_string(), address.port().to_string()]
    });
}

#[test]
fn socat_gets_its_byte_back() {
    let _open = unchanged();
    client_gets_its_bytes_back("socat", &["-"], |address| vec![format!("TCP:{address}")]);
}

#[test]
fn python_gets_its_byte_back() {
    let _open = unchanged();
    let program = "import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while data := s.recv(65536):
    sys.stdout.buffer.write(data)";
    client_gets_its_bytes_back("python3", &["-c", program], |address| {
        vec![address.ip().to_string(), address.port().to_string()]
    });
}

fn client_gets_its_bytes_back(
    program: &str,
    arguments: &[&str],
    address: impl Fn(SocketAddr) -> Vec<String>,
) {
    let evconn = start(&[]);
    let client = Command::new(program)
        .args(arguments)
        .args(address(evconn.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut client = match client {
        Ok(client) => client,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return skip(&format!("{program} is not installed"));
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let mut stdin = client.stdin.take().expect("stdin");
    stdin.write_all(b"x").expect("written");
    drop(stdin);
    let output = client.wait_with_output().expect("the client ends");
    assert!(output.status.success(), "{program}: {}", output.status);
    assert_eq!(output.stdout, b"x", "{program}");
}

/// The port closes soon after the signal: until then the kernel accepts connections.
fn wait_until_refused(address: SocketAddr) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the port stays open");
        std::thread::yield_now();
    }
}

fn assert_closed(stream: &mut TcpStream) {
    match stream.read(&mut [0]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
