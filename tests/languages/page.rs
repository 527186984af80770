//! A page about a service in another language: its commands, which are run as they stand there.
//!
//! Its blocks of commands are, in this order: how to install the tool, how to build the service, how to
//! serve it, and how to talk with it. Where it ends: the tool is not installed here.

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

/// A page, and what it is about.
pub struct Page {
    pub text: &'static str,
    /// The file with the service, by its name.
    pub source: (&'static str, &'static str),
    /// The command that makes a component of it.
    pub tool: &'static str,
}

impl Page {
    /// Build the service and serve it. None where the tool is not installed, which is said.
    pub fn serve(&self) -> Option<Serving> {
        let [install, build, serve, talk] = self.blocks();
        if !self.has_tool(install) {
            return None;
        }
        let scratch = Scratch::new();
        let (name, source) = self.source;
        std::fs::write(scratch.join(name), source).expect("the source is written");
        let output = shell(&commands(build), &scratch).output();
        let output = output.expect("the shell runs");
        assert!(output.status.success(), "{output:?}");
        let serve = commands(serve).replace(ADDRESS, "127.0.0.1:0");
        let mut command = shell(&format!("exec {serve}"), &scratch);
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
        let wanted = install.trim().rsplit(['=', '@']).next();
        if wanted != Some(here) {
            let tool = self.tool;
            skip(&format!("{tool} is {here} here, and not {wanted:?}"));
        }
        wanted == Some(here)
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

/// Commands for a shell that finds `evconn`, in that directory.
fn shell(commands: &str, directory: &Scratch) -> Command {
    let evconn = Path::new(EVCONN).parent().expect("its directory");
    let mut path = evconn.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-e", "-c", commands])
        .current_dir(directory.join(""))
        .env("PATH", path)
        .env("TMPDIR", directory.join(""))
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

    /// Let it end, with every connection finished. Returns its log.
    pub fn stop(self) -> String {
        self.evconn.signal(Signal::TERM);
        let ended = self.evconn.wait();
        assert!(ended.status.success(), "{}", ended.stderr);
        ended.stderr
    }
}

pub async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    within("sending", stream.write_all(bytes))
        .await
        .expect("sent");
}
