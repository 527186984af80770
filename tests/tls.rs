//! TLS, with common clients, and with peers that do not speak it.

use crate::support::certificate::Certificate;
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::tool::{self, Tool};
use crate::support::{
    DEADLINE, ECHO_COPY, Server, TEST_GUEST, connect, exchange, host, is_turned_away,
    wait_for_close, within,
};
use evconn::{Ingress, Limits, Listener, Service, TlsConfig};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

fn start(certificate: &Certificate, more: &[&str]) -> Evconn {
    let (cert, key) = (certificate.cert(), certificate.key());
    let flags = ["echo", "0", "--address", "127.0.0.1"];
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    Evconn::start(&[&flags[..], &tls, more].concat())
}

/// Stops it, and returns what it has logged.
fn log_of(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stderr
}

/// `openssl s_client`, which trusts just the certificate in this file.
fn s_client(address: SocketAddr, certificate: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-no_ign_eof", "-verify_return_error"])
        .args(["-servername", "localhost", "-verify_hostname", "localhost"])
        .args(["-CAfile", certificate])
        .args(["-connect", &address.to_string()]);
    command
}

/// Has a line sent and waits for it: whether it came back. None: there is no openssl.
fn line_comes_back(command: &mut Command) -> Option<bool> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut client = Tool::start(command)?;
    let mut stdin = client.child().stdin.take().expect("stdin");
    let stdout = client.child().stdout.take().expect("stdout");
    // A client that has failed does not take it.
    let _ = stdin.write_all(b"hello\n");
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    drop(stdin);
    Some(read.is_ok() && line == "hello\n")
}

#[test]
fn openssl_gets_its_line_back() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &[]);
    let address = evconn.address();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = s_client(address, &certificate.cert());
        match line_comes_back(client.arg(version)) {
            Some(came_back) => assert!(came_back, "{version}"),
            None => return,
        }
    }
}

#[test]
fn the_access_log_has_what_was_negotiated() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &["--access-log", "--tls-alpn", "echo"]);
    let mut client = s_client(evconn.address(), &certificate.cert());
    let Some(came_back) = line_comes_back(client.args(["-tls1_3", "-alpn", "other,echo"])) else {
        return;
    };
    assert!(came_back);
    evconn.logged("connection ended");
    let log = log_of(evconn);
    let line = log.lines().find(|line| line.contains("connection ended"));
    let line = line.expect("it is there");
    for field in [
        "received=6",
        "sent=6",
        "tls_version=\"TLSv1.3\"",
        "tls_alpn=\"echo\"",
        "tls_server_name=\"localhost\"",
    ] {
        assert!(line.contains(field), "{line}");
    }
}

/// Not in two threads: an SSLSocket is no good for that before Python 3.13.
const THERE_AND_BACK: &str = "import asyncio, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.set_alpn_protocols(['echo', 'other'])
address = ('127.0.0.1', int(sys.argv[1]))
data = bytes(range(256)) * 16384

async def there_and_back():
    reader, writer = await asyncio.open_connection(
        *address, ssl=context, server_hostname='localhost')
    writer.write(data)
    received = await reader.readexactly(len(data))
    assert received == data, 'other bytes'
    writer.close()
    await writer.wait_closed()

asyncio.run(asyncio.wait_for(there_and_back(), 60))
s = context.wrap_socket(socket.create_connection(address, 60), server_hostname='localhost')
s.sendall(b'x')
assert s.recv(1) == b'x', 'another byte'
agreed = (s.version(), s.selected_alpn_protocol())
# Waits for the server to say that this is the end, and fails if it just goes away.
s.unwrap()
print(*agreed)";

