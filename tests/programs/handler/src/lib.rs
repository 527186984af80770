//! A service that does what the peer's first line says, so that the tests can have every kind of
//! guest with one component.

mod ends;
mod granted;
mod hoard;
mod limits;
mod measure;
mod outward;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "evconn:tcp/service",
    generate_all,
});

use evconn::tcp::connection::Connection;
use exports::evconn::tcp::handler::Guest;
use wasi::io::streams::{InputStream, OutputStream, StreamError};

struct TestGuest;

impl Guest for TestGuest {
    fn handle(connection: Connection) -> Result<(), String> {
        limits::one_more();
        let line = read_line(&connection.input);
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            "args" => say(&connection.output, &granted::arguments()),
            "addresses" => say(&connection.output, &addresses(&connection)),
            "echo" => echo(&connection),
            "error-at-the-end" => {
                echo(&connection);
                return Err("it is the end".to_owned());
            }
            "burst" | "burst-and-give-up" | "burst-and-trap" => {
                burst(
                    &connection,
                    argument
                        .parse()
                        .map_err(|_| "burst takes a number of bytes")?,
                );
                match command {
                    "burst-and-give-up" => return Err("it gives up".to_owned()),
                    "burst-and-trap" => std::process::abort(),
                    _ => {}
                }
            }
            "answer" => answer(
                &connection,
                argument
                    .parse()
                    .map_err(|_| "answer takes a number of bytes")?,
            ),
            "cat" => say(&connection.output, &granted::read(argument)),
            "connect" => say(&connection.output, &connect(argument)?),
            "count" => say(&connection.output, &limits::count()),
            "deny-me" => {
                let times = argument
                    .parse()
                    .map_err(|_| "deny-me takes a number of times")?;
                say(&connection.output, &outward::be_denied(times));
            }
            "drop-socket-first" => drop_socket_first(connection),
            "end" => return ends::end(connection, argument),
            "env" => say(&connection.output, &granted::environment()),
            "eprint" | "print" => {
                granted::print(command == "eprint", &unescaped(argument));
                say(&connection.output, "printed\n");
            }
            "error" => return Err(argument.to_owned()),
            "grow" => {
                grow(
                    argument
                        .parse()
                        .map_err(|_| "grow takes a number of bytes")?,
                );
                say(&connection.output, "grown\n");
            }
            "flood" => {
                granted::flood(
                    argument
                        .parse()
                        .map_err(|_| "flood takes a number of lines")?,
                );
                say(&connection.output, "printed\n");
            }
            "hold" => limits::hold(&connection.output, argument)?,
            "hoard" => hoard::hoard(&connection, argument)?,
            "ignore" => limits::ignore(&connection),
            "leak" => leak(connection, argument),
            "lines" => lines(&connection),
            "long-name" => hoard::long_name(&connection, argument)?,
            "ls" => say(&connection.output, &granted::list(argument)),
            "measure" => measure::measure(&connection, argument)?,
            "open" => hoard::open(&connection, argument),
            "panic" => granted::panic(argument),
            "peer" => say(&connection.output, &peer(&connection)),
            "poll-often" => hoard::poll_often(&connection, argument)?,
            "poll-nothing" => {
                wasi::io::poll::poll(&[]);
                // Not reached. Otherwise the connection stays open, and the test notices.
                echo(&connection);
            }
            "print-at-once" => {
                granted::print_at_once(
                    argument
                        .parse()
                        .map_err(|_| "print-at-once takes a number of bytes")?,
                );
                say(&connection.output, "printed\n");
            }
            "pour" => limits::pour(&connection.output),
            "probe" => say(&connection.output, &probe()),
            "read-late" => ends::read_late(&connection, argument)?,
            "random" => limits::random(&connection.output, argument)?,
            "recurse" => say(&connection.output, &format!("{}\n", limits::recurse(1))),
            "resolve" => say(&connection.output, &outward::resolve(argument)),
            "spin" => {
                say(&connection.output, "spinning\n");
                loop {
                    std::hint::spin_loop();
                }
            }
            "wait" => limits::wait(&connection.output, argument)?,
            "trap" => std::process::abort(),
            "write-at-once" => limits::write_at_once(&connection.output, argument)?,
            "write-unasked" => limits::write_unasked(&connection.output, argument)?,
            "zeroes-unasked" => limits::zeroes_unasked(&connection.output, argument)?,
            "write" => {
                let (path, text) = argument.split_once(' ').unwrap_or((argument, ""));
                say(&connection.output, &granted::overwrite(path, text));
            }
            _ => return Err(format!("unknown command {line:?}")),
        }
        Ok(())
    }
}

/// `HOST PORT LINE`
fn connect(argument: &str) -> Result<String, String> {
    let mut words = argument.splitn(3, ' ');
    match (words.next(), words.next().map(str::parse), words.next()) {
        (Some(host), Some(Ok(port)), Some(line)) => Ok(outward::connect(host, port, line)),
        _ => Err("connect takes a host, a port and a line".to_owned()),
    }
}

