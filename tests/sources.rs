//! Where connections come from, other than an address: Unix sockets, and sockets that another
//! program has passed. On the command, with clients that people use.

use crate::support::descriptors::unchanged;
use crate::support::process::{CACHE_HOME, EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::{
    DEADLINE, ECHO_COPY, TEST_GUEST, eventually, exchange, host, pattern, skip, within,
};
use evconn::{
    Connection, Error, ErrorCode, Limits, ListenSource, Listener, Served, Service, Shutdown,
    UnixSource,
};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The command, listening on these.
fn start(sources: &[&str]) -> Evconn {
    Evconn::start(&arguments(sources))
}

fn arguments<'a>(sources: &[&'a str]) -> Vec<&'a str> {
    let flags = sources.iter().flat_map(|source| ["--listen", source]);
    std::iter::once("echo").chain(flags).collect()
}

/// It is to end with one line on standard error, which is returned.
fn refused(ended: Ended) -> String {
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let said = ended.stderr.trim_end();
    let problem = said.strip_prefix("Couldn't create listener: ");
    problem.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// A program that becomes the command, with a socket as its descriptor 3 and these variables in its
/// environment. A shell can do this without `unsafe`.
fn with_descriptor_3(socket: impl Into<OwnedFd>, variables: &str, sources: &[&str]) -> Command {
    let script = format!(r#"{variables} exec "$@" 3<&0 </dev/null"#);
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, "sh", EVCONN])
        .args(arguments(sources))
        .stdin(Stdio::from(socket.into()));
    command
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

fn ask(mut stream: impl Read + Write) {
    stream.write_all(b"hello\n").expect("sent");
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"hello\n");
}

fn stop(evconn: Evconn) {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// Runs a client, or writes that it is not installed.
fn client(command: &mut Command, input: &[u8]) -> Option<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("{program} is not installed"));
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(input).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("the client ends");
    assert!(output.status.success(), "{program}: {}", output.status);
    Some(output)
}

#[test]
fn a_unix_socket_is_served_and_goes_with_the_command() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let evconn = start(&[&format!("{},mode=660", unix(&path))]);
    assert_eq!(evconn.listening_on(), unix(&path));
    let file = path.symlink_metadata().expect("a file");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o7777, 0o660);
    ask(connect(&path));
    stop(evconn);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn a_client_of_a_unix_socket_gets_its_bytes_back() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let evconn = start(&[&unix(&path)]);
    evconn.listening_on();
    let python = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while data := s.recv(65536):
    sys.stdout.buffer.write(data)";
    let address = format!("UNIX-CONNECT:{}", path.display());
    for command in [
        // -t: how long it waits for the answer once its input has ended.
        Command::new("socat").args(["-t60", "-", &address]),
        Command::new("nc").args(["-N", "-U"]).arg(&path),
        Command::new("python3").args(["-c", python]).arg(&path),
    ] {
        if let Some(output) = client(command, b"hello\n") {
            assert_eq!(output.stdout, b"hello\n", "{command:?}");
        }
    }
    stop(evconn);
}

/// An answer of HTTP, whatever was asked.
async fn answer_http(_listener: Listener, connection: Connection) {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line).await.expect("a line") > 2 {
        line.clear();
    }
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
    connection.write_all(answer.as_bytes()).await.expect("sent");
    connection.shutdown().await.expect("ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_gets_an_answer_over_a_unix_socket() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let source = ListenSource::Unix(UnixSource::path(&path));
    let listeners = Listener::listen(host(), &source).await.expect("a listener");
    for listener in &listeners {
        listener.set_async_callback(answer_http);
    }
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "60", "--unix-socket"])
        .arg(&path)
        .arg("http://localhost/");
    let curl = tokio::task::spawn_blocking(move || client(&mut curl, b""));
    if let Some(output) = curl.await.expect("no panic") {
        assert_eq!(output.stdout, b"hello\n");
    }
    for listener in listeners {
        listener.close();
        within("it closes", listener.closed()).await;
    }
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