#[test]
fn python_gets_megabytes_back_and_a_proper_end() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &["--tls-alpn", "h2", "--tls-alpn", "echo"]);
    there_and_back(evconn.address(), &certificate, "TLSv1.3 echo\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_pass_through_a_guests_memory() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let service = Service::new(host(), ECHO_COPY).expect("a service");
    let service = service.with_ingress(ingress(&certificate));
    let ip = Ipv4Addr::LOCALHOST.into();
    let server = Server::start_service(ip, service, Limits::default(), DEADLINE).await;
    let address = server.address;
    let client = move || there_and_back(address, &certificate, "TLSv1.3 None\n");
    let client = tokio::task::spawn_blocking(client);
    within("the client ends", client).await.expect("no panic");
    assert_eq!(server.stop().await.failed, 0);
}

/// It sends a line, and says what comes back and how that ends.
const TO_THE_END: &str = "import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
address = ('127.0.0.1', int(sys.argv[1]))
s = context.wrap_socket(socket.create_connection(address, 60), server_hostname='localhost',
    suppress_ragged_eofs=False)
s.sendall(sys.argv[3].encode() + b'\\n')
received = b''
try:
    while data := s.recv(4096):
        received += data
    print(received.decode(), 'and the end')
except OSError as error:
    # Not which one: a reset is an error of TLS here.
    print(received.decode(), 'cut off')";

/// With `close_notify` only if the handler has returned successfully.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcome_decides_how_it_ends() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let service = service.with_ingress(ingress(&certificate));
    let ip = Ipv4Addr::LOCALHOST.into();
    let server = Server::start_service(ip, service, Limits::default(), DEADLINE).await;
    let (port, cert) = (server.address.port().to_string(), certificate.cert());
    for (how, end) in [
        ("drop-and-return", "and the end"),
        ("drop-and-give-up", "cut off"),
        ("drop-and-trap", "cut off"),
        ("exit", "and the end"),
    ] {
        let line = format!("end {how} half of it");
        let mut client = Command::new("python3");
        client.args(["-c", TO_THE_END, &port, &cert, &line]);
        let client = tokio::task::spawn_blocking(move || tool::run(&mut client, b""));
        let output = within("the client ends", client).await.expect("no panic");
        let Some(output) = output else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("half of it {end}\n"), "{how}: {output:?}");
    }
    server.stop().await;
}

/// Megabytes come back, and the connection comes to its proper end. The client says what was agreed on.
fn there_and_back(address: SocketAddr, certificate: &Certificate, agreed: &str) {
    let port = address.port().to_string();
    let mut client = Command::new("python3");
    client.args(["-c", THERE_AND_BACK, &port, &certificate.cert()]);
    let Some(output) = tool::run(&mut client, b"") else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), agreed);
}

/// It just closes its socket, as many clients do.
const HANGS_UP: &str = "import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
address = ('127.0.0.1', int(sys.argv[1]))
s = context.wrap_socket(socket.create_connection(address, 60), server_hostname='localhost')
s.sendall(b'x')
assert s.recv(1) == b'x', 'another byte'
s.close()";

#[test]
fn a_client_that_hangs_up_has_not_made_its_connection_fail() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &[]);
    let port = evconn.address().port().to_string();
    let mut client = Command::new("python3");
    client.args(["-c", HANGS_UP, &port, &certificate.cert()]);
    let Some(output) = tool::run(&mut client, b"") else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let log = log_of(evconn);
    assert!(!log.contains("connection failed"), "{log}");
    assert!(log.contains(" 0 failed, 1 lost their peer"), "{log}");
}

#[tokio::test]
async fn a_client_that_speaks_plain_text_gets_an_alert() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &[]);
    let answer = exchange(connect(evconn.address()).await, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 10]);
    let log = log_of(evconn);
    let cause = "connection refused: not TLS: it began with \"GET / HTTP/1.1\\r\\n\\r\\n\"";
    assert!(log.contains(cause), "{log}");
    assert!(log.contains("1 were refused"), "{log}");
}

#[test]
fn a_client_that_speaks_tls_to_a_plain_server_fails_alone() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = Evconn::start(&["echo", "0", "--address", "127.0.0.1"]);
    let address = evconn.address();
    if let Some(came_back) = line_comes_back(&mut s_client(address, &certificate.cert())) {
        assert!(!came_back);
    }
    let mut plain = TcpStream::connect(address).expect("connected");
    plain.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    plain.write_all(b"hello").expect("sent");
    plain.read_exact(&mut [0; 5]).expect("an answer");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &["--tls-handshake-timeout", "0.05"]);
    is_turned_away(evconn.address()).await;
    let log = log_of(evconn);
    assert!(
        log.contains("TLS handshake: not complete within 50ms"),
        "{log}"
    );
}

