//! The command `evconn` and other programs, as processes that end with their test.

use super::DEADLINE;
use super::text::Text;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The path of the command.
pub const EVCONN: &str = env!("CARGO_BIN_EXE_evconn");

/// Names the directory in which caches of programs are.
pub const CACHE_HOME: &str = "XDG_CACHE_HOME";

/// Where processes that are tested keep their compiled code, rather than in the user's home.
pub fn tests_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// A running `evconn`.
pub struct Evconn {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: Text,
}

/// How a process ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Evconn {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(EVCONN);
        command.args(arguments).stdin(Stdio::null());
        Self::start_by(&mut command)
    }

    /// Runs a command that becomes `evconn`: it has to `exec` it. Unless the command says otherwise, the
    /// cache of compiled code is the tests' own.
    pub fn start_by(command: &mut Command) -> Self {
        if command.get_envs().all(|(name, _)| name != CACHE_HOME) {
            command.env(CACHE_HOME, tests_cache());
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("evconn starts");
        let lines = read_lines(child.stdout.take().expect("stdout"));
        let errors = Text::read(child.stderr.take().expect("stderr"));
        Self {
            child,
            lines,
            errors,
        }
    }

    /// Runs it to its end.
    pub fn run(arguments: &[&str]) -> Ended {
        Self::start(arguments).wait()
    }

    /// The address in the first line.
    pub fn address(&self) -> SocketAddr {
        self.listening_on().parse().expect("an address")
    }

    /// The same, or nothing if it ends before it listens.
    pub fn address_unless_it_ends(&self) -> Option<SocketAddr> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Some(address_in(&line).parse().expect("an address")),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it neither listens nor ends"),
        }
    }

    /// The same of a component that takes long to compile.
    pub fn address_of_a_large_one(&self) -> SocketAddr {
        self.place(10 * DEADLINE).parse().expect("an address")
    }

    /// What the next line says that it listens on.
    pub fn listening_on(&self) -> String {
        self.place(DEADLINE)
    }

    fn place(&self, deadline: Duration) -> String {
        let line = self.lines.recv_timeout(deadline).expect("a line");
        address_in(&line).to_owned()
    }

    /// The next line that it says.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line")
    }

    /// Waits until this is in its log, and returns all of the log so far.
    pub fn logged(&self, what: &str) -> String {
        self.errors.wait_for(what)
    }

    /// Returns its log so far.
    pub fn log_so_far(&self) -> String {
        self.errors.so_far()
    }

    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("signalled");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    /// Waits until it has ended by itself, though another process may have its output still.
    pub fn status(&mut self) -> ExitStatus {
        super::eventually("evconn ends", || self.child.try_wait().expect("a status"))
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        // Its output ends when it does.
        let mut stdout = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => stdout += &(line + "\n"),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("evconn did not end"),
            }
        }
        let status = self.child.wait().expect("a status");
        Ended {
            status,
            stdout,
            stderr: without_progress(&self.errors.wait_for_end()),
        }
    }
}

impl Drop for Evconn {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Shown by the test harness if the test failed.
        eprintln!("evconn's standard error:\n{}", self.errors.all());
    }
}

fn address_in(line: &str) -> &str {
    line.strip_prefix("Listening on ").expect("a ready line")
}

pub(super) fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A busy machine takes longer than a second to compile, which is told: it is not what tests are about.
fn without_progress(stderr: &str) -> String {
    let lines = stderr.split_inclusive('\n');
    lines
        .filter(|line| !line.contains("this can take a while"))
        .collect()
}
