//! What the tests share: a host, a server, and waiting with a deadline.

pub mod alone;
pub mod c;
#[cfg(feature = "tls")]
pub mod certificate;
pub mod child;
pub mod descriptors;
#[cfg(unix)]
pub mod http;
pub mod limit;
pub mod log;
pub mod manager;
pub mod peer;
pub mod pipe;
pub mod process;
pub mod scratch;
#[cfg(target_os = "linux")]
pub mod successor;
pub mod text;
pub mod tool;
pub mod wasi_c;
pub mod wasip2;
#[cfg(target_os = "linux")]
pub mod workers;

use evconn::{Error, Host, Limits, Listener, Served, Service, Shutdown};
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The deadline of all waits, far longer than any of them takes, even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The service that executes the command in its peer's first line.
pub const TEST_GUEST: &[u8] = evconn_artifacts::HANDLER;

/// The service that reads what comes into its memory, and writes it from there.
pub const ECHO_COPY: &[u8] = evconn_artifacts::ECHO_COPY;

/// Define tests that run once over IPv4 and once over IPv6: async functions that take the address.
macro_rules! over_both_families {
    ($($name:ident),* $(,)?) => {
        mod ipv4 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let _open = crate::support::descriptors::unchanged();
                    super::$name(std::net::Ipv4Addr::LOCALHOST.into()).await;
                }
            )*
        }
        mod ipv6 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let _open = crate::support::descriptors::unchanged();
                    if crate::support::has_ipv6() {
                        super::$name(std::net::Ipv6Addr::LOCALHOST.into()).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use over_both_families;

/// One host for all tests.
pub fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new().expect("a host"))
}

/// Waits for `future`, up to the deadline.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Looks again and again until there is something, up to the deadline. For what nobody tells: what the kernel
/// shows of other processes, for example.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Writes why a test does not run. Not with `eprintln!`, which the test harness swallows.
pub fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

pub fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        skip("this machine has no IPv6 loopback address");
    }
    has
}

/// A listener on a free port, without a callback.
pub async fn listen(ip: IpAddr) -> Listener {
    Listener::bind(host(), SocketAddr::new(ip, 0))
        .await
        .expect("a listener")
}

/// `serve`, running.
pub struct Server {
    pub address: SocketAddr,
    pub listener: Listener,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Served, Error>>,
}

impl Server {
    pub async fn start(ip: IpAddr, component: &[u8], limits: Limits) -> Self {
        Self::start_with_grace(ip, component, limits, DEADLINE).await
    }

    pub async fn start_with_grace(
        ip: IpAddr,
        component: &[u8],
        limits: Limits,
        grace: Duration,
    ) -> Self {
        let service = Service::new(host(), component).expect("a service");
        Self::start_service(ip, service, limits, grace).await
    }

    /// The service may have an ingress.
    pub async fn start_service(
        ip: IpAddr,
        service: Service,
        limits: Limits,
        grace: Duration,
    ) -> Self {
        let listener = listen(ip).await;
        let (stop, stopped) = oneshot::channel();
        let shutdown = Shutdown::on(stopped).grace(grace);
        Self {
            address: listener.local_addr(),
            listener: listener.clone(),
            stop,
            task: tokio::spawn(evconn::serve(listener, service, limits, shutdown)),
        }
    }

    pub async fn connect(&self) -> TcpStream {
        connect(self.address).await
    }

    /// Stops accepting, and waits until all connections are done.
    pub async fn stop(self) -> Served {
        drop(self.stop);
        within("the server ends", self.task)
            .await
            .expect("no panic")
            .expect("no error")
    }
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    within("connecting", TcpStream::connect(address))
        .await
        .expect("connected")
}

/// Bytes that show when they are out of order.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// Sends all of it and ends this side; the answer is everything until the peer ends its own.
pub async fn exchange(stream: impl AsyncRead + AsyncWrite, request: &[u8]) -> Vec<u8> {
    within("an exchange", async {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let send = async {
            writer.write_all(request).await?;
            writer.shutdown().await
        };
        let mut answer = Vec::new();
        let (sent, received) = tokio::join!(send, reader.read_to_end(&mut answer));
        sent.expect("sent");
        received.expect("received");
        answer
    })
    .await
}

/// What a server answers to a request before it resets the connection: it may do so at any time.
pub async fn until_reset(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut answer).await
    };
    let end = within("the reset", asked).await.expect_err("a reset");
    assert!(is_reset(&end), "{end}");
    answer
}

/// Returns whether a peer's call says that its connection was reset. Which of these it says depends on the call that
/// meets the reset first: it may be there before the peer knows that it is connected.
pub fn is_reset(error: &std::io::Error) -> bool {
    let reset = [
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
        ErrorKind::NotConnected,
    ];
    reset.contains(&error.kind())
}

/// Sends one line, and reads one back.
pub async fn ask(stream: &mut TcpStream, line: &str) -> String {
    within("an answer", async {
        stream.write_all(line.as_bytes()).await.expect("sent");
        read_line(stream).await
    })
    .await
}

/// Reads up to the end of a line, and no further.
pub async fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(stream.read_u8().await.expect("a byte"));
    }
    String::from_utf8(line).expect("text")
}

/// Closes the connection with a reset.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("linger set");
    drop(stream);
}

/// Connects to a server that closes the connection, which may be before this side knows that it is connected.
pub async fn is_turned_away(address: SocketAddr) {
    match within("connecting", TcpStream::connect(address)).await {
        Ok(mut stream) => wait_for_close(&mut stream).await,
        Err(error) => assert!(is_reset(&error), "{error}"),
    }
}

/// Waits until the peer has closed, in whatever way.
pub async fn wait_for_close(stream: &mut TcpStream) {
    within("the peer closes", async {
        let mut buffer = [0; 4096];
        while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {}
    })
    .await;
}

/// A free port of 127.0.0.1, for a program that has to be told one.
pub fn free_port() -> SocketAddr {
    // Below those that the kernel chooses from: other tests get theirs there, and could get this one.
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 15_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    loop {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT).expect("a port");
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
    }
}

/// Connects as soon as somebody listens.
pub async fn connect_once_it_listens(address: SocketAddr) -> TcpStream {
    within("somebody listens", async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    })
    .await
}
