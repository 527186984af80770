//! The servers that are measured.

use super::act::Front;
use super::options::Options;
use super::tls::{self, Certificate};
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
    certificate: Certificate,
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
        let granted = directory.join("granted");
        fs::create_dir_all(&granted).with_context(|| format!("{}", granted.display()))?;
        fs::write(directory.join("hostile.wasm"), evconn_artifacts::HOSTILE)?;
        let flags = options.flags.split_whitespace();
        Ok(Self {
            evconn,
            flags: flags.map(str::to_owned).collect(),
            certificate: Certificate::make(&directory)?,
            directory,
        })
    }

    /// Starts evconn with its defaults and these flags, and waits until it listens.
    pub fn start(&self, flags: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.evconn);
        command
            .arg("serve")
            .arg(self.directory.join("hostile.wasm"));
        command.args(["--listen", "127.0.0.1:0"]);
        command.args(&self.flags).args(flags);
        command.env("XDG_CACHE_HOME", self.directory.join("cache"));
        for variable in ["RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            command.env_remove(variable);
        }
        Process::start(command, Address::Said, self.log())
    }

    /// Starts it behind this.
    pub fn start_behind(&self, front: Front) -> Result<Process> {
        let Certificate { certificate, key } = &self.certificate;
        let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
        match front {
            Front::Nothing => self.start(&[]),
            Front::Tls => self.start(&["--tls-cert", &certificate, "--tls-key", &key]),
            Front::Proxy => self.start(&["--proxy-protocol", "--proxy-from", "127.0.0.0/8"]),
        }
    }

    /// Starts a native server with TLS.
    pub fn start_native(&self) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe().context("this program")?);
        let Certificate { certificate, key } = &self.certificate;
        command.arg(tls::NATIVE).arg(certificate).arg(key);
        Process::start(command, Address::Said, self.log())
    }

    /// The flags that grant files and sockets.
    pub fn grants(&self) -> [String; 3] {
        let directory = format!("{}::/granted", self.directory.join("granted").display());
        [
            "--dir".to_owned(),
            directory,
            "--inherit-network".to_owned(),
        ]
    }

    /// The file with the standard error of the last server.
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }
}