/// With `\n` for the end of a line, and `\e` for ESC.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\e", "\u{1b}")
}

/// Who the peer is, by the event and by the socket.
fn peer(connection: &Connection) -> String {
    let by_event = connection.peer_address;
    let by_socket = connection.socket.remote_address();
    format!("{by_event:?} {by_socket:?}\n")
}

/// The first line, without its end. What follows it stays in the stream.
fn read_line(input: &InputStream) -> String {
    let mut line = Vec::new();
    loop {
        match input.blocking_read(1) {
            Ok(byte) if byte == b"\n" => break,
            Ok(byte) => line.extend(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&line).into_owned()
}

fn say(output: &OutputStream, text: &str) {
    for chunk in text.as_bytes().chunks(4096) {
        if output.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

/// What the socket says of both sides, and what came with the connection.
fn addresses(connection: &Connection) -> String {
    format!(
        "{:?} {:?} {:?}\n",
        connection.socket.local_address(),
        connection.socket.remote_address(),
        connection.peer_address
    )
}

/// Through guest memory, unlike the example.
fn echo(Connection { input, output, .. }: &Connection) {
    loop {
        match input.blocking_read(4096) {
            Ok(bytes) => {
                if output.blocking_write_and_flush(&bytes).is_err() {
                    return;
                }
            }
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => return,
        }
    }
}

/// Write each line back, without waiting for it to be sent, and then do what it says.
fn lines(Connection { input, output, .. }: &Connection) {
    loop {
        let line = format!("{}\n", read_line(input));
        let permit = output.check_write().unwrap_or(0);
        if permit < line.len() as u64 || output.write(line.as_bytes()).is_err() {
            return;
        }
        match line.trim_end() {
            "spin" => loop {
                std::hint::spin_loop();
            },
            "trap" => std::process::abort(),
            "leave" | "" => return,
            _ => {}
        }
    }
}

/// Write that many bytes, at most 64 KiB, into a socket that takes few, and return without waiting
/// for anything.
fn burst(Connection { output, socket, .. }: &Connection, bytes: usize) {
    let _ = socket.set_send_buffer_size(4096);
    if output
        .check_write()
        .is_ok_and(|permit| permit >= bytes as u64)
    {
        let _ = output.write(&vec![b'x'; bytes]);
    }
}

/// Write that many bytes without waiting for them to be sent, and then wait for the peer's word.
fn answer(
    Connection {
        input,
        output,
        socket,
        ..
    }: &Connection,
    bytes: usize,
) {
    let _ = socket.set_send_buffer_size(4096);
    if output
        .check_write()
        .is_ok_and(|permit| permit >= bytes as u64)
        && output.write(&vec![b'x'; bytes]).is_ok()
        && output.flush().is_ok()
        && input.blocking_read(1).is_ok()
    {
        say(output, "thanks\n");
    }
}

/// The wrong order: the streams are the socket's children.
fn drop_socket_first(connection: Connection) {
    let Connection {
        input,
        output: _output,
        socket,
        ..
    } = connection;
    drop(socket);
    // Not reached. Otherwise the connection stays open, and the test notices.
    let _ = input.blocking_read(1);
}

/// Touch that much memory.
fn grow(bytes: usize) {
    let memory = vec![1_u8; bytes];
    std::hint::black_box(&memory);
}

/// Return with the connection's handles still held, and with bytes just written.
fn leak(connection: Connection, text: &str) {
    if let Ok(permit) = connection.output.check_write() {
        let len = text.len().min(permit as usize);
        // A failure is the peer's to notice: it gets fewer bytes than it waits for.
        let _ = connection.output.write(&text.as_bytes()[..len]);
    }
    std::mem::forget(connection);
}

/// What a service can reach beyond its connection.
fn probe() -> String {
    use wasi::sockets::network::IpAddressFamily;
    let tcp = match wasi::sockets::tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
        Ok(_) => "granted".to_owned(),
        Err(code) => code.name().to_owned(),
    };
    let udp = match wasi::sockets::udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4) {
        Ok(_) => "granted".to_owned(),
        Err(code) => code.name().to_owned(),
    };
    let network = wasi::sockets::instance_network::instance_network();
    let names = match wasi::sockets::ip_name_lookup::resolve_addresses(&network, "localhost") {
        Ok(_) => "granted".to_owned(),
        Err(code) => code.name().to_owned(),
    };
    format!(
        "tcp={tcp} udp={udp} names={names} directories={} environment={} arguments={}\n",
        wasi::filesystem::preopens::get_directories().len(),
        wasi::cli::environment::get_environment().len(),
        wasi::cli::environment::get_arguments().len(),
    )
}

export!(TestGuest);
