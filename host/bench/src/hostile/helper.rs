//! A client in a process of its own. It ends at the end of its standard input, and so with the benchmark.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

pub struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts a subcommand of this program.
    pub fn start<S: AsRef<OsStr>>(
        subcommand: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("this program")?;
        let mut child = Command::new(program)
            .arg(subcommand)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a client")?;
        let output = child.stdout.take().context("no output of a client")?;
        let output = BufReader::new(output);
        Ok(Self { child, output })
    }

    /// Sends a line, in one write: the client reads it as one.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no input of a client")?;
        let line = format!("{line}\n");
        input
            .write_all(line.as_bytes())
            .context("a client has ended")
    }

    /// Waits for a report.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("a client says {line:?}"))
    }

    /// Lets it end, and waits for its last report.
    pub fn end<T: DeserializeOwned>(mut self) -> Result<T> {
        drop(self.child.stdin.take());
        let report = self.hear()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a client failed: {status}");
        Ok(report)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reports to the benchmark.
pub fn say(report: &impl Serialize) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, report)?;
    writeln!(stdout)?;
    stdout.flush()?;
    Ok(())
}

/// Waits until the benchmark wants no more, or is gone.
pub async fn until_end_of_input() -> Result<()> {
    let copy = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(copy).await??;
    Ok(())
}