#[test]
fn a_certificate_that_cannot_be_used_is_one_line_on_stderr() {
    let _open = unchanged();
    let [good, other, expired] = [
        Certificate::new(),
        Certificate::new(),
        Certificate::expired(),
    ];
    let missing = good.file("missing.pem");
    for (cert, key, message) in [
        (
            &missing,
            &good.key(),
            format!("cannot read {missing:?}: No such file or directory (os error 2)"),
        ),
        (
            &good.key(),
            &good.key(),
            format!(
                "no certificate in {:?}: it takes PEM with BEGIN CERTIFICATE in it",
                good.key()
            ),
        ),
        (
            &good.cert(),
            &good.cert(),
            format!(
                "no private key in {:?}: it takes PEM with BEGIN PRIVATE KEY in it",
                good.cert()
            ),
        ),
        (
            &good.cert(),
            &other.key(),
            format!(
                "the private key in {:?} does not belong to the certificate in {:?}",
                other.key(),
                good.cert()
            ),
        ),
        (
            &expired.cert(),
            &expired.key(),
            format!(
                "the certificate in {:?} expired on 2020-02-29T00:00:00Z",
                expired.cert()
            ),
        ),
    ] {
        let flags = [
            "echo",
            "0",
            "--address",
            "127.0.0.1",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
        ];
        let ended = Evconn::run(&flags);
        assert_eq!(ended.stderr, format!("evconn: {message}\n"));
        assert_eq!(ended.stdout, "");
        assert_eq!(ended.status.code(), Some(1));
    }
}

#[test]
fn flags_that_lack_another_are_a_mistake_of_usage() {
    let _open = unchanged();
    for (flag, value, missing) in [
        ("--tls-cert", "cert.pem", "--tls-key"),
        ("--tls-key", "key.pem", "--tls-cert"),
        ("--tls-alpn", "h2", "--tls-cert"),
    ] {
        let ended = Evconn::run(&["echo", "0", flag, value]);
        assert_eq!(ended.status.code(), Some(2), "{flag}");
        assert!(ended.stderr.contains(missing), "{}", ended.stderr);
    }
}

#[test]
fn a_hangup_changes_the_certificate_and_keeps_it_if_the_new_one_is_bad() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &[]);
    let address = evconn.address();
    let comes_back = || line_comes_back(&mut s_client(address, &certificate.cert()));
    match comes_back() {
        Some(came_back) => assert!(came_back, "the old certificate"),
        None => return,
    }
    certificate.renew();
    assert_eq!(comes_back(), Some(false), "the new one, too early");
    evconn.signal(Signal::HUP);
    let deadline = Instant::now() + DEADLINE;
    while comes_back() != Some(true) {
        assert!(Instant::now() < deadline, "the old certificate stays");
    }
    evconn.logged("certificate reloaded");
    let kept = certificate.file("kept.pem");
    std::fs::copy(certificate.cert(), &kept).expect("copied");
    std::fs::write(certificate.cert(), "").expect("written");
    evconn.signal(Signal::HUP);
    assert_eq!(line_comes_back(&mut s_client(address, &kept)), Some(true));
    evconn.logged("certificate not reloaded, the old one stays");
    assert_eq!(line_comes_back(&mut s_client(address, &kept)), Some(true));
    log_of(evconn);
}

