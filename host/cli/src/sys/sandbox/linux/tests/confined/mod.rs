//! Tests that give up the privileges of their process.

mod files;
mod network;
mod processes;

use super::VARIABLE;
use crate::sys::sandbox::{Directory, Missing, Needs, confine_calls, confine_files};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Whether this process is one of its own. If not, someone runs all ignored tests.
fn is_child() -> bool {
    let is_child = std::env::var_os(VARIABLE).is_some();
    if !is_child {
        println!("skipped: another test runs this one, in a process of its own");
    }
    is_child
}

/// Gives up everything but what is needed. Returns false if this system has no such thing.
fn confine(needs: &Needs) -> bool {
    is_child() && confine_now(needs)
}

fn confine_now(needs: &Needs) -> bool {
    let files = confine_files(needs).expect("the files are confined");
    let calls = confine_calls(needs).expect("the calls are confined");
    let missing: Vec<Missing> = files.into_iter().chain(calls).collect();
    for missing in &missing {
        println!("skipped: {missing}");
    }
    missing.is_empty()
}

fn directory(path: &Path, writable: bool) -> Directory {
    let path = path.to_owned();
    Directory { path, writable }
}

/// An empty directory of this test alone. Its parent process removes it.
fn scratch() -> PathBuf {
    std::env::current_dir().expect("a directory")
}

fn denied<T: std::fmt::Debug>(result: std::io::Result<T>) {
    let error = result.expect_err("it is denied");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}
