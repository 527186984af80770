//! The process of a server that is being measured, with its descendants. It ends with the benchmark,
//! however that ends.

use crate::family;
use crate::usage::{CpuTimes, Memory};
use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it listens. The first start of a service in Python or JavaScript
/// compiles its interpreter.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often to check whether a server listens that does not report it.
const CHECK_PERIOD: Duration = Duration::from_micros(200);

/// The beginning of the line in which a server reports where it listens.
pub const READY: &str = "Listening on ";

/// How the client learns the server's address.
pub enum Address {
    /// The server chooses the address, and reports it in its first line.
    Said,
    /// The server was given the address, and does not report when it listens.
    Told(SocketAddr),
}

pub struct Process {
    child: Child,
    address: SocketAddr,
    started: Instant,
    /// Kept open, so that the server can print more lines, which are ignored.
    _stdout: Option<ChildStdout>,
    /// The file with its standard error.
    log: PathBuf,
}

impl Process {
    /// Starts the server and waits until it listens. Call this on the main thread: the server is killed
    /// when the thread that has started it ends.
    pub fn start(mut command: Command, address: Address, log: PathBuf) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(match address {
                Address::Said => Stdio::piped(),
                Address::Told(_) => Stdio::null(),
            })
            .stderr(File::create(&log).with_context(|| format!("{}", log.display()))?);
        // SAFETY: only a system call is made between fork and exec.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take();
        let mut process = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            started,
            _stdout: None,
            log,
        };
        let listens = match (address, stdout) {
            (Address::Told(address), _) => process.wait_until_it_listens(address),
            (Address::Said, Some(stdout)) => process.hear(stdout),
            (Address::Said, None) => Err(anyhow!("it has no standard output")),
        };
        match listens {
            Ok(()) => Ok(process),
            Err(error) => Err(error).context(process.last_words()),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the processor time of all processes of the server.
    pub fn cpu_times(&self) -> Result<CpuTimes> {
        CpuTimes::of(self.child.id())
    }

    /// Returns the memory of all processes of the server.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.child.id())
    }

    /// Describes the server after a failure: whether it runs, and the end of its standard error.
    pub fn last_words(&mut self) -> String {
        const LINES: usize = 5;
        let state = match self.child.try_wait() {
            Ok(Some(status)) => format!("the server ended ({status})"),
            Ok(None) => "the server was running".to_owned(),
            Err(error) => format!("the server cannot be asked: {error}"),
        };
        let log = match fs::read(&self.log) {
            Ok(log) => String::from_utf8_lossy(&log).into_owned(),
            Err(error) => format!("{}: {error}", self.log.display()),
        };
        let mut lines: Vec<&str> = log.lines().rev().take(LINES).collect();
        if lines.is_empty() {
            return state;
        }
        lines.reverse();
        format!("{state}, and said {:?}", lines.join(" / "))
    }

    fn hear(&mut self, mut stdout: ChildStdout) -> Result<()> {
        let line = first_line(&mut stdout)?;
        let address = line
            .strip_prefix(READY)
            .with_context(|| format!("its first line is {line:?}"))?;
        self.address = address.parse().with_context(|| format!("{address:?}"))?;
        self._stdout = Some(stdout);
        Ok(())
    }

    fn wait_until_it_listens(&mut self, address: SocketAddr) -> Result<()> {
        self.address = address;
        let deadline = Instant::now() + DEADLINE;
        loop {
            match TcpStream::connect(address) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
            ensure!(self.child.try_wait()?.is_none(), "it does not listen");
            ensure!(
                Instant::now() < deadline,
                "it does not listen after {DEADLINE:?}"
            );
            thread::sleep(CHECK_PERIOD);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Before it ends, since they belong to another process then.
        let descendants = family::of(self.child.id()).unwrap_or_default();
        let descendants: Vec<OwnedFd> = descendants.into_iter().skip(1).filter_map(open).collect();
        // It may have ended already, which is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Err(error) = wait_for(&descendants) {
            eprintln!("error: a process of the server goes on: {error:#}");
        }
    }
}

/// Returns a handle to a process, unless that has ended.
fn open(process: u32) -> Option<OwnedFd> {
    let process = Pid::from_raw(i32::try_from(process).ok()?)?;
    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// Waits until the workers have ended, which they do after their supervisor: the next server is not
/// measured beside them.
fn wait_for(processes: &[OwnedFd]) -> Result<()> {
    for process in processes {
        wait_until_readable(process, Instant::now() + DEADLINE)
            .context("it did not end with its parent")?;
    }
    Ok(())
}

/// Waits until there is something to read, or a process has ended.
fn wait_until_readable(file: &impl AsFd, deadline: Instant) -> Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left)?;
    let ready = poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&timeout))?;
    ensure!(ready > 0, "nothing after {DEADLINE:?}");
    Ok(())
}

/// Reads the first line. The beginning of a later line may be read, too, and is dropped.
fn first_line(stdout: &mut ChildStdout) -> Result<String> {
    let deadline = Instant::now() + DEADLINE;
    let mut text = Vec::new();
    loop {
        wait_until_readable(stdout, deadline).context("it does not say where it listens")?;
        let mut part = [0; 256];
        match stdout.read(&mut part)? {
            0 => bail!("it ended without a word"),
            count => text.extend_from_slice(&part[..count]),
        }
        if let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            text.truncate(end);
            return Ok(String::from_utf8(text)?);
        }
    }
}
