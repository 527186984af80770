//! A page about a service in another language, whose commands are run as they are.
//!
//! Its blocks of commands are, in this order: how to install the tool, how to build the service, how to
//! serve it, and how to talk to it. The tool is not installed by the test.

use crate::support::process::{CACHE_HOME, EVCONN, Evconn, tests_cache};
use crate::support::scratch::Scratch;
use crate::support::{skip, tool, within};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Where the pages serve.
const ADDRESS: &str = "127.0.0.1:9876";

/// Where the commands are run, and where they put what they do not keep. jco cannot build in a
/// directory that has the latter in it.
pub const HERE: &str = "here";
pub const TEMPORARY: &str = "temporary";

/// A page, and what it is about.
pub struct Page {
    pub text: &'static str,
    /// The file with the service, by its name.
    pub source: (&'static str, &'static str),
    /// The command that makes a component of it.
    pub tool: &'static str,
}

impl Page {
    /// Builds the service and serves it. None where the tool is not installed, which is said.
    pub fn serve(&self) -> Option<Serving> {
        self.serve_with("")
    }

    /// The same with more flags.
    pub fn serve_with(&self, flags: &str) -> Option<Serving> {
        let [install, build, serve, talk] = self.blocks();
        if !self.has_tool(install) {
            return None;
        }
        let scratch = Scratch::new();
        for directory in [HERE, TEMPORARY] {
            std::fs::create_dir(scratch.join(directory)).expect("a directory");
        }
        let (name, source) = self.source;
        std::fs::write(scratch.join(HERE).join(name), source).expect("the source is written");
        let output = shell(&commands(build), &scratch).output();
        let output = output.expect("the shell runs");
        assert!(output.status.success(), "{output:?}");
        let serve = commands(serve).replace(ADDRESS, "127.0.0.1:0");
        let mut command = shell(&format!("exec {serve} {flags}"), &scratch);
        let evconn = Evconn::start_by(command.stdin(Stdio::null()));
        Some(Serving {
            address: evconn.address_of_a_large_one(),
            evconn,
            talk,
            scratch,
        })
    }

    fn blocks(&self) -> [&'static str; 4] {
        let blocks = self.text.split("```console\n").skip(1);
        let blocks = blocks.map(|rest| rest.split_once("```").expect("an end of the block").0);
        let blocks: Vec<_> = blocks.collect();
        blocks.try_into().expect("four blocks")
    }

    /// In the version that the page has.
    fn has_tool(&self, install: &str) -> bool {
        let mut command = Command::new(self.tool);
        let Some(output) = tool::run(command.arg("--version"), b"") else {
            return false;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let here = said.split_whitespace().last().expect("a version");
        let wanted = install.trim().rsplit(['=', '@']).next().expect("a version");
        if wanted != here {
            let tool = self.tool;
            skip(&format!("{tool} is of version {here}, and not {wanted}"));
        }
        wanted == here
    }
}

/// The commands of a block, without what they answer.
fn commands(block: &str) -> String {
    let lines = block.lines().filter_map(|line| line.strip_prefix("$ "));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the commands of a block answer.
fn answers(block: &str) -> String {
    let lines = block.lines().filter(|line| !line.starts_with("$ "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Commands for a shell that finds `evconn`.
pub fn shell(commands: &str, scratch: &Scratch) -> Command {
    let evconn = Path::new(EVCONN).parent().expect("its directory");
    let mut path = evconn.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-e", "-c", commands])
        .current_dir(scratch.join(HERE))
        .env("PATH", path)
        .env("TMPDIR", scratch.join(TEMPORARY))
        .env(CACHE_HOME, tests_cache())
        .env_remove("RUST_LOG");
    command
}

/// A service that is served.
pub struct Serving {
    pub address: SocketAddr,
    evconn: Evconn,
    talk: &'static str,
    scratch: Scratch,
}

impl Serving {
    /// It answers to the client on the page what the page says.
    pub async fn answers_as_on_the_page(&self) {
        let (host, port) = ADDRESS.split_once(':').expect("an address");
        let own = format!("{host} {}", self.address.port());
        let talk = commands(self.talk).replace(&format!("{host} {port}"), &own);
        let mut command = shell(&talk, &self.scratch);
        let has_client = tool::run(Command::new("nc").arg("-h"), b"").is_some();
        if has_client {
            let running = tokio::task::spawn_blocking(move || command.output());
            let output = within("the client ends", running).await;
            let output = output.expect("no panic").expect("the shell runs");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            let said = String::from_utf8(output.stdout).expect("text");
            assert_eq!(said, answers(self.talk));
        }
    }

    /// Lets it end: no connection has failed, and it has logged nothing but that and its end.
    pub fn stop(self) {
        self.evconn.signal(Signal::TERM);
        let log = self.evconn.wait().stderr;
        let none = "of which 0 were refused, 0 failed, 0 lost their peer, 0 timed out and 0 were ended by the shutdown";
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains("ending: ") && log.contains(none), "{log}");
    }

    /// Lets it end. What it has logged.
    pub fn log(self) -> String {
        self.evconn.signal(Signal::TERM);
        self.evconn.wait().stderr
    }
}

pub async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    within("sending", stream.write_all(bytes))
        .await
        .expect("sent");
}
