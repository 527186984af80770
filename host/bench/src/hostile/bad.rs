//! Hostile connections, in a process of their own.

use super::helper::{Helper, say};
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

/// The addresses that they connect from.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ADDRESSES: u32 = 10;

/// How long one of them lasts that is replaced all the time. None is replaced sooner.
const PERIOD: Duration = Duration::from_millis(50);

/// How long one may take to connect.
const CONNECT: Duration = Duration::from_secs(1);

/// How long to wait until all have begun. Some acts never begin.
const BEGIN: Duration = Duration::from_secs(3);

/// How long a hostile connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    fn of(name: &str) -> Self {
        match name {
            "returning" => Self::Returning,
            _ => Self::Staying,
        }
    }
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

/// Starts so many connections, each of which begins with this line, and waits until they are at it.
pub fn start(server: SocketAddr, line: &str, count: u32, mode: Mode) -> Result<Helper> {
    let (server, count) = (server.to_string(), count.to_string());
    let arguments = [&*server, line, &count, mode.name()];
    let mut helper = Helper::start(SUBCOMMAND, arguments)?;
    helper.hear::<Deeds>()?;
    Ok(helper)
}

/// Runs the connections. The arguments are the server's address, the line, the number, and the mode.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut next = |what| arguments.next().with_context(|| format!("no {what}"));
    let server: SocketAddr = next("server")?.parse()?;
    let line: Rc<str> = (next("line")? + "\n").into();
    let count = next("count")?.parse()?;
    let mode = Mode::of(&next("mode")?);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    LocalSet::new().block_on(&runtime, until_told(server, line, count, mode))
}

async fn until_told(server: SocketAddr, line: Rc<str>, count: u32, mode: Mode) -> Result<()> {
    let deeds: Rc<Cell<Deeds>> = Rc::default();
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let source = Ipv4Addr::from_bits(FIRST.to_bits() + number % ADDRESSES);
        let route = Route { server, source };
        let (line, deeds) = (Rc::clone(&line), Rc::clone(&deeds));
        tasks.spawn_local(again_and_again(route, line, mode, deeds));
    }
    let all = || deeds.get().begun >= u64::from(count);
    let begun = async {
        while !all() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // An act that does not begin is one of them, too.
    let _ = timeout(BEGIN, begun).await;
    say(&deeds.get())?;
    let input =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    input.await??;
    say(&deeds.get())
}

/// Connects, does the act, and begins anew when it is over, but not before its time.
async fn again_and_again(route: Route, line: Rc<str>, mode: Mode, deeds: Rc<Cell<Deeds>>) {
    loop {
        let earliest = Instant::now() + PERIOD;
        if let Ok(Ok(mut stream)) = timeout(CONNECT, route.connect()).await {
            count(&deeds, |deeds| deeds.opened += 1);
            let acting = act(&mut stream, &line, &deeds);
            match mode {
                Mode::Staying => acting.await,
                // What it has not done by then it does not do.
                Mode::Returning => timeout_at(earliest, acting).await.unwrap_or_default(),
            }
            // It may be gone already.
            let _ = close(stream, Close::Reset).await;
        }
        sleep_until(earliest).await;
    }
}

/// Does the act until the server ends the connection.
async fn act(stream: &mut TcpStream, line: &str, deeds: &Cell<Deeds>) {
    const BEGUN: &[u8] = b"ok\n";
    if stream.write_all(line.as_bytes()).await.is_ok() {
        let mut answer = [0; BEGUN.len()];
        if stream.read_exact(&mut answer).await.is_ok() && answer == BEGUN {
            count(deeds, |deeds| deeds.begun += 1);
            // However it ends.
            let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
        }
    }
    count(deeds, |deeds| deeds.ended += 1);
}

fn count(deeds: &Cell<Deeds>, change: impl FnOnce(&mut Deeds)) {
    let mut all = deeds.get();
    change(&mut all);
    deeds.set(all);
}