/// Reading a certificate may block: here it is in a pipe to which nothing is written.
#[test]
fn a_certificate_that_does_not_come_holds_nobody_up() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = start(&certificate, &[]);
    let address = evconn.address();
    let copy = certificate.file("copy.pem");
    std::fs::rename(certificate.cert(), &copy).expect("renamed");
    let made = Command::new("mkfifo").arg(certificate.cert()).status();
    assert!(made.expect("mkfifo").success());
    evconn.signal(Signal::HUP);
    let mut client = s_client(address, &copy);
    assert_ne!(line_comes_back(&mut client), Some(false), "the old one");
    let log = log_of(evconn);
    assert!(log.contains("served "), "{log}");
}

fn ingress(certificate: &Certificate) -> Ingress {
    let config = TlsConfig::from_files(certificate.cert(), certificate.key()).expect("usable");
    Ingress::new().tls(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_knows_nothing_of_it() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let service = service.with_ingress(ingress(&certificate));
    let ip = Ipv4Addr::LOCALHOST.into();
    let server = Server::start_service(ip, service, Limits::default(), DEADLINE).await;
    let mut client = s_client(server.address, &certificate.cert());
    let output = tokio::task::spawn_blocking(move || {
        // The guest says its line and ends: so does the client.
        tool::run(client.arg("-ign_eof"), b"probe\n")
    });
    let output = within("the client ends", output).await.expect("no panic");
    let served = server.stop().await;
    let Some(output) = output else { return };
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("tcp="), "{printed}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        (served.connections, served.refused, served.failed),
        (1, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_traps_does_not_look_like_an_end() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let service = service.with_ingress(ingress(&certificate));
    let ip = Ipv4Addr::LOCALHOST.into();
    let server = Server::start_service(ip, service, Limits::default(), DEADLINE).await;
    let program = "import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
tcp = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 60)
s = context.wrap_socket(tcp, server_hostname='localhost', suppress_ragged_eofs=False)
s.sendall(b'trap\\n')
try:
    print('ended' if s.recv(1) == b'' else 'answered')
except (ssl.SSLEOFError, ConnectionResetError):
    print('cut off')";
    let port = server.address.port().to_string();
    let mut client = Command::new("python3");
    client.args(["-c", program, &port, &certificate.cert()]);
    let output = tokio::task::spawn_blocking(move || tool::run(&mut client, b""));
    let output = within("the client ends", output).await.expect("no panic");
    let served = server.stop().await;
    let Some(output) = output else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "cut off\n");
    assert_eq!(served.failed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_callback_reads_the_plain_text() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let listener = Listener::bind(host(), (Ipv4Addr::LOCALHOST, 0).into());
    let listener = listener.await.expect("a listener");
    let ingress = ingress(&certificate);
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    listener.set_async_callback(move |_listener, connection| {
        let (ingress, sender) = (ingress.clone(), sender.clone());
        async move {
            let line = async {
                let mut line = [0; 6];
                let mut connection = ingress.accept(connection).await?;
                connection.read_exact(&mut line).await?;
                Ok::<_, std::io::Error>(line)
            };
            let _ = sender.send(line.await);
        }
    });
    let mut client = s_client(listener.local_addr(), &certificate.cert());
    let running = tokio::task::spawn_blocking(move || tool::run(&mut client, b"hello\n"));
    let output = within("the client ends", running).await.expect("no panic");
    if output.is_some() {
        let line = within("a line", lines.recv()).await.expect("a line");
        assert_eq!(&line.expect("no error"), b"hello\n");
    }
    exchange(connect(listener.local_addr()).await, b"plain text").await;
    let refused = within("a refusal", lines.recv()).await.expect("a refusal");
    let refused = refused.expect_err("refused");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(refused.to_string(), "not TLS: it began with \"plain text\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_no_handshake_for_ever() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let service = service.with_ingress(ingress(&certificate));
    let ip = Ipv4Addr::LOCALHOST.into();
    let grace = Duration::from_millis(50);
    let server = Server::start_service(ip, service, Limits::default(), grace).await;
    let mut peer = server.connect().await;
    // It is accepted once a second one is refused.
    exchange(server.connect().await, b"x").await;
    let served = server.stop().await;
    assert_eq!(
        (served.connections, served.refused, served.killed),
        (2, 1, 1)
    );
    wait_for_close(&mut peer).await;
}
