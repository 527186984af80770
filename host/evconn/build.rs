//! Chooses the components that are embedded, and lists the WIT files.
//!
//! The components are shipped with this crate, so that no WebAssembly toolchain is needed to build it.

use anyhow::{Context, Result, ensure};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The environment variable with a directory of other components to embed instead.
const COMPONENTS: &str = "EVCONN_COMPONENTS";

/// The components, and the environment variables with their paths.
const NAMES: [(&str, &str); 3] = [
    ("async-listener.wasm", "EVCONN_ASYNC_LISTENER_WASM"),
    ("listener.wasm", "EVCONN_LISTENER_WASM"),
    ("echo.wasm", "EVCONN_ECHO_WASM"),
];

fn main() {
    if let Err(error) = run() {
        eprintln!("evconn: {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let manifest_dir = PathBuf::from(required_var("CARGO_MANIFEST_DIR")?);
    let out_dir = PathBuf::from(required_var("OUT_DIR")?);
    let wit = manifest_dir.join("wit");
    println!("cargo::rerun-if-env-changed={COMPONENTS}");
    println!("cargo::rerun-if-changed={}", wit.display());
    let components = match env::var_os(COMPONENTS) {
        Some(directory) => std::path::absolute(directory)?,
        None => manifest_dir.join("components"),
    };
    for (name, variable) in NAMES {
        let component = components.join(name);
        ensure!(
            component.is_file(),
            "there is no {}: {COMPONENTS} names a directory that has async-listener.wasm, echo.wasm and \
             listener.wasm",
            component.display()
        );
        println!("cargo::rerun-if-changed={}", component.display());
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    embed_wit(&wit, &out_dir.join("wit.rs"))?;
    embed_wit(&wit.join("v0.3"), &out_dir.join("wit_0_3.rs"))
}

/// Lists the WIT files: the path of each within the directory, and its content.
fn embed_wit(wit: &Path, list: &Path) -> Result<()> {
    let mut files = Vec::new();
    for directory in [wit.to_owned(), wit.join("deps")] {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("wit")) {
                files.push(path);
            }
        }
    }
    files.sort();
    let entry = |path: &PathBuf| -> Result<String> {
        let name = path
            .strip_prefix(wit)?
            .display()
            .to_string()
            .replace('\\', "/");
        Ok(format!("({name:?}, include_str!({path:?})),\n"))
    };
    let entries: String = files.iter().map(entry).collect::<Result<_>>()?;
    fs::write(list, format!("&[\n{entries}]\n"))?;
    Ok(())
}

fn required_var(name: &str) -> Result<String> {
    let value = env::var_os(name).with_context(|| format!("{name} is not set: run cargo"))?;
    let value = <OsStr>::to_str(&value).with_context(|| format!("{name} is not Unicode"))?;
    Ok(value.to_owned())
}
