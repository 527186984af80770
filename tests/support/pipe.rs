//! A component in a named pipe, which takes as long to read as the test wants.

use super::DEADLINE;
use super::scratch::Scratch;
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat, open};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub fn pipe(scratch: &Scratch) -> PathBuf {
    let path = scratch.join("app.wasm");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &path, FileType::Fifo, mode, 0).expect("a pipe");
    path
}

/// The other end of the pipe, as soon as somebody reads it.
pub fn writer(path: &Path) -> File {
    let deadline = Instant::now() + DEADLINE;
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = loop {
        match open(path, flags, Mode::empty()) {
            Ok(opened) => break opened,
            Err(error) => assert!(Instant::now() < deadline, "nobody reads it: {error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let flags = fcntl_getfl(&opened).expect("its flags") - OFlags::NONBLOCK;
    fcntl_setfl(&opened, flags).expect("it may wait");
    File::from(opened)
}
