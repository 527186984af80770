//! The command `wasmtime`, with the listener composed into the manual's echo server.

use super::{ECHO_COMMAND, run};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMPOSED: &str = "composed.wasm";

pub struct Program {
    composed: PathBuf,
    pub version: String,
}

impl Program {
    /// Finds the command on the path, and composes the component that it is to run.
    pub fn find(evconn: &Path, directory: &Path) -> Result<Result<Self, String>> {
        let version = match run(Command::new("wasmtime").arg("--version"))? {
            Ok(version) => version.trim().to_owned(),
            Err(missing) => return Ok(Err(missing)),
        };
        let composed = directory.join(COMPOSED);
        let mut compose = Command::new(evconn);
        compose.arg("compose").arg(directory.join(ECHO_COMMAND));
        compose.arg("-o").arg(&composed);
        let made = run(&mut compose)?;
        Ok(made.map(|_| Self { composed, version }))
    }

    /// The component takes its port as an argument.
    pub fn command(&self, port: u16) -> Command {
        let mut command = Command::new("wasmtime");
        command.args(["run", "-C", "cache=y", "-S", "inherit-network", "-S", "tcp"]);
        command.arg(&self.composed).arg(port.to_string());
        command
    }
}
