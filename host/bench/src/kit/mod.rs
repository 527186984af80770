//! What the servers need: components, programs and directories.

mod language;
pub mod libevent;
mod program;
pub mod wasmtime;

pub use language::{Language, Service};

use anyhow::{Context, Result, ensure};
use evconn::guests;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The file names of the components.
pub const ECHO: &str = "echo.wasm";
pub const ECHO_COPY: &str = "echo-copy.wasm";
pub const ASYNC_ECHO: &str = "async-echo.wasm";
pub const ASYNC_HAND_BACK: &str = "async-hand-back.wasm";
pub const ECHO_COMMAND: &str = "echo-command.wasm";

/// The files of a run. They are in the target directory and replaced by each run.
pub struct Kit {
    /// The command that is measured.
    pub evconn: PathBuf,
    directory: PathBuf,
    /// A tool, or why it is missing.
    pub libevent: Result<libevent::Program, String>,
    pub wasmtime: Result<wasmtime::Program, String>,
    /// The component of a program that listens by itself, or why it could not be built.
    pub program: Result<PathBuf, String>,
    services: Vec<(Language, Result<Service, String>)>,
    logs: AtomicU32,
}

impl Kit {
    /// Uses this command, or builds it. Services are built in these languages only.
    pub fn prepare(evconn: Option<&Path>, languages: &[Language]) -> Result<Self> {
        let target = target_directory()?;
        let evconn = match evconn {
            Some(evconn) => evconn.to_owned(),
            None => build_evconn(&target, "bench").context("the command evconn")?,
        };
        let directory = target.join("tmp/compare");
        let prepare = || -> Result<()> {
            remove(&directory)?;
            fs::create_dir_all(&directory)?;
            fs::write(directory.join(ECHO), guests::ECHO)?;
            let copy = evconn_artifacts::ECHO_COPY;
            fs::write(directory.join(ECHO_COPY), copy)?;
            let asynchronous = evconn_artifacts::ASYNC_ECHO;
            fs::write(directory.join(ASYNC_ECHO), asynchronous)?;
            let handed_back = evconn_artifacts::ASYNC_HAND_BACK;
            fs::write(directory.join(ASYNC_HAND_BACK), handed_back)?;
            let command = evconn_artifacts::ECHO_COMMAND;
            fs::write(directory.join(ECHO_COMMAND), command)?;
            Ok(())
        };
        prepare().with_context(|| format!("{}", directory.display()))?;
        let service = |&language: &Language| {
            let service = language.build(&evconn, &directory)?;
            Ok((language, service))
        };
        let services = languages.iter().map(service).collect::<Result<_>>()?;
        Ok(Self {
            services,
            libevent: libevent::Program::compile(&directory)?,
            wasmtime: wasmtime::Program::find(&evconn, &directory)?,
            program: program::build(&target)?,
            evconn,
            directory,
            logs: AtomicU32::new(0),
        })
    }

    /// Returns the service in a language, or why it could not be built.
    pub fn service(&self, language: Language) -> Result<&Service, &str> {
        let mut services = self.services.iter();
        match services.find(|(built, _)| *built == language) {
            Some((_, service)) => service.as_ref().map_err(String::as_str),
            None => Err("it was not built"),
        }
    }

    /// Returns the tools that have built services, with their versions.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        let services = self.services.iter();
        services.filter_map(|(_, service)| Some(&*service.as_ref().ok()?.tool))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the log file of the next server.
    pub fn log(&self) -> PathBuf {
        // A few logs are enough for debugging.
        const KEPT: u32 = 64;
        let number = self.logs.fetch_add(1, Ordering::Relaxed) % KEPT;
        self.path(&format!("server-{number}.log"))
    }

    /// Sets the cache directory of a program that caches compiled code: one of the benchmark's own, which
    /// is emptied first unless code is to be found in it.
    pub fn with_cache(&self, command: &mut Command, cached: bool) -> Result<()> {
        let cache = self.path(if cached { "cache" } else { "no-cache" });
        if !cached {
            remove(&cache)?;
        }
        fs::create_dir_all(&cache)?;
        command.env("XDG_CACHE_HOME", cache);
        Ok(())
    }
}

/// Returns cargo's target directory, in which this program is: `target/release/deps/compare-…`.
fn target_directory() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program")?;
    let target = program.ancestors().nth(3);
    target.map(Path::to_owned).context("no target directory")
}

/// Builds the command with a profile: that of `cargo bench`, or `release`. It belongs to another package,
/// whose programs cargo does not build for this one.
pub fn build_evconn(target: &Path, profile: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--profile", profile, "--package", "evconn-cli"]);
    build.arg("--target-dir").arg(target);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    ensure!(build.status()?.success(), "{build:?} failed");
    Ok(target.join("release/evconn"))
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Returns a free port, for a server that does not report its own.
pub fn free_port() -> Result<SocketAddr> {
    // Below the ports that the kernel assigns to clients.
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (number % u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok((Ipv4Addr::LOCALHOST, port).into());
        }
    }
    anyhow::bail!("no port from {FIRST} on is free")
}

/// Runs a tool, which has to succeed. Returns its standard output, or why there is no such tool.
pub fn run(command: &mut Command) -> Result<Result<String, String>> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let program = command.get_program().to_string_lossy();
            return Ok(Err(format!("{program} is not installed")));
        }
        Err(error) => return Err(error).with_context(|| format!("{command:?}")),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()))
}
