//! C programs that show what libevent does, compiled on the spot.

use super::skip;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A program of `tests/libevent`. Its file goes with it.
pub struct Program(PathBuf);

impl Program {
    /// Compiles `tests/libevent/NAME.c`, or writes why that is not possible here.
    pub fn compile(name: &str) -> Option<Self> {
        if !has_libevent() {
            return None;
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Tests run in parallel, and several test runs may, too.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = format!("{name}-{}-{number}", std::process::id());
        let program = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file));
        let source = format!(
            "{}/../../tests/libevent/{name}.c",
            env!("CARGO_MANIFEST_DIR")
        );
        let output = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-o"])
            .arg(&program.0)
            .args([&source, "-levent", "-levent_pthreads", "-pthread"])
            .output()
            .expect("the compiler runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{source}:\n{errors}");
        Some(program)
    }

    pub fn command(&self) -> Command {
        Command::new(&self.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is not there if it could not be compiled.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn has_libevent() -> bool {
    let status = Command::new("cc")
        .args([
            "-E",
            "-x",
            "c",
            "-include",
            "event2/listener.h",
            "/dev/null",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => return true,
        Ok(_) => skip("libevent-dev is not installed"),
        Err(error) if error.kind() == ErrorKind::NotFound => skip("cc is not installed"),
        Err(error) => panic!("cc: {error}"),
    }
    false
}
