//! A program with its listener component inside, running, and how a test talks with it: in lines.

use super::super::composed::{compose, linker, plugged};
use super::super::linked::Ctx;
use crate::support::{connect, within};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::cli::{AsyncStdinStream, AsyncStdoutStream};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

/// Which program.
#[derive(Clone, Copy)]
pub enum Name {
    Cases,
    Chat,
    EchoCommand,
    /// The same, with the filter between it and the listener.
    FilteredEcho,
    Forward,
    HelloWorld,
}

impl Name {
    const COUNT: usize = 6;

    fn component(self) -> Vec<u8> {
        match self {
            Self::Cases => compose(evconn_artifacts::SDK),
            Self::Chat => compose(evconn_artifacts::CHAT),
            Self::EchoCommand => compose(ECHO_COMMAND),
            Self::FilteredEcho => {
                let filter = evconn_artifacts::FILTER;
                plugged(ECHO_COMMAND, &compose(filter))
            }
            Self::Forward => compose(evconn_artifacts::FORWARD),
            Self::HelloWorld => compose(evconn_artifacts::HELLO_WORLD),
        }
    }

    /// Composed, compiled and linked once for all tests.
    fn compiled(self) -> &'static CommandPre<Ctx> {
        static COMPILED: [OnceLock<CommandPre<Ctx>>; Name::COUNT] =
            [const { OnceLock::new() }; Name::COUNT];
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        COMPILED[self as usize].get_or_init(|| {
            let engine = ENGINE.get_or_init(|| {
                let mut config = Config::new();
                config.concurrency_support(false);
                Engine::new(&config).expect("an engine")
            });
            let component = Component::new(engine, self.component()).expect("a component");
            let linker = linker(engine).expect("WASI");
            let instance = linker.instantiate_pre(&component).expect("all it imports");
            CommandPre::new(instance).expect("a command")
        })
    }
}

const ECHO_COMMAND: &[u8] = evconn_artifacts::ECHO_COMMAND;

/// A case of `tests/sdk-guest`.
pub fn case(name: &str, ip: IpAddr) -> Program {
    Program::new(Name::Cases, &[name, &ip.to_string()])
}

/// One that is to be started.
pub struct Program {
    name: Name,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    accept_fails: Option<ErrorCode>,
}

/// How it ended.
pub struct Ended {
    /// What it said that no test has heard.
    pub lines: Vec<String>,
    pub errors: String,
    pub outcome: wasmtime::Result<Result<(), ()>>,
}

impl Program {
    pub fn new(name: Name, arguments: &[&str]) -> Self {
        let arguments = ["program"].iter().chain(arguments);
        Self {
            name,
            arguments: arguments.map(|argument| (*argument).to_owned()).collect(),
            environment: vec![],
            accept_fails: None,
        }
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes every accept fail with this code.
    pub fn accept_fails(mut self, code: ErrorCode) -> Self {
        self.accept_fails = Some(code);
        self
    }

    pub fn start(self) -> Running {
        const BUFFER: usize = 1 << 16;
        let (to_program, stdin) = tokio::io::duplex(BUFFER);
        let (stdout, from_program) = tokio::io::duplex(BUFFER);
        let errors = MemoryOutputPipe::new(1 << 20);
        let mut wasi = WasiCtx::builder();
        wasi.args(&self.arguments)
            .envs(&self.environment)
            .stdin(AsyncStdinStream::new(stdin))
            .stdout(AsyncStdoutStream::new(BUFFER, stdout))
            .stderr(errors.clone())
            .allow_tcp(true);
        let mut ctx = Ctx::new(wasi, |_| true);
        ctx.accept_fails = self.accept_fails;
        let run = async move {
            let program = self.name.compiled();
            let mut store = Store::new(program.engine(), ctx);
            let command = program.instantiate_async(&mut store).await?;
            command.wasi_cli_run().call_run(&mut store).await
        };
        Running {
            lines: BufReader::new(from_program).lines(),
            stdin: to_program,
            errors,
            task: tokio::spawn(run),
        }
    }

    /// Checks that the program prints exactly these lines.
    pub async fn says(self, lines: &[&str]) {
        self.start().ends(lines).await;
    }
}

pub struct Running {
    lines: Lines<BufReader<DuplexStream>>,
    stdin: DuplexStream,
    errors: MemoryOutputPipe,
    task: JoinHandle<wasmtime::Result<Result<(), ()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Its next line.
    pub async fn line(&mut self) -> String {
        let line = within("a line", self.lines.next_line()).await;
        match line.expect("a pipe") {
            Some(line) => line,
            None => panic!(
                "it has ended: {:?}, {}",
                (&mut self.task).await,
                String::from_utf8_lossy(&self.errors.contents())
            ),
        }
    }

    /// Waits for the next line, which has to be about `what`, and returns the rest of it.
    pub async fn hear(&mut self, what: &str) -> String {
        let line = self.line().await;
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

    /// The rest of its lines. It ends well.
    pub async fn ends(self, lines: &[&str]) {
        let ended = self.end().await;
        let outcome = match ended.outcome {
            Ok(outcome) => outcome,
            Err(trap) => panic!("after {:#?}: {trap:?}\n{}", ended.lines, ended.errors),
        };
        assert_eq!(ended.lines, lines, "{}", ended.errors);
        assert_eq!(outcome, Ok(()), "{}", ended.errors);
        assert_eq!(ended.errors, "");
    }

    pub async fn end(mut self) -> Ended {
        let rest = async {
            let mut lines = vec![];
            while let Some(line) = self.lines.next_line().await.expect("a pipe") {
                lines.push(line);
            }
            let outcome = (&mut self.task).await.expect("no panic");
            let errors = String::from_utf8_lossy(&self.errors.contents()).into_owned();
            Ended {
                lines,
                errors,
                outcome,
            }
        };
        within("the program ends", rest).await
    }

    /// What it has written to standard error.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors.contents()).into_owned()
    }
}

/// Connects a peer with a small receive buffer, so that not everything that is sent to it fits.
pub async fn connect_narrowly(address: SocketAddr) -> TcpStream {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let connecting = socket.connect(address);
    within("connected", connecting).await.expect("connected")
}
