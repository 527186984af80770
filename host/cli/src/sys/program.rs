//! The program that this process runs, to be executed again from the path by which it was started: the file there
//! may have been replaced by another version.

use super::child::Child;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Has the id of the process that this one is to replace. Workers and loaders do not inherit it.
pub const REPLACES: &str = "EVCONN_REPLACES";

/// Names the process that systemd's watchdog expects to report.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// How this process was started.
pub struct Program {
    file: Option<PathBuf>,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
}

impl Program {
    /// Returns that of this process. Call it before the working directory changes.
    pub fn of_this_process() -> Self {
        let arguments: Vec<_> = std::env::args_os().collect();
        let directory = std::env::current_dir().ok();
        let running = running();
        let is_running = |path: &PathBuf| match (fs::metadata(path), &running) {
            (Ok(found), Some(running)) => identity(&found) == identity(running),
            _ => false,
        };
        let named = arguments.first();
        let named = named.and_then(|name| candidates(name, directory.as_deref()).find(is_running));
        Self {
            // The name may be anything. The path that the kernel knows follows no link that is changed later.
            file: named.or_else(|| std::env::current_exe().ok()),
            arguments,
            directory,
        }
    }

    /// Executes the file that is at the path now, with the same arguments, environment and working directory. Its
    /// standard input is the control socket.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be executed.
    pub fn start_again(&self, control: OwnedFd) -> io::Result<Child> {
        let unknown = || io::Error::other("the path of this program is not known");
        let file = self.file.as_ref().ok_or_else(unknown)?;
        let mut command = Command::new(file);
        if let Some((name, arguments)) = self.arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let own = std::process::id().to_string();
        if std::env::var(WATCHDOG_PID).is_ok_and(|meant| meant == own) {
            // Without it, the variables of the watchdog are for each process.
            command.env_remove(WATCHDOG_PID);
        }
        command.env(REPLACES, own).stdin(Stdio::from(control));
        let started = command.spawn();
        let started = started.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot execute {}: {error}", file.display()),
            )
        })?;
        Ok(Child::from(started))
    }
}

/// Returns whether this process is to replace the one that has started it.
pub fn is_replacement() -> bool {
    std::env::var_os(REPLACES).is_some()
}

/// Returns the paths that a program may have been started by: one, or with a name alone those in PATH.
fn candidates(name: &OsStr, directory: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let directories = match name.as_bytes().contains(&b'/') {
        true => vec![PathBuf::new()],
        false => {
            let searched = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&searched).collect()
        }
    };
    let directory = directory.map(Path::to_owned).unwrap_or_default();
    let name = name.to_owned();
    directories
        .into_iter()
        .map(move |searched| directory.join(searched).join(&name))
}

/// Returns the file that this process runs, even if another one has taken its place.
fn running() -> Option<Metadata> {
    let running = fs::metadata("/proc/self/exe").ok();
    running.or_else(|| fs::metadata(std::env::current_exe().ok()?).ok())
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_the_path_by_which_it_was_started() {
        let all = |name: &str| {
            let all = candidates(name.as_ref(), Some(Path::new("/start")));
            all.collect::<Vec<_>>()
        };
        assert_eq!(all("/bin/evconn"), [Path::new("/bin/evconn")]);
        assert_eq!(all("bin/evconn"), [Path::new("/start/bin/evconn")]);
        let searched = all("evconn");
        assert!(!searched.is_empty());
        assert!(searched.iter().all(|path| path.is_absolute()));
        let this = Program::of_this_process().file.expect("a path");
        assert_eq!(
            identity(&fs::metadata(this).expect("a file")),
            identity(&running().expect("this program")),
        );
    }

    #[test]
    fn a_test_replaces_nobody() {
        assert!(!is_replacement());
    }
}
