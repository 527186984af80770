//! The echo server of libevent's manual, compiled by the benchmark.

use super::run;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kit/libevent.c");

pub struct Program {
    path: PathBuf,
    pub version: String,
}

impl Program {
    /// Compiles it, or returns what is missing for that.
    pub fn compile(directory: &Path) -> Result<Result<Self, String>> {
        let mut look = Command::new("cc");
        look.args([
            "-E",
            "-include",
            "event2/listener.h",
            "-x",
            "c",
            "/dev/null",
        ]);
        match run(&mut look) {
            Ok(Ok(_)) => {}
            Ok(Err(no_compiler)) => return Ok(Err(no_compiler)),
            Err(_) => return Ok(Err("libevent-dev is not installed".to_owned())),
        }
        let path = directory.join("libevent");
        let mut compile = Command::new("cc");
        compile.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
        compile.arg(&path).args([SOURCE, "-levent"]);
        if let Err(no_compiler) = run(&mut compile)? {
            return Ok(Err(no_compiler));
        }
        let said = run(Command::new(&path).arg("--version"))?;
        Ok(said.map(|version| Self {
            path,
            version: version.trim().to_owned(),
        }))
    }

    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }
}
