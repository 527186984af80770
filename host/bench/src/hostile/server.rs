//! The server that is measured.

use super::options::Options;
use crate::kit;
use crate::process::{Address, Process};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The command, and where its files are.
pub struct Site {
    evconn: PathBuf,
    flags: Vec<String>,
    directory: PathBuf,
}

impl Site {
    /// Uses the given command, or builds it.
    pub fn prepare(options: &Options) -> Result<Self> {
        let program = std::env::current_exe().context("this program")?;
        let mut above = program.ancestors().skip(1);
        let target = above.find(|it| it.ends_with("target"));
        let target = target.context("this program is in no target directory")?;
        let evconn = match &options.evconn {
            Some(evconn) => evconn.clone(),
            None => kit::build_evconn(target, "release").context("the command evconn")?,
        };
        let directory = target.join("tmp/hostile");
        fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
        fs::write(directory.join("hostile.wasm"), evconn_artifacts::HOSTILE)?;
        Ok(Self {
            evconn,
            flags: options
                .flags
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            directory,
        })
    }

    /// Starts a server with its defaults, and waits until it listens.
    pub fn start(&self) -> Result<Process> {
        let mut command = Command::new(&self.evconn);
        command
            .arg("serve")
            .arg(self.directory.join("hostile.wasm"));
        command.args(["--listen", "127.0.0.1:0"]).args(&self.flags);
        command.env("XDG_CACHE_HOME", self.directory.join("cache"));
        for variable in ["RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            command.env_remove(variable);
        }
        Process::start(command, Address::Said, self.directory.join("server.log"))
    }
}
