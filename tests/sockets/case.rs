//! One case on one implementation: the program runs, and talks with the test in lines.

use super::differences;
use super::linked::{Compiled, Grant, Implementation, Setup};
use crate::support::{connect, has_ipv6, within};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use wasmtime_wasi::cli::{AsyncStdinStream, AsyncStdoutStream};

/// Runs it, if this machine has that family of addresses.
pub fn run<F: Future<Output = ()>>(
    implementation: Implementation,
    name: &'static str,
    ip: IpAddr,
    body: impl FnOnce(Case) -> F,
) {
    if ip.is_ipv4() || has_ipv6() {
        run_anyway(implementation, name, ip, body);
    }
}

/// Runs a case of WASI 0.3.
pub fn run_async<F: Future<Output = ()>>(
    implementation: Implementation,
    name: &'static str,
    ip: IpAddr,
    body: impl FnOnce(Case) -> F,
) {
    if ip.is_ipv4() || has_ipv6() {
        run_async_anyway(implementation, name, ip, body);
    }
}

/// Runs a case of WASI 0.3, although the loopback address may not be there.
pub fn run_async_anyway<F: Future<Output = ()>>(
    implementation: Implementation,
    name: &'static str,
    ip: IpAddr,
    body: impl FnOnce(Case) -> F,
) {
    run_compiled(Compiled::shared_async(), implementation, name, ip, body);
}

/// Runs it, although the loopback address may not be there.
pub fn run_anyway<F: Future<Output = ()>>(
    implementation: Implementation,
    name: &'static str,
    ip: IpAddr,
    body: impl FnOnce(Case) -> F,
) {
    run_compiled(Compiled::shared(), implementation, name, ip, body);
}

/// Runs a case of another program.
pub fn run_compiled<F: Future<Output = ()>>(
    compiled: Arc<Compiled>,
    implementation: Implementation,
    name: &'static str,
    ip: IpAddr,
    body: impl FnOnce(Case) -> F,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(body(Case {
        implementation,
        name,
        ip,
        grant: Grant::Everything,
        setup: Setup::default(),
        program: None,
        compiled,
    }));
}

/// Which function of the program is to run, and where.
#[derive(Clone)]
pub struct Case {
    pub implementation: Implementation,
    pub name: &'static str,
    /// A loopback address.
    pub ip: IpAddr,
    pub grant: Grant,
    pub setup: Setup,
    /// What the program is told of its name, before the case's.
    pub program: Option<&'static str>,
    compiled: Arc<Compiled>,
}

impl Case {
    /// Whether the program is one of WASI 0.3.
    pub fn is_async(&self) -> bool {
        self.compiled.is_async()
    }

    /// With an engine of its own, so that it can be interrupted.
    pub fn interruptible(self) -> (Self, Arc<Compiled>) {
        let compiled = Arc::new(Compiled::new());
        let case = Self {
            compiled: Arc::clone(&compiled),
            ..self
        };
        (case, compiled)
    }

    pub fn granted(self, grant: Grant) -> Self {
        Self { grant, ..self }
    }

    /// Checks that the program prints exactly these lines.
    pub async fn says(self, lines: &[&str]) {
        self.start(&[]).ends(lines).await;
    }

    /// The program needs nobody else, and gets as far as to be ready to trap for that reason.
    pub async fn traps(self, why: &str) {
        let mut program = self.start(&[]);
        program.hear("ready").await;
        let (lines, trap) = program.end().await;
        assert_eq!(lines, [""; 0]);
        let trap = trap.expect_err("a trap");
        assert!(format!("{trap:?}").contains(why), "{trap:?}");
    }

    /// What a test has seen that does not let the program end.
    pub fn sees(&self, what: &str, seen: &str, documented: &str) {
        let mut met = BTreeSet::new();
        assert_eq!(seen, self.expected(&mut met, what, documented), "{what}");
        differences::assert_all_met(self, &met);
    }

