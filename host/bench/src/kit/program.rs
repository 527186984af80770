//! A program of Rust's standard library, for wasm32-wasip2.

use super::run;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
const PACKAGE: &str = "evconn-test-std-copy";

/// Builds it, or returns what is missing for that.
pub fn build(target: &Path) -> Result<Result<PathBuf, String>> {
    let mut installed = Command::new("rustc");
    installed.args(["--print", "target-libdir", "--target", TARGET]);
    installed.current_dir(env!("CARGO_MANIFEST_DIR"));
    let libraries = match run(&mut installed)? {
        Ok(libraries) => libraries,
        Err(missing) => return Ok(Err(missing)),
    };
    if !Path::new(libraries.trim()).is_dir() {
        return Ok(Err(format!("the target {TARGET} is not installed")));
    }
    let target = target.join("guests");
    let built = run(&mut cargo(&target))?;
    Ok(built.map(|_| target.join(TARGET).join(format!("release/{PACKAGE}.wasm"))))
}

fn cargo(target: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            PACKAGE,
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // What cargo was told for the host does not hold for the program.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env_remove("CARGO_BUILD_TARGET");
    build
}
