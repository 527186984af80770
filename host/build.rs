//! Builds the guest components, so that one cargo command builds all of evconn.
//!
//! A nested cargo compiles the guests to core modules, in a target directory of its own (the outer
//! cargo holds the lock of the usual one); wit-component makes components of them.

use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmparser::BinaryReader;

const TARGET: &str = "wasm32-unknown-unknown";

/// A guest's stack. Rust's default of 1 MiB would be paid in memory for every connection.
const STACK_SIZE: u32 = 64 * 1024;

/// The cargo package of each guest, and the name of the component that is made of it.
const GUESTS: [(&str, &str); 18] = [
    ("evconn-listener", "listener"),
    ("evconn-example-echo", "echo"),
    ("evconn-example-chat", "chat"),
    ("evconn-example-daytime", "daytime"),
    ("evconn-example-echo-command", "echo-command"),
    ("evconn-example-echo-copy", "echo-copy"),
    ("evconn-example-filter", "filter"),
    ("evconn-example-forward", "forward"),
    ("evconn-example-greet", "greet"),
    ("evconn-example-hello-world", "hello-world"),
    ("evconn-example-kv", "kv"),
    ("evconn-example-line", "line"),
    ("evconn-example-proxy", "proxy"),
    ("evconn-example-smtp-sink", "smtp-sink"),
    ("evconn-test-guest", "test-guest"),
    ("evconn-test-misuse", "test-misuse"),
    ("evconn-test-sdk", "test-sdk"),
    ("evconn-test-sockets", "test-sockets"),
];

/// What a guest is made of. Nothing else makes this script run again.
const INPUTS: [&str; 8] = [
    "guest",
    "tests/guest",
    "tests/misuse-guest",
    "tests/sdk-guest",
    "tests/sockets-guest",
    "wit",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    if let Err(error) = run() {
        eprintln!("evconn: cannot build the guest components: {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let manifest_dir = PathBuf::from(required_var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir
        .parent()
        .context("host/ has no parent directory")?;
    for input in INPUTS {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    let out_dir = PathBuf::from(required_var("OUT_DIR")?);
    let modules = out_dir.join("guests");

    ensure_target()?;
    build_modules(workspace, &modules)?;
    for (package, name) in GUESTS {
        let module = modules
            .join(TARGET)
            .join("guest")
            .join(format!("{}.wasm", package.replace('-', "_")));
        let component = out_dir.join(format!("{name}.wasm"));
        encode(&module, &component).with_context(|| format!("{name}.wasm"))?;
    }
    embed_wit(&workspace.join("wit"), &out_dir.join("wit.rs"))?;
    // The tests and the benchmark embed these; the library and the command do not.
    for (variable, name) in [
        ("EVCONN_EXAMPLE_CHAT", "chat"),
        ("EVCONN_EXAMPLE_DAYTIME", "daytime"),
        ("EVCONN_EXAMPLE_ECHO_COMMAND", "echo-command"),
        ("EVCONN_EXAMPLE_ECHO_COPY", "echo-copy"),
        ("EVCONN_EXAMPLE_FILTER", "filter"),
        ("EVCONN_EXAMPLE_FORWARD", "forward"),
        ("EVCONN_EXAMPLE_GREET", "greet"),
        ("EVCONN_EXAMPLE_HELLO_WORLD", "hello-world"),
        ("EVCONN_EXAMPLE_KV", "kv"),
        ("EVCONN_EXAMPLE_LINE", "line"),
        ("EVCONN_EXAMPLE_PROXY", "proxy"),
        ("EVCONN_EXAMPLE_SMTP_SINK", "smtp-sink"),
        ("EVCONN_TEST_GUEST", "test-guest"),
        ("EVCONN_TEST_MISUSE", "test-misuse"),
        ("EVCONN_TEST_SDK", "test-sdk"),
        ("EVCONN_TEST_SOCKETS", "test-sockets"),
    ] {
        let component = out_dir.join(format!("{name}.wasm"));
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    Ok(())
}

/// A list of the WIT files: of each, its path below the directory, and its text.
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

/// Make sure that the guests' target is installed.
fn ensure_target() -> Result<()> {
    if target_is_installed()? {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .status();
    let advice = format!(
        "the target {TARGET} is not installed; install it with `rustup target add {TARGET}`"
    );
    match added {
        Ok(status) => ensure!(
            status.success() && target_is_installed()?,
            "{advice} (running that failed: {status})"
        ),
        Err(error) => bail!("{advice} (rustup cannot be run: {error})"),
    }
    Ok(())
}

fn target_is_installed() -> Result<bool> {
    let output = Command::new(required_var("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("rustc cannot be run")?;
    ensure!(
        output.status.success(),
        "rustc does not know the target {TARGET}"
    );
    Ok(Path::new(String::from_utf8(output.stdout)?.trim()).exists())
}

fn build_modules(workspace: &Path, target_dir: &Path) -> Result<()> {
    let mut cargo = Command::new(required_var("CARGO")?);
    cargo
        .arg("build")
        .args(["--target", TARGET, "--profile", "guest"])
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace)?)
        // What the outer cargo was told for the host does not hold for the guests.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR");
    for (package, _) in GUESTS {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().context("cargo cannot be run")?;
    ensure!(status.success(), "cargo failed ({status}); see above");
    Ok(())
}

/// Flags for every crate of the guests, separated as cargo wants it.
fn rustflags(workspace: &Path) -> Result<String> {
    let mut flags = vec![
        "-Clink-arg=-zstack-size=".to_owned() + &STACK_SIZE.to_string(),
        remap(workspace, "/evconn")?,
    ];
    // So that no path of this machine is in a component.
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    if let Some(cargo_home) = cargo_home {
        flags.push(remap(&cargo_home, "/cargo")?);
    }
    Ok(flags.join("\x1f"))
}

fn remap(from: &Path, to: &str) -> Result<String> {
    let from = from
        .to_str()
        .with_context(|| format!("the path {} is not valid Unicode", from.display()))?;
    Ok(format!("--remap-path-prefix={from}={to}"))
}

/// Make a component of a core module, and leave the file alone if it is the same.
fn encode(module: &Path, component: &Path) -> Result<()> {
    let module =
        fs::read(module).with_context(|| format!("{} cannot be read", module.display()))?;
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .encode()?;
    let stripped = strip_names(&encoded)?;
    if fs::read(component).ok().as_deref() != Some(&stripped) {
        fs::write(component, stripped)
            .with_context(|| format!("{} cannot be written", component.display()))?;
    }
    Ok(())
}

/// Leave out the names that wit-component gives to a component's parts: a seventh of a small one.
fn strip_names(component: &[u8]) -> Result<Vec<u8>> {
    const HEADER: usize = 8;
    const CUSTOM_SECTION: u8 = 0;
    let mut reader = BinaryReader::new(component, 0);
    let mut stripped = reader.read_bytes(HEADER)?.to_vec();
    while !reader.eof() {
        let start = reader.current_position();
        let is_custom = reader.read_u8()? == CUSTOM_SECTION;
        let size = reader.read_var_u32()?;
        let mut section = BinaryReader::new(reader.read_bytes(size as usize)?, 0);
        if !(is_custom && section.read_string()? == "component-name") {
            stripped.extend(&component[start..reader.current_position()]);
        }
    }
    Ok(stripped)
}

fn required_var(name: &str) -> Result<String> {
    let value = env::var_os(name).with_context(|| format!("{name} is not set: run cargo"))?;
    let value = <OsStr>::to_str(&value).with_context(|| format!("{name} is not Unicode"))?;
    Ok(value.to_owned())
}
