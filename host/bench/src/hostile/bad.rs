//! Hostile connections, in a process of their own.

use super::act::Manner;
use super::helper::{Helper, say, until_end_of_input};
use crate::client::{Close, Route, close};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// The subcommand of this program that is these clients. For the benchmark itself only.
pub const SUBCOMMAND: &str = "hostile-connections";

/// The first address that they connect from, and how many there are.
pub const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub const ADDRESSES: u32 = 10;

/// How long one of them lasts that is replaced all the time. None is replaced sooner, but for a flood.
const PERIOD: Duration = Duration::from_millis(50);

/// How long one may take to connect.
const CONNECT: Duration = Duration::from_secs(1);

/// How long to wait until all have begun. Some acts never begin.
const BEGIN: Duration = Duration::from_secs(3);

/// How long a hostile connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Until it ends by itself.
    Staying,
    /// For a moment.
    Returning,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staying => "staying",
            Self::Returning => "returning",
        }
    }
}

/// What they do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crowd {
    pub server: SocketAddr,
    /// How many there are, and from how many addresses.
    pub count: u32,
    pub addresses: u32,
    pub line: String,
    pub manner: Manner,
    pub mode: Mode,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Deeds {
    /// Connections that were opened.
    pub opened: u64,
    /// Acts that were begun.
    pub begun: u64,
    /// Connections that the server ended.
    pub ended: u64,
}

impl Deeds {
    pub fn of_both(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            begun: self.begun + other.begun,
            ended: self.ended + other.ended,
        }
    }
}

impl Crowd {
    /// Starts the connections, and waits until they are at it.
    pub fn start(&self) -> Result<Helper> {
        let mut helper = Helper::start(SUBCOMMAND, [serde_json::to_string(self)?])?;
        helper.hear::<Deeds>()?;
        Ok(helper)
    }
}

/// Runs the connections. The argument says what they do.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let crowd = arguments.next().context("no crowd")?;
    let crowd: Crowd = serde_json::from_str(&crowd)?;
    super::priority::lower().context("a lower priority")?;
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    LocalSet::new().block_on(&runtime, until_told(crowd))
}

async fn until_told(crowd: Crowd) -> Result<()> {
    let count = u64::from(crowd.count);
    let deeds: Rc<Cell<Deeds>> = Rc::default();
    let tasks = crowd.begin(&deeds);
    let begun = async {
        while deeds.get().begun < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // An act that does not begin is one of them, too.
    let _ = timeout(BEGIN, begun).await;
    say(&deeds.get())?;
    until_end_of_input().await?;
    say(&deeds.get())?;
    drop(tasks);
    Ok(())
}

impl Crowd {
    fn begin(self, deeds: &Rc<Cell<Deeds>>) -> JoinSet<()> {
        let crowd = Rc::new(self);
        let mut tasks = JoinSet::new();
        for number in 0..crowd.count {
            let source = Ipv4Addr::from_bits(FIRST.to_bits() + number % crowd.addresses);
            let (crowd, deeds) = (Rc::clone(&crowd), Rc::clone(deeds));
            tasks.spawn_local(async move { crowd.again_and_again(source, &deeds).await });
        }
        tasks
    }

    /// Connects, does the act, and begins anew when it is over, but not before its time.
    async fn again_and_again(&self, source: Ipv4Addr, deeds: &Cell<Deeds>) {
        let server = self.server;
        let route = Route { server, source };
        loop {
            let earliest = Instant::now() + PERIOD;
            let opened = timeout(CONNECT, route.connect()).await;
            let is_open = matches!(opened, Ok(Ok(_)));
            if let Ok(Ok(stream)) = opened {
                count(deeds, |deeds| deeds.opened += 1);
                self.one(stream, earliest, deeds).await;
            }
            if !is_open || self.manner != Manner::Floods {
                sleep_until(earliest).await;
            }
        }
    }

    async fn one(&self, mut stream: TcpStream, earliest: Instant, deeds: &Cell<Deeds>) {
        let acting = self.act(&mut stream, deeds);
        match self.mode {
            Mode::Staying => acting.await,
            // What it has not done by then it does not do.
            Mode::Returning => timeout_at(earliest, acting).await.unwrap_or_default(),
        }
        // It may be gone already.
        let _ = close(stream, Close::Reset).await;
    }

    /// Does the act until the server ends the connection, or the peer does.
    async fn act(&self, stream: &mut TcpStream, deeds: &Cell<Deeds>) {
        let line = format!("{}\n", self.line);
        let ended = match self.manner {
            Manner::Reads | Manner::NeverReads => match begin(stream, &line, deeds).await {
                true if self.manner == Manner::NeverReads => never(stream).await,
                true => ends(stream).await,
                false => true,
            },
            Manner::Silent => ends(stream).await,
            Manner::Half => match stream.write_all(self.line.as_bytes()).await {
                Ok(()) => {
                    count(deeds, |deeds| deeds.begun += 1);
                    ends(stream).await
                }
                Err(_) => true,
            },
            Manner::Slow => slowly(stream, &line).await,
            Manner::Resets => !begin(stream, &line, deeds).await,
            Manner::Floods => stream.write_all(line.as_bytes()).await.is_err(),
        };
        count(deeds, |deeds| deeds.ended += u64::from(ended));
    }
}

/// Sends the line. Returns whether the act has begun.
async fn begin(stream: &mut TcpStream, line: &str, deeds: &Cell<Deeds>) -> bool {
    const BEGUN: &[u8] = b"ok\n";
    let mut answer = [0; BEGUN.len()];
    let asked = async {
        stream.write_all(line.as_bytes()).await?;
        stream.read_exact(&mut answer).await
    };
    let has_begun = asked.await.is_ok() && answer == BEGUN;
    count(deeds, |deeds| deeds.begun += u64::from(has_begun));
    has_begun
}

/// Reads until the server ends it, in whatever way.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut buffer = vec![0; 64 << 10];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    true
}

/// Reads nothing until the server resets it.
async fn never(stream: &mut TcpStream) -> bool {
    let failed = stream.ready(tokio::io::Interest::ERROR).await;
    failed.is_ok()
}

/// Sends a byte each second.
async fn slowly(stream: &mut TcpStream, line: &str) -> bool {
    for byte in line.bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            return true;
        }
        sleep(Duration::from_secs(1)).await;
    }
    ends(stream).await
}

fn count(deeds: &Cell<Deeds>, change: impl FnOnce(&mut Deeds)) {
    let mut all = deeds.get();
    change(&mut all);
    deeds.set(all);
}
