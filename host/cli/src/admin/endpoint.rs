//! The listening sockets of the endpoint, and its connections: few at a time, each with one request.

use super::access::Entrance;
use super::command::{Command, Desk, Readiness};
use super::handlers::respond;
use crate::sys::threads;
use anyhow::Context;
use evconn::sockets::TcpOptions;
use evconn::{ListenSource, Listening, Opened, SocketFile};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::num::NonZeroU32;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Maximum number of connections that are served at a time. Further ones wait in the accept queue.
const MAX_CONNECTIONS: usize = 64;

/// The length of the accept queue. The kernel may lower it.
const BACKLOG: NonZeroU32 = NonZeroU32::new(1024).expect("not 0");

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length of the head of a request.
const MAX_HEAD: usize = 16 << 10;

/// How long a response may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after a connection could not be accepted, because descriptors are short, for example.
const PAUSE: Duration = Duration::from_secs(1);

/// The endpoint. It ends, and the file of its Unix socket is removed, when this is dropped.
pub struct Admin {
    /// Before the tasks, which have the sockets: no other process takes the files for stale ones.
    files: Vec<SocketFile>,
    readiness: watch::Sender<Readiness>,
    /// What requests ask for. It ends at once if there is no endpoint.
    pub commands: mpsc::Receiver<Command>,
    #[cfg_attr(not(unix), allow(dead_code, reason = "no other process gets them"))]
    sockets: Vec<Arc<Socket>>,
    _tasks: JoinSet<()>,
}

impl Admin {
    /// Returns an endpoint that nobody can ask.
    #[cfg(unix)]
    pub fn none() -> Self {
        Self::with(mpsc::channel(1).1, watch::channel(Readiness::Starting).0)
    }

    fn with(commands: mpsc::Receiver<Command>, readiness: watch::Sender<Readiness>) -> Self {
        Self {
            files: Vec::new(),
            readiness,
            commands,
            sockets: Vec::new(),
            _tasks: JoinSet::new(),
        }
    }

    /// Listens, and answers requests from now on. Without a source, there is no endpoint.
    ///
    /// # Errors
    /// If the source cannot be listened on. Nothing is left behind then.
    pub async fn start(source: Option<&ListenSource>) -> anyhow::Result<Self> {
        let Some(source) = source.cloned() else {
            return Self::of(Vec::new());
        };
        let listening = threads::run(move || source.listen(&TcpOptions::default(), BACKLOG));
        Self::of(listening.await?.context("cannot listen for --admin")?)
    }

    /// Answers requests to these listeners from now on.
    pub fn of(listening: Vec<Listening>) -> anyhow::Result<Self> {
        let (sender, commands) = mpsc::channel(MAX_CONNECTIONS);
        let (readiness, watched) = watch::channel(Readiness::Starting);
        let mut admin = Self::with(commands, readiness);
        let desk = Desk {
            commands: sender,
            readiness: watched,
            since: Instant::now(),
        };
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        for Listening { name, sockets, .. } in listening {
            for opened in sockets {
                let socket = Arc::new(admin.socket(opened)?);
                admin.sockets.push(Arc::clone(&socket));
                let accepting = accept(socket, desk.clone(), Arc::clone(&permits));
                admin._tasks.spawn(accepting);
            }
            tracing::info!(address = %name, "admin endpoint listening");
        }
        Ok(admin)
    }

    fn socket(&mut self, opened: Opened) -> anyhow::Result<Socket> {
        Ok(match opened {
            Opened::Tcp { listener, .. } => {
                listener.set_nonblocking(true)?;
                Socket::Tcp(TcpListener::from_std(listener)?)
            }
            #[cfg(unix)]
            Opened::Unix { file, listener, .. } => {
                self.files.extend(file);
                Socket::Unix(UnixListener::from_std(listener)?)
            }
            other => anyhow::bail!("--admin cannot listen on {other}"),
        })
    }

    /// Returns copies of the listening sockets, each with the path of its file, for another process.
    #[cfg(unix)]
    pub fn lend(&self) -> io::Result<Vec<(OwnedFd, Option<PathBuf>)>> {
        // A Unix socket is the only one.
        let file = self.files.first().map(|file| file.path().to_owned());
        let sockets = self.sockets.iter();
        let copies = sockets.map(|socket| Ok((socket.as_fd().try_clone_to_owned()?, file.clone())));
        copies.collect()
    }

    /// Leaves the file of a Unix socket to another process, which has the socket.
    #[cfg(unix)]
    pub fn leave_files(&mut self) {
        for file in self.files.drain(..) {
            file.leave();
        }
    }

    /// Sets what probes are told.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.readiness.send_replace(readiness);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.files.clear();
    }
}

/// A listening socket.
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[cfg(unix)]
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Socket {
    fn entrance(&self) -> io::Result<Entrance> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Entrance::of_address),
            #[cfg(unix)]
            Self::Unix(_) => Ok(Entrance::Unix),
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            #[cfg(unix)]
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Serves the connections of a socket, for ever.
async fn accept(socket: Arc<Socket>, desk: Desk, permits: Arc<Semaphore>) {
    // What cannot be found out is treated as the least trusted one.
    let entrance = socket.entrance().unwrap_or(Entrance::Network);
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended need no memory any more.
        while connections.try_join_next().is_some() {}
        let stream = match socket.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection to the admin endpoint: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let desk = desk.clone();
        connections.spawn(async move {
            serve(stream, entrance, desk).await;
            drop(permit);
        });
    }
}

/// Answers the request of a connection.
async fn serve(stream: Box<dyn Stream>, entrance: Entrance, desk: Desk) {
    let is_answered = Notify::new();
    let answer = service_fn(|request| async {
        let response = respond(&desk, entrance, request).await;
        is_answered.notify_one();
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .half_close(true)
        // So that nobody occupies a connection that others wait for.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    let too_late = async {
        is_answered.notified().await;
        sleep(RESPONSE_TIMEOUT).await;
    };
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!("a connection to the admin endpoint has failed: {error}");
        },
        () = too_late => {
            tracing::debug!("a connection to the admin endpoint is cut: it does not read the response");
        }
    }
}
