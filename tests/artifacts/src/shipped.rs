//! The components that are shipped: `host/components` has their files, and in `SOURCES` the digests of what
//! they were made of.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files' names, and what the build script has just made of their sources.
pub const COMPONENTS: [(&str, &[u8]); 3] = [
    ("async-listener.wasm", crate::ASYNC_LISTENER),
    ("echo.wasm", crate::ECHO),
    ("listener.wasm", crate::LISTENER),
];

/// The packages that are built to them.
const PACKAGES: [&str; 3] = [
    "evconn-async-listener",
    "evconn-example-echo",
    "evconn-listener",
];

/// Endings of the files that a component is made of: its pages are not.
const INPUTS: [&str; 3] = ["rs", "toml", "wit"];

/// What `SOURCES` opens with.
const HEAD: &str = "\
# What async-listener.wasm, echo.wasm and listener.wasm were made of. `cargo run --release -p evconn-artifacts` makes them anew.
";

/// The compiler that built the guests.
const RUSTC: &str = env!("EVCONN_GUEST_RUSTC");

/// Where the components are.
pub fn directory() -> PathBuf {
    workspace().join("host/components")
}

/// Makes the components anew.
///
/// # Errors
///
/// If the compiler is not the one in `rust-toolchain.toml`, or a file cannot be read or written.
pub fn write() -> Result<()> {
    let pinned = pinned_rustc()?;
    ensure!(
        is_pinned()?,
        "the components are built with rustc {pinned}, as rust-toolchain.toml says, and this is {RUSTC}"
    );
    for (name, component) in COMPONENTS {
        write_file(name, component)?;
    }
    write_file("SOURCES", sources()?.as_bytes())
}

fn write_file(name: &str, content: &[u8]) -> Result<()> {
    let path = directory().join(name);
    fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))
}

/// Whether the compiler that built the guests is the one in `rust-toolchain.toml`.
///
/// # Errors
///
/// If `rust-toolchain.toml` cannot be read or names no toolchain.
pub fn is_pinned() -> Result<bool> {
    let pinned = pinned_rustc()?;
    Ok(RUSTC.split(' ').nth(1) == Some(&pinned))
}

/// What `SOURCES` should be: a line for each input with its digest.
///
/// # Errors
///
/// If an input cannot be read, or cargo fails.
pub fn sources() -> Result<String> {
    let dependencies = dependencies()?;
    let mut text = format!("{HEAD}rustc {}\n", pinned_rustc()?);
    for folder in folders(&dependencies) {
        line(&mut text, &digest(&folder)?, &folder)?;
    }
    line(&mut text, &digest("wit")?, "wit")?;
    let script = "tests/artifacts/build.rs";
    line(&mut text, &digest(script)?, script)?;
    let profile = profile()?;
    line(
        &mut text,
        &hex([profile.as_bytes()]),
        "Cargo.toml: [profile.guest]",
    )?;
    line(
        &mut text,
        &hex(dependencies.iter().map(String::as_bytes)),
        "Cargo.lock: their dependencies, and wit-component",
    )?;
    Ok(text)
}

fn line(text: &mut String, digest: &str, name: &str) -> Result<()> {
    writeln!(text, "{digest}  {name}")?;
    Ok(())
}

/// The packages that the components are built of, with version and features, and those that encode them.
/// Paths are relative to the workspace.
fn dependencies() -> Result<BTreeSet<String>> {
    let target = "--target=wasm32-unknown-unknown";
    let packages = PACKAGES.map(|package| format!("--package={package}"));
    let arguments = packages.iter().map(String::as_str);
    let arguments: Vec<_> = arguments.chain([target, "--edges=no-dev"]).collect();
    let mut all = tree(&arguments)?;
    all.append(&mut tree(&[
        "--package=evconn-artifacts",
        "--edges=build",
        "--depth=1",
    ])?);
    Ok(all)
}

fn tree(arguments: &[&str]) -> Result<BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix=none",
            "--no-dedupe",
        ])
        .arg("--format={p} {f}")
        .args(arguments)
        .current_dir(workspace())
        .output()
        .context("cargo cannot be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree failed: {errors}");
    let root = format!("({}/", workspace().display());
    let text = String::from_utf8(output.stdout)?.replace(&root, "(");
    Ok(text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect())
}

/// The folders of the packages that are in this repository.
fn folders(dependencies: &BTreeSet<String>) -> BTreeSet<String> {
    let guest = |line: &String| {
        let (_, rest) = line.split_once(" (guest/")?;
        let (folder, _) = rest.split_once(')')?;
        Some(format!("guest/{folder}"))
    };
    dependencies.iter().filter_map(guest).collect()
}

/// The digest of a file, or of all inputs in a folder, with their names.
fn digest(path: &str) -> Result<String> {
    let mut files = Vec::new();
    collect(&workspace().join(path), &mut files)?;
    files.sort();
    let mut parts = Vec::new();
    for file in files {
        let content =
            fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let name = file.strip_prefix(workspace())?;
        parts.push(name.to_string_lossy().replace('\\', "/").into_bytes());
        parts.push(content);
    }
    Ok(hex(parts.iter().map(Vec::as_slice)))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        let ending = path.extension().and_then(OsStr::to_str);
        if ending.is_some_and(|ending| INPUTS.contains(&ending)) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

/// The digest of these parts, each with its length.
fn hex<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    format!("{:x}", digest.finalize())
}

/// The section of the profile that guests are built with.
fn profile() -> Result<String> {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml"))?;
    let (_, rest) = manifest
        .split_once("[profile.guest]\n")
        .context("Cargo.toml has no [profile.guest]")?;
    let settings = rest.lines().take_while(|line| line.contains('='));
    Ok(settings.collect::<Vec<_>>().join("\n"))
}

fn pinned_rustc() -> Result<String> {
    let toolchain = fs::read_to_string(workspace().join("rust-toolchain.toml"))?;
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .context("rust-toolchain.toml has no channel")?;
    Ok(channel.to_owned())
}

/// The repository.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the workspace")
}
