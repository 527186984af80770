//! The versions and the machine on which the figures depend.

use super::kit::{self, Kit};
use serde::Serialize;
use std::fs;
use std::process::Command;

#[derive(Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    pub evconn: String,
    /// The commit of evconn's source, if it is in git.
    pub commit: Option<String>,
    pub rustc: Option<String>,
    /// The library on which evconn is built.
    pub wasmtime: &'static str,
    pub tokio: &'static str,
    pub libevent: Option<String>,
    pub wasmtime_command: Option<String>,
    /// The tools that have built the services in other languages.
    pub tools: Vec<String>,
}

impl Machine {
    pub fn this(kit: &Kit) -> Self {
        Self {
            processor: processor(),
            cores: super::workers(),
            memory_gib: memory_gib(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            evconn: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit(),
            rustc: said("rustc", &["--version"]),
            wasmtime: locked("wasmtime"),
            tokio: locked("tokio"),
            libevent: kit.libevent.as_ref().ok().map(|it| it.version.clone()),
            wasmtime_command: kit.wasmtime.as_ref().ok().map(|it| it.version.clone()),
            tools: kit.tools().map(str::to_owned).collect(),
        }
    }

    /// Describes the machine and the versions in two lines.
    pub fn lines(&self) -> [String; 2] {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            format!(
                "{} cores of {}, {:.0} GiB, Linux {}; servers and client share them",
                self.cores, self.processor, self.memory_gib, self.kernel
            ),
            format!(
                "evconn {} ({}), wasmtime {}, tokio {}, {}, libevent {}, wasmtime command {}{}",
                self.evconn,
                or_none(&self.commit),
                self.wasmtime,
                self.tokio,
                or_none(&self.rustc),
                or_none(&self.libevent),
                or_none(&self.wasmtime_command),
                self.tools
                    .iter()
                    .map(|tool| format!(", {tool}"))
                    .collect::<String>(),
            ),
        ]
    }
}

/// Returns the content of a file, or nothing: the report leaves out what is unknown.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": "));
    name.map_or("an unknown processor", |(_, name)| name)
        .to_owned()
}

fn memory_gib() -> f64 {
    let text = read("/proc/meminfo");
    let number = text.split_whitespace().nth(1);
    let kib: Option<f64> = number.and_then(|number| number.parse().ok());
    kib.unwrap_or(0.0) / f64::from(1 << 20)
}

fn commit() -> Option<String> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    said(
        "git",
        &[
            "-C",
            workspace,
            "describe",
            "--always",
            "--dirty",
            "--exclude=*",
        ],
    )
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let said = kit::run(Command::new(program).args(arguments)).ok()?.ok()?;
    Some(said.trim().to_owned())
}

/// Returns the version of a dependency from the lock file.
fn locked(package: &str) -> &'static str {
    include_str!("../../../Cargo.lock")
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("?")
}
