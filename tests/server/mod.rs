//! `Server`: limits, peers, reused instances, output to many peers at a time, and its life from ready to
//! drained.

mod gone;
mod handshakes;
mod hooks;
mod imports;
mod life;
mod limits;
mod peers;
#[cfg(unix)]
mod quota;
mod reload;
mod reuse;
mod rounds;
mod traps;

use crate::support::{DEADLINE, TEST_GUEST, connect, host, within};
use evconn::{Error, Served, Server, ServerBuilder, ServerHandle, Service, Shutdown};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs, on a free port of 127.0.0.1.
pub(crate) struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    begin: oneshot::Sender<()>,
    now: oneshot::Sender<()>,
    task: JoinHandle<Result<Served, Error>>,
}

/// The service that executes the command in its peer's first line.
fn service() -> Service {
    Service::new(host(), TEST_GUEST).expect("a service")
}

impl Running {
    /// Serves the test guest.
    async fn start(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        Self::start_with(configure, |shutdown| shutdown.grace(DEADLINE)).await
    }

    async fn start_with(
        configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
        shutdown: impl FnOnce(Shutdown) -> Shutdown,
    ) -> Self {
        let builder = Server::builder(&service()).listen("127.0.0.1:0".parse().expect("a source"));
        Self::run(configure(builder), shutdown).await
    }

    pub async fn run(builder: ServerBuilder, shutdown: impl FnOnce(Shutdown) -> Shutdown) -> Self {
        Self::of(builder.bind().await.expect("a server"), shutdown)
    }

    pub fn of(server: Server, shutdown: impl FnOnce(Shutdown) -> Shutdown) -> Self {
        let (begin, begun) = oneshot::channel();
        let (now, is_now) = oneshot::channel();
        let shutdown = shutdown(Shutdown::on(begun).now_on(is_now));
        Self {
            address: server.listeners()[0].local_addr(),
            handle: server.handle(),
            begin,
            now,
            task: tokio::spawn(server.run(shutdown)),
        }
    }

    async fn connect(&self) -> TcpStream {
        connect(self.address).await
    }

    /// Begins to shut down, and waits until all connections are done.
    pub async fn stop(self) -> Served {
        drop(self.begin);
        ended(self.task).await
    }

    /// Ends it without waiting for its connections.
    pub async fn stop_now(self) -> Served {
        drop((self.begin, self.now));
        ended(self.task).await
    }
}

async fn ended(task: JoinHandle<Result<Served, Error>>) -> Served {
    let outcome = within("the server ends", task).await.expect("no panic");
    outcome.expect("no error")
}

/// Waits until `condition` holds, looking now and then.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    within(what, async {
        let mut pause = Duration::from_millis(1);
        while !condition().await {
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(Duration::from_secs(1));
        }
    })
    .await;
}
