//! C programs for wasm32-wasip2, compiled as their first lines say. Where wasi-sdk is not installed, zig compiles them,
//! whose headers are wasi-libc's, and they are linked with the wasi-libc of Rust's target.

use super::{skip, tool, wasip2};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where wasi-sdk is, as its own documentation names it.
const WASI_SDK: &str = "WASI_SDK_PATH";

/// Compiles `tests/programs/NAME/main.c`, or writes why that is not possible here.
pub fn program(name: &str) -> Option<PathBuf> {
    let source = wasip2::workspace().join(format!("tests/programs/{name}/main.c"));
    std::fs::create_dir_all(wasip2::folder()).expect("a directory");
    let component = wasip2::folder().join(format!("{name}.wasm"));
    let is_made = match std::env::var_os(WASI_SDK) {
        Some(sdk) => with_wasi_sdk(Path::new(&sdk), &source, &component),
        None => with_zig(&source, &component),
    };
    is_made.then_some(component)
}

fn with_wasi_sdk(sdk: &Path, source: &Path, component: &Path) -> bool {
    let mut clang = Command::new(sdk.join("bin/clang"));
    clang.args(["--target=wasm32-wasip2", "-Wall", "-Wextra", "-O2"]);
    is_done(clang.arg(source).arg("-o").arg(component), b"")
}

fn with_zig(source: &Path, component: &Path) -> bool {
    if !wasip2::is_installed() {
        skip(&format!(
            "{} is not set, and Rust's {} is not installed",
            WASI_SDK,
            wasip2::TARGET
        ));
        return false;
    }
    let object = component.with_extension("o");
    let mut zig = Command::new("zig");
    // wasi-libc declares sockets only if it is told that they are those of WASI 0.2.
    zig.args([
        "cc",
        "-target",
        "wasm32-wasi",
        "-D__wasilibc_use_wasip2",
        "-Wall",
        "-Wextra",
        "-O2",
    ]);
    if !is_done(zig.arg("-c").arg(source).arg("-o").arg(&object), b"") {
        return false;
    }
    // An empty crate brings wasi-libc and the linker.
    let mut rustc = Command::new("rustc");
    rustc
        .current_dir(wasip2::workspace())
        .args([
            "--target",
            wasip2::TARGET,
            "--crate-name",
            "c",
            "-",
            "-Cstrip=debuginfo",
        ])
        .arg(format!("-Clink-arg={}", object.display()))
        .arg("-o")
        .arg(component);
    is_done(&mut rustc, b"#![no_main]")
}

/// Whether the tool is installed. It has to succeed, and to warn of nothing.
fn is_done(command: &mut Command, input: &[u8]) -> bool {
    let Some(Output { status, stderr, .. }) = tool::run(command, input) else {
        return false;
    };
    let errors = String::from_utf8_lossy(&stderr);
    assert!(status.success() && errors.is_empty(), "{errors}");
    true
}