    /// What the documents say, or what this implementation is known to do instead.
    fn expected<'a>(
        &self,
        met: &mut BTreeSet<&'static str>,
        what: &str,
        documented: &'a str,
    ) -> &'a str {
        match differences::of(self, what) {
            Some((what, instead)) => {
                assert_ne!(instead, documented, "{what}: that is no difference");
                met.insert(what);
                instead
            }
            None => documented,
        }
    }

    /// Starts the program, and tells it of some addresses.
    pub fn start(&self, addresses: &[SocketAddr]) -> Program {
        const BUFFER: usize = 1 << 16;
        let mut arguments: Vec<_> = self.program.into_iter().map(str::to_owned).collect();
        arguments.extend([self.name.to_owned(), self.ip.to_string()]);
        arguments.extend(addresses.iter().map(SocketAddr::to_string));
        let (to_program, stdin) = tokio::io::duplex(BUFFER);
        let (stdout, from_program) = tokio::io::duplex(BUFFER);
        let stdin = AsyncStdinStream::new(stdin);
        let stdout = AsyncStdoutStream::new(BUFFER, stdout);
        let compiled = Arc::clone(&self.compiled);
        let (implementation, grant) = (self.implementation, self.grant);
        let setup = self.setup.clone();
        let run = async move {
            compiled
                .run(implementation, arguments, grant, setup, (stdin, stdout))
                .await
        };
        Program {
            case: self.clone(),
            lines: BufReader::new(from_program).lines(),
            stdin: to_program,
            task: tokio::spawn(run),
            used: BTreeSet::new(),
        }
    }
}

/// The program, running.
pub struct Program {
    case: Case,
    lines: Lines<BufReader<DuplexStream>>,
    stdin: DuplexStream,
    task: JoinHandle<wasmtime::Result<()>>,
    /// Which differences were met.
    used: BTreeSet<&'static str>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Program {
    /// Waits for the next line, which has to be about `what`, and returns the rest of it.
    pub async fn hear(&mut self, what: &str) -> String {
        let line = within(what, self.lines.next_line()).await.expect("a pipe");
        let line = match line {
            Some(line) => line,
            None => panic!("it ended before {what:?}: {:?}", (&mut self.task).await),
        };
        match line.split_once(": ") {
            Some((said, outcome)) if said == what => outcome.to_owned(),
            _ => panic!("it was to say {what:?}, and said {line:?}"),
        }
    }

    /// Lets the program continue.
    pub async fn tell(&mut self) {
        self.stdin.write_all(b"\n").await.expect("a pipe");
    }

    /// Waits until it reports its address, and returns it.
    pub async fn address(&mut self) -> SocketAddr {
        self.hear("listening").await.parse().expect("an address")
    }

    /// Returns a peer that is connected to it.
    pub async fn connect(&mut self) -> TcpStream {
        let address = self.address().await;
        connect(address).await
    }

    /// Connects a peer with a small receive buffer, so that not everything that the program sends fits.
    pub async fn connect_narrowly(&mut self) -> TcpStream {
        let address = self.address().await;
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.expect("a socket");
        socket.set_recv_buffer_size(4096).expect("set");
        let connecting = socket.connect(address);
        within("connected", connecting).await.expect("connected")
    }

    /// What the test has seen for itself.
    pub fn sees(&mut self, what: &str, seen: &str, documented: &str) {
        assert_eq!(
            seen,
            self.case.expected(&mut self.used, what, documented),
            "{what}"
        );
    }

    /// The rest of its lines. It ends without a trap.
    pub async fn ends(mut self, documented: &[&str]) {
        let mut expected = vec![];
        for line in documented {
            let (what, outcome) = line.split_once(": ").expect("what: outcome");
            expected.push(format!(
                "{what}: {}",
                self.case.expected(&mut self.used, what, outcome)
            ));
        }
        let case = self.case.clone();
        let used = std::mem::take(&mut self.used);
        let (lines, trap) = self.end().await;
        if let Err(trap) = trap {
            panic!("after {lines:#?}: {trap:?}");
        }
        assert_eq!(lines, expected);
        differences::assert_all_met(&case, &used);
    }

    /// The rest of its lines, and whether it trapped.
    pub async fn end(mut self) -> (Vec<String>, wasmtime::Result<()>) {
        let rest = async {
            let mut lines = vec![];
            while let Some(line) = self.lines.next_line().await.expect("a pipe") {
                lines.push(line);
            }
            let ended = (&mut self.task).await.expect("no panic");
            (lines, ended)
        };
        within("the program ends", rest).await
    }
}
