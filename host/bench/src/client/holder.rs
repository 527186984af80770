//! Clients that are processes of their own, since a process has a limit of descriptors. Each opens
//! connections and holds them.

use super::{Message, Route, SMALL};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The subcommand of this program that runs such a client. For the benchmark itself only.
pub const SUBCOMMAND: &str = "hold";

/// How long a connection may take to its first echo. Those that take longer count as not opened.
const DEADLINE: Duration = Duration::from_secs(20);

/// How many tasks open connections at a time.
const OPENERS: u32 = 16;

/// The process of a client. It ends at the end of its standard input, and so with the benchmark.
pub struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts a client that opens `count` connections.
    pub fn start(route: Route, count: u32) -> Result<Self> {
        let program = std::env::current_exe().context("this program")?;
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .args([route.server.to_string(), route.source.to_string()])
            .arg(count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a client")?;
        let output = child.stdout.take().context("no output of a client")?;
        Ok(Self {
            child,
            output: BufReader::new(output),
        })
    }

    /// Waits until the connections are open. Returns how many there are.
    pub fn count(&mut self) -> Result<u32> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let count = line.trim_end().parse();
        count.with_context(|| format!("a client says {line:?}"))
    }

    /// Returns how many connections are still open, and closes them.
    pub fn still_open(mut self) -> Result<u32> {
        drop(self.child.stdin.take());
        let open = self.count()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a client failed: {status}");
        Ok(open)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client. The arguments are the server's address, the client's, and the number of connections.
pub fn hold_as(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut next = |what| arguments.next().with_context(|| format!("no {what}"));
    let route = Route {
        server: next("server")?.parse()?,
        source: next("source")?.parse()?,
    };
    let count = next("count")?.parse()?;
    let runtime = crate::runtime()?;
    let streams = runtime.block_on(open(route, count));
    say(streams.len())?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    say(streams.iter().filter(|stream| is_open(stream)).count())
}

fn say(count: usize) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{count}")?;
    stdout.flush()?;
    Ok(())
}

/// Opens connections, as many as succeed. Errors are printed.
async fn open(route: Route, count: u32) -> Vec<TcpStream> {
    let openers = OPENERS.min(count);
    let share = move |opener| count / openers + u32::from(opener < count % openers);
    let openers = (0..openers).map(|opener| open_some(route, share(opener)));
    let mut openers: JoinSet<_> = openers.collect();
    let mut streams = Vec::new();
    while let Some(opened) = openers.join_next().await {
        match opened {
            Ok(opened) => streams.extend(opened),
            Err(error) => eprintln!("error: a client: {error}"),
        }
    }
    streams
}

/// Opens connections one after the other, until the first error.
async fn open_some(route: Route, count: u32) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    let mut message = Message::new(SMALL);
    for _ in 0..count {
        let opened = async {
            let mut stream = route.connect().await?;
            message.exchange(&mut stream).await?;
            anyhow::Ok(stream)
        };
        match tokio::time::timeout(DEADLINE, opened).await {
            Ok(Ok(stream)) => streams.push(stream),
            Ok(Err(error)) => {
                eprintln!("error: a connection after {}: {error:#}", streams.len());
                break;
            }
            Err(_) => {
                eprintln!("error: a connection after {}: no echo", streams.len());
                break;
            }
        }
    }
    streams
}

/// Returns whether neither side has closed the connection.
fn is_open(stream: &TcpStream) -> bool {
    let peeked = rustix::net::recv(stream, &mut [0_u8; 1], rustix::net::RecvFlags::PEEK);
    matches!(peeked, Err(rustix::io::Errno::WOULDBLOCK))
}
