//! Handshakes at a fixed rate, in a process of their own.

use super::super::helper::{Helper, say, until_end_of_input};
use crate::client::{Close, Route, close};
use crate::sample::Latency;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// The subcommand of this program that is such a client. For the benchmark itself only.
pub const SUBCOMMAND: &str = "tls-handshakes";

/// How long a handshake may take.
const DEADLINE: Duration = Duration::from_secs(4);

/// Who makes handshakes, and how many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handshakes {
    pub server: SocketAddr,
    /// The first address, and how many there are.
    pub source: Ipv4Addr,
    pub addresses: u32,
    pub per_second: u32,
    /// Whether to wait for the service's first answer, too.
    pub are_served: bool,
}

/// What became of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shaken {
    /// From the time at which it was due.
    pub latency: Option<Latency>,
    pub started: u64,
    pub failed: u64,
    pub seconds: f64,
}

#[derive(Default)]
struct Results {
    times: Vec<u32>,
    started: u64,
    failed: u64,
}

impl Handshakes {
    pub fn start(&self) -> Result<Helper> {
        let mut helper = Helper::start(SUBCOMMAND, [serde_json::to_string(self)?])?;
        helper.hear::<bool>()?;
        Ok(helper)
    }
}

/// Makes handshakes until the end of standard input. The argument says which.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let asked = arguments.next().context("no handshakes")?;
    let asked: Rc<Handshakes> = Rc::new(serde_json::from_str(&asked)?);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    LocalSet::new().block_on(&runtime, until_told(asked))
}

async fn until_told(asked: Rc<Handshakes>) -> Result<()> {
    say(&true)?;
    let begin = Instant::now();
    let results: Rc<RefCell<Results>> = Rc::default();
    tokio::select! {
        made = make(asked, &results) => made?,
        ended = until_end_of_input() => ended?,
    }
    let seconds = begin.elapsed().as_secs_f64();
    let Results {
        times,
        started,
        failed,
    } = results.take();
    say(&Shaken {
        latency: Latency::of(times),
        started,
        failed,
        seconds,
    })
}

/// Starts one after the other, whether or not the last ones are done.
async fn make(asked: Rc<Handshakes>, results: &Rc<RefCell<Results>>) -> Result<()> {
    let config = super::config()?;
    let mut due = interval(Duration::from_secs(1) / asked.per_second);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0.. {
        let scheduled = due.tick().await;
        let (asked, config, results) = (Rc::clone(&asked), Arc::clone(&config), Rc::clone(results));
        results.borrow_mut().started += 1;
        tokio::task::spawn_local(async move {
            let made = timeout(DEADLINE, one(&asked, number, config)).await;
            let time = u32::try_from(scheduled.elapsed().as_nanos()).unwrap_or(u32::MAX);
            let mut results = results.borrow_mut();
            match made {
                Ok(Ok(())) => results.times.push(time),
                Ok(Err(_)) | Err(_) => results.failed += 1,
            }
        });
    }
    Ok(())
}

async fn one(asked: &Handshakes, number: u32, config: Arc<ClientConfig>) -> Result<()> {
    let source = Ipv4Addr::from_bits(asked.source.to_bits() + number % asked.addresses);
    let server = asked.server;
    let stream = Route { server, source }.connect().await?;
    let name = ServerName::try_from("localhost")?;
    let mut session = TlsConnector::from(config).connect(name, stream).await?;
    if asked.are_served {
        session.write_all(b"echo\n").await?;
        session.flush().await?;
        session.read_exact(&mut [0; 3]).await?;
    }
    let (stream, _) = session.into_inner();
    close(stream, Close::Reset).await
}
