//! The servers, each on a runtime of its own with the same number of workers.
//!
//! Each measurement starts its server anew, on a port of its own. The runtime, and what evconn has
//! compiled, are kept.
//!
//! Both of these set TCP_NODELAY.

use anyhow::{Result, ensure};
use evconn::{Host, Limits, Listener, Service, Shutdown, guests};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Port 0: whichever is free.
pub const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// What of tokio one would write by hand: a loop that accepts, and a task for each connection.
pub struct Native(Runtime);

impl Native {
    pub fn new() -> Result<Self> {
        Ok(Self(crate::runtime("native")?))
    }

    pub fn start(&self) -> Result<Running<'_>> {
        let listener = self.0.block_on(TcpListener::bind(ANY_PORT))?;
        let address = listener.local_addr()?;
        let serve = |stopped| async move {
            let served = AtomicU32::new(0);
            tokio::select! {
                biased;
                result = accept(&listener, &served) => result?,
                _ = stopped => {}
            }
            Ok(served.into_inner().into())
        };
        Ok(Running::start(&self.0, address, serve))
    }
}

/// Returns only if it fails.
async fn accept(listener: &TcpListener, served: &AtomicU32) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        served.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true)?;
        // If an echo fails, the client sees it.
        tokio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// evconn with the echo component.
pub struct Component {
    host: Host,
    service: Service,
    runtime: Runtime,
}

impl Component {
    pub fn new() -> Result<Self> {
        let host = Host::new()?;
        Ok(Self {
            service: Service::new(&host, guests::ECHO)?,
            host,
            runtime: crate::runtime("evconn")?,
        })
    }

    pub fn start(&self) -> Result<Running<'_>> {
        let bind = Listener::bind(&self.host, ANY_PORT.into());
        let listener = self.runtime.block_on(bind)?;
        let address = listener.local_addr();
        let service = self.service.clone();
        let serve = |stopped: oneshot::Receiver<()>| async move {
            // Connections are open for longer only if the client has failed.
            let stopped = Shutdown::on(stopped).grace(Duration::from_secs(1));
            let served = evconn::serve(listener, service, Limits::default(), stopped).await?;
            ensure!(served.killed == 0, "the client left connections open");
            Ok(served.connections)
        };
        Ok(Running::start(&self.runtime, address, serve))
    }
}

/// A server that has been started.
pub struct Running<'a> {
    pub address: SocketAddr,
    runtime: &'a Runtime,
    serving: JoinHandle<Result<u64>>,
    stop: oneshot::Sender<()>,
}

impl<'a> Running<'a> {
    /// Have `serve` run until what it is given says that it is stopped.
    pub fn start<F: Future<Output = Result<u64>> + Send + 'static>(
        runtime: &'a Runtime,
        address: SocketAddr,
        serve: impl FnOnce(oneshot::Receiver<()>) -> F,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self {
            address,
            serving: runtime.spawn(serve(stopped)),
            stop,
            runtime,
        }
    }

    /// Stop it, and learn how many connections it had.
    pub fn stop(self) -> Result<u64> {
        drop(self.stop);
        self.runtime.block_on(self.serving)?
    }
}