/// Serves this component on a Unix socket until the first of the two is dropped.
async fn serve_unix(
    path: &Path,
    component: &[u8],
) -> (oneshot::Sender<()>, JoinHandle<Result<Served, Error>>) {
    let source = ListenSource::Unix(UnixSource::path(path));
    let listeners = Listener::listen(host(), &source).await.expect("a listener");
    assert_eq!(listeners[0].name(), unix(path));
    assert_eq!(listeners[0].local_addr().to_string(), "127.0.0.1:0");
    let service = Service::new(host(), component).expect("a service");
    let (stop, stopped) = oneshot::channel();
    let shutdown = Shutdown::on(stopped);
    let server = evconn::serve_all(listeners, service, Limits::default(), shutdown);
    (stop, tokio::spawn(server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_of_a_unix_socket_pass_through_a_guests_memory() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let (stop, server) = serve_unix(&path, ECHO_COPY).await;

    let peer = tokio::net::UnixStream::connect(&path).await;
    let sent = pattern(8 << 20);
    let received = exchange(peer.expect("connected"), &sent).await;
    assert!(received == sent, "the bytes came back changed");

    drop(stop);
    let served = within("the server ends", server).await.expect("no panic");
    assert_eq!(served.expect("no error").connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_sees_the_loopback_address_for_a_unix_socket() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let (stop, server) = serve_unix(&path, TEST_GUEST).await;

    let mut peer = tokio::net::UnixStream::connect(&path)
        .await
        .expect("connected");
    peer.write_all(b"addresses\n").await.expect("sent");
    let mut answer = String::new();
    within("an answer", peer.read_to_string(&mut answer))
        .await
        .expect("text");
    let address = "IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) })";
    assert_eq!(answer, format!("Ok({address}) Ok({address}) {address}\n"));

    drop(stop);
    let served = within("the server ends", server).await.expect("no panic");
    assert_eq!(served.expect("no error").connections, 1);
}

#[test]
fn the_log_says_who_the_peer_is() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let mut command = Command::new(EVCONN);
    command
        .args(arguments(&[&unix(&path)]))
        .env("RUST_LOG", "debug");
    let evconn = Evconn::start_by(&mut command);
    evconn.listening_on();
    ask(connect(&path));
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    let uid = rustix::process::getuid().as_raw();
    let expected = format!("peer=unix (pid {}, uid {uid}, gid ", std::process::id());
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn an_abstract_name_is_served() {
    use std::os::linux::net::SocketAddrExt;
    let _open = unchanged();
    let name = format!("evconn-sources-{}", std::process::id());
    let source = format!("unix:@{name}");
    let evconn = start(&[&source]);
    assert_eq!(evconn.listening_on(), source);
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    ask(UnixStream::connect_addr(&address).expect("connected"));
    stop(evconn);
}

#[test]
fn a_socket_that_a_killed_command_left_behind_is_taken_over() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let killed = start(&[&unix(&path)]);
    killed.listening_on();
    killed.signal(Signal::KILL);
    killed.wait();
    // Its workers end with it, soon.
    eventually("nobody listens", || UnixStream::connect(&path).err());
    assert_eq!(scratch.contents(), ["a.sock"]);
    let evconn = start(&[&unix(&path)]);
    evconn.listening_on();
    ask(connect(&path));
    stop(evconn);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn a_second_command_leaves_the_first_alone() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let first = start(&[&unix(&path)]);
    first.listening_on();
    let said = refused(Evconn::run(&arguments(&[&unix(&path)])));
    assert_eq!(said, format!("{}: Address already in use", unix(&path)));
    ask(connect(&path));
    stop(first);
}

#[test]
fn what_cannot_be_listened_on_is_one_line_on_stderr() {
    let _open = unchanged();
    let scratch = Scratch::new();
    std::fs::write(scratch.join("file"), "precious").expect("written");
    std::fs::create_dir(scratch.join("directory")).expect("made");
    std::os::unix::fs::symlink("file", scratch.join("link")).expect("linked");
    let before = scratch.contents();
    for (name, problem) in [
        ("file", "is a file, not a socket"),
        ("directory", "is a directory, not a socket"),
        ("link", "is a symbolic link, not a socket"),
        ("missing/a.sock", "No such file or directory"),
        ("file/a.sock", "Not a directory"),
        (&"x".repeat(108), "at most 107 bytes"),
    ] {
        let said = refused(Evconn::run(&arguments(&[&unix(&scratch.join(name))])));
        assert!(said.contains(problem), "{name}: {said}");
        assert_eq!(scratch.contents(), before);
    }
    for (source, problem) in [
        ("fd:2000000000", "is not open"),
        ("fd:999", "descriptor 999 is not open"),
        ("systemd", "LISTEN_FDS is not set"),
        ("systemd:web", "LISTEN_FDS is not set"),
    ] {
        let said = refused(Evconn::run(&arguments(&[source])));
        assert!(said.contains(problem), "{source}: {said}");
    }
}

#[test]
fn if_one_source_fails_nothing_is_left_of_the_others() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let first = unix(&scratch.join("a.sock"));
    let said = refused(Evconn::run(&arguments(&[&first, "fd:999"])));
    assert!(said.contains("descriptor 999"), "{said}");
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn a_source_that_is_none_is_a_bad_flag() {
    let _open = unchanged();
    for (source, hint) in [
        ("localhost", "localhost:9876"),
        ("localhost:x", "0 to 65535"),
        ("9876", "write :9876"),
        ("/run/a.sock", "write unix:/run/a.sock"),
        ("unix:/a,mode=999", "octal"),
        ("fd:1", "3 or higher"),
    ] {
        let ended = Evconn::run(&arguments(&[source]));
        assert_eq!(ended.status.code(), Some(2), "{source}");
        assert_eq!(ended.stdout, "", "{source}");
        let first_line = ended.stderr.lines().next().unwrap_or_default();
        assert!(first_line.contains(hint), "{}", ended.stderr);
    }
}

#[test]
fn a_source_and_a_port_contradict_each_other() {
    let _open = unchanged();
    for more in [&["80"][..], &["--address", "127.0.0.1"]] {
        let ended = Evconn::run(&[&["echo", "--listen", "127.0.0.1:0"], more].concat());
        assert_eq!(ended.status.code(), Some(2), "{more:?}");
        assert!(
            ended.stderr.contains("cannot be used with"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn an_inherited_tcp_socket_is_served() {
    let _open = unchanged();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("its address");
    let evconn = Evconn::start_by(&mut with_descriptor_3(socket, "", &["fd:3"]));
    assert_eq!(evconn.address(), address);
    ask(TcpStream::connect(address).expect("connected"));
    stop(evconn);
    TcpListener::bind(address).expect("nobody has it any more");
}

#[test]
fn an_inherited_unix_socket_is_served_and_its_path_stays() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let evconn = Evconn::start_by(&mut with_descriptor_3(socket, "", &["fd:3"]));
    assert_eq!(evconn.listening_on(), unix(&path));
    ask(connect(&path));
    stop(evconn);
    // Whoever made it is to remove it.
    assert_eq!(scratch.contents(), ["a.sock"]);
}

#[test]
fn a_descriptor_that_cannot_be_listened_on_is_one_line_on_stderr() {
    let _open = unchanged();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("its address");
    let connection = TcpStream::connect(address).expect("connected");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let file = std::fs::File::open("/dev/null").expect("a file");
    let cases: [(OwnedFd, &str); 3] = [
        (connection.into(), "is a connection"),
        (datagrams.into(), "is a datagram socket"),
        (file.into(), "is not a socket"),
    ];
    for (descriptor, problem) in cases {
        let mut command = with_descriptor_3(descriptor, "", &["fd:3"]);
        let said = refused(Evconn::start_by(&mut command).wait());
        assert!(said.starts_with("descriptor 3 "), "{said}");
        assert!(said.contains(problem), "{said}");
    }
    let mut twice = with_descriptor_3(listener, "", &["fd:3", "fd:3"]);
    let said = refused(Evconn::start_by(&mut twice).wait());
    assert!(said.contains("in use in it already"), "{said}");
}

#[test]
fn a_socket_in_the_way_of_systemd_is_served() {
    let _open = unchanged();
    for (variables, source) in [
        ("LISTEN_PID=$$ LISTEN_FDS=1", "systemd"),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web",
            "systemd:web",
        ),
    ] {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let mut command = with_descriptor_3(socket, variables, &[source]);
        let evconn = Evconn::start_by(&mut command);
        assert_eq!(evconn.address(), address);
        ask(TcpStream::connect(address).expect("connected"));
        stop(evconn);
    }
}

#[test]
fn wrong_variables_of_systemd_are_one_line_on_stderr() {
    let _open = unchanged();
    for (variables, source, problem) in [
        ("LISTEN_FDS=1", "systemd", "LISTEN_PID is not set"),
        ("LISTEN_PID=1 LISTEN_FDS=1", "systemd", "to process 1, and"),
        ("LISTEN_PID=x LISTEN_FDS=1", "systemd", "LISTEN_PID=\"x\""),
        ("LISTEN_PID=$$ LISTEN_FDS=x", "systemd", "LISTEN_FDS=\"x\""),
        ("LISTEN_PID=$$ LISTEN_FDS=0", "systemd", "LISTEN_FDS is 0"),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a:b",
            "systemd",
            "one name each",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a",
            "systemd:b",
            "there are \"a\"",
        ),
    ] {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let mut command = with_descriptor_3(socket, variables, &[source]);
        let said = refused(Evconn::start_by(&mut command).wait());
        assert!(said.contains(problem), "{variables}: {said}");
    }
}

/// systemd's own tool: it makes the sockets, waits for a peer, and becomes the command.
#[test]
fn systemd_passes_several_sockets() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let (web, admin) = (scratch.join("web.sock"), scratch.join("admin.sock"));
    let version = Command::new("systemd-socket-activate")
        .arg("--version")
        .output();
    if version.is_err() {
        return skip("systemd-socket-activate is not installed");
    }
    let mut command = Command::new("systemd-socket-activate");
    command
        .arg("--listen")
        .arg(&web)
        .arg("--listen")
        .arg(&admin)
        .arg("--fdname=web:admin")
        .arg(format!("--setenv={CACHE_HOME}"))
        .arg(EVCONN)
        .args(arguments(&["systemd:admin", "systemd:web"]))
        .stdin(Stdio::null());
    let evconn = Evconn::start_by(&mut command);
    let deadline = std::time::Instant::now() + DEADLINE;
    let first = loop {
        match UnixStream::connect(&web) {
            Ok(stream) => break stream,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    };
    assert_eq!(evconn.listening_on(), unix(&admin));
    assert_eq!(evconn.listening_on(), unix(&web));
    first.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    ask(first);
    ask(connect(&admin));
    stop(evconn);
}

/// With a limit of one connection, and a listener to which nobody connects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_listeners_share_one_limit() {
    let _open = unchanged();
    let any_port = ListenSource::Address("127.0.0.1:0".parse().expect("an address"));
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.extend(Listener::listen(host(), &any_port).await.expect("one"));
    }
    let addresses: Vec<_> = listeners.iter().map(Listener::local_addr).collect();
    let service = Service::new(host(), evconn::guests::ECHO).expect("a service");
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = Shutdown::on(stopped);
    let server = tokio::spawn(evconn::serve_all(listeners, service, limits, shutdown));

    let mut first = crate::support::connect(addresses[0]).await;
    assert_eq!(crate::support::ask(&mut first, "one\n").await, "one\n");
    let mut second = crate::support::connect(addresses[1]).await;
    second.write_all(b"two\n").await.expect("sent");
    // The first is answered, and so would the second be by now if it were served.
    assert_eq!(crate::support::ask(&mut first, "still\n").await, "still\n");
    let early = second.try_read(&mut [0]).expect_err("no answer");
    assert_eq!(early.kind(), ErrorKind::WouldBlock);
    drop(first);
    assert_eq!(crate::support::read_line(&mut second).await, "two\n");
    drop(second);

    drop(stop);
    let served = within("the server ends", server).await.expect("no panic");
    assert_eq!(served.expect("no error").connections, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backlog_is_that_of_a_unix_socket_too() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let source = ListenSource::Unix(UnixSource::path(&path));
    let builder = Listener::builder(host()).backlog(2);
    let listeners = builder.listen_on(&source).await.expect("a listener");
    // Without a callback they stay in the queue, in which Linux has room for one more than it was told.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(UnixStream::connect(&path).expect("connected"));
    }
    let one_more = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let one_more = one_more.expect("a socket");
    one_more.set_nonblocking(true).expect("set");
    let address = socket2::SockAddr::unix(&path).expect("an address");
    let error = one_more.connect(&address).expect_err("the queue is full");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    listeners[0].close();
    within("it closes", listeners[0].closed()).await;

    let none = Listener::builder(host()).backlog(0);
    let error = none.listen_on(&source).await.expect_err("no queue");
    assert!(
        matches!(error, Error::Socket(ErrorCode::InvalidArgument)),
        "{error}"
    );
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

/// A builder is for as many listeners as one likes; they have its callback in common.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_listens_on_several_sources() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let (sender, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let builder = Listener::builder(host()).on_connection(move |listener, _connection| {
        let name = listener.name().to_owned();
        // The test may have ended.
        let _ = sender.send(name);
    });
    let mut listeners = Vec::new();
    for source in ["127.0.0.1:0", &unix(&path)] {
        let source = source.parse().expect("a source");
        listeners.extend(builder.listen_on(&source).await.expect("a listener"));
    }
    drop(builder);
    let _tcp = crate::support::connect(listeners[0].local_addr()).await;
    let _unix = connect(&path);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let name = within("a connection", connections.recv()).await;
        seen.push(name.expect("one"));
    }
    seen.sort();
    let mut expected: Vec<_> = listeners.iter().map(Listener::name).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    for listener in &listeners {
        listener.close();
        within("it closes", listener.closed()).await;
    }
}
