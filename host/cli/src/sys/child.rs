//! Child processes of the supervisor, which run the same program, or its next version.

use super::Importance;
use super::program::REPLACES;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setpriority_process, setrlimit,
};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use tokio::signal::unix::{SignalKind, signal};

/// The lowest priority of a process.
const LOWEST: i32 = 19;

/// A process that was started. It is killed if this is dropped before it has ended, unless it was
/// [released](Child::release).
pub struct Child {
    child: std::process::Child,
    has_ended: bool,
    is_released: bool,
}

impl From<std::process::Child> for Child {
    fn from(child: std::process::Child) -> Self {
        Self {
            child,
            has_ended: false,
            is_released: false,
        }
    }
}

impl Child {
    /// Starts this program with a hidden subcommand. Its standard input is the control socket.
    ///
    /// A terminal or a service manager sends signals to all processes: a child ignores them and waits for the
    /// supervisor's messages. It is killed if the thread that has started it ends (Linux).
    #[allow(unsafe_code, reason = "code between fork and exec")]
    pub fn start(
        subcommand: &str,
        control: OwnedFd,
        importance: Importance,
        environment: &[(&str, &str)],
    ) -> io::Result<(Self, ChildStderr)> {
        let mut command = Command::new(own_program()?);
        command
            .arg0("evconn")
            .arg(subcommand)
            .env_remove(REPLACES)
            .envs(environment.iter().copied())
            .stdin(Stdio::from(control))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let prepare = move || {
            ignore_signals()?;
            die_with_parent()?;
            pass_on_nothing();
            if importance == Importance::Low {
                // The work takes longer with it; without it, others are slower.
                let _ = setpriority_process(None, LOWEST);
            }
            Ok(())
        };
        // SAFETY: it only makes system calls.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::NotFound)?;
        Ok((Self::from(child), stderr))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it. Has no effect if it has ended.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends it a signal. Has no effect if it has ended.
    pub fn signal(&self, signal: Signal) {
        if !self.has_ended {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Lets it go on when this is dropped.
    pub fn release(&mut self) {
        self.is_released = true;
    }

    /// Waits until it has ended, in a tokio runtime. The future is cancel-safe.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let mut signals = signal(SignalKind::child())?;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            signals.recv().await;
        }
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.has_ended |= status.is_ok();
        status
    }

    /// Returns how it has ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.has_ended |= status.is_some();
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.has_ended && !self.is_released {
            self.kill();
            // This does not take long: it was just killed.
            let _ = self.child.wait();
        }
    }
}

/// Lets a fault, such as an overflow of the stack, end this process without a message of the standard library: whoever
/// has started it reports how it has ended.
#[allow(unsafe_code, reason = "the standard library has no function for it")]
pub fn take_no_notice_of_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: it installs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Describes how a process has ended: by which signal, or with which status.
pub fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(number), _) => match name_of_signal(number) {
            Some(name) => format!("was killed by signal {number} ({name})"),
            None => format!("was killed by signal {number}"),
        },
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}

fn name_of_signal(number: i32) -> Option<&'static str> {
    Some(match Signal::from_named_raw(number)? {
        Signal::ABORT => "SIGABRT",
        Signal::BUS => "SIGBUS",
        Signal::FPE => "SIGFPE",
        Signal::ILL => "SIGILL",
        Signal::KILL => "SIGKILL",
        Signal::QUIT => "SIGQUIT",
        Signal::SEGV => "SIGSEGV",
        Signal::SYS => "SIGSYS",
        Signal::TERM => "SIGTERM",
        Signal::TRAP => "SIGTRAP",
        Signal::XCPU => "SIGXCPU",
        _ => return None,
    })
}

/// Returns the path of this program. On Linux it leads to the file that this process runs, even if that was replaced
/// or removed.
fn own_program() -> io::Result<PathBuf> {
    const RUNNING: &str = "/proc/self/exe";
    if std::path::Path::new(RUNNING).exists() {
        return Ok(RUNNING.into());
    }
    std::env::current_exe().or_else(|error| {
        let named = std::env::args_os().next().map(PathBuf::from);
        named.filter(|path| path.is_file()).ok_or_else(|| {
            io::Error::other(format!("cannot find the file of this program: {error}"))
        })
    })
}

#[allow(unsafe_code, reason = "the standard library does not ignore signals")]
fn ignore_signals() -> io::Result<()> {
    let signals = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ];
    for signal in signals {
        // SAFETY: this is the child, before it executes the program: no handler of this process is replaced.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        Signal::KILL,
    ))?)
}

/// Does nothing: a child ends when its control socket is closed.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}

/// Makes inherited descriptors close-on-exec, so that the program does not get them. (Those that this process has
/// opened are close-on-exec anyway.)
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "musl has no function for this system call")]
fn pass_on_nothing() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: it only sets flags. Linux before 5.11 does not support it: then the program gets them, too.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn pass_on_nothing() {}

/// Sets the name of this process for `ps` and `pgrep`. After the path that was executed, it would be `exe`.
pub fn set_name(name: &std::ffi::CStr) {
    // Without the name, everything else works.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(name);
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// Prevents a core file of this process, which would be as large as its memory.
pub fn write_no_core() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// Limits the private writable memory that this process takes in addition to what it has, in bytes (RLIMIT_DATA). Only
/// Linux knows how much that is. A lower limit that it has already stays.
///
/// # Errors
/// The operating system's error; none is expected.
pub fn limit_further_memory(bytes: u64) -> io::Result<()> {
    let Some(taken) = private_memory() else {
        return Ok(());
    };
    let (before, most) = (getrlimit(Resource::Data), taken.saturating_add(bytes));
    let most = before.maximum.map_or(most, |maximum| maximum.min(most));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(Resource::Data, limit)?)
}

/// Returns what counts against the limit of private writable memory, in bytes.
#[cfg(target_os = "linux")]
fn private_memory() -> Option<u64> {
    const DATA: usize = 5;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let data: u64 = pages.split_whitespace().nth(DATA)?.parse().ok()?;
    Some(data * rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
fn private_memory() -> Option<u64> {
    None
}
