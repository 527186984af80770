//! Programs that are built for wasm32-wasip2, as anybody would build them: they know nothing of evconn.

use super::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const TARGET: &str = "wasm32-wasip2";

/// Those in `tests/programs` that are packages of the workspace.
const PACKAGES: [&str; 5] = ["libc", "room", "std-acts", "std-echo", "std-poll"];

/// Those that are not, with their folders: their dependencies are none of evconn's.
const WSTD: &str = "wstd-echo";
const TOKIO: [&str; 3] = ["axum", "mini-redis", "tokio-echo"];

/// What tokio's networking on WASI takes, as its folder's `.cargo/config.toml` has it.
const TOKIO_FLAGS: &str = "--cfg\x1ftokio_unstable";

/// Returns the path of a program in `tests/programs`, built once; or nothing if that is not possible here.
pub fn program(name: &str) -> Option<PathBuf> {
    static WORKSPACE: OnceLock<bool> = OnceLock::new();
    static WITH_WSTD: OnceLock<bool> = OnceLock::new();
    static WITH_TOKIO: OnceLock<bool> = OnceLock::new();
    let is_built = match name {
        WSTD => *WITH_WSTD.get_or_init(|| is_fetched(WSTD) && build(cargo(WSTD).arg("build"))),
        _ if TOKIO.contains(&name) => *WITH_TOKIO.get_or_init(|| {
            let mut cargo = cargo("tokio");
            cargo.env("CARGO_ENCODED_RUSTFLAGS", TOKIO_FLAGS);
            is_fetched("tokio") && build(cargo.arg("build"))
        }),
        _ => *WORKSPACE.get_or_init(|| is_installed() && build(&mut packages())),
    };
    if !is_built {
        skip(&format!(
            "{name} cannot be built: `rustup target add {TARGET}` installs its target, and `cargo fetch` what it \
             depends on"
        ));
        return None;
    }
    Some(
        folder()
            .join(TARGET)
            .join(format!("release/evconn-test-{name}.wasm")),
    )
}

/// Where the programs are built.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasip2")
}

pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the workspace")
}

/// Whether Rust's target is.
pub fn is_installed() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let output = rustc.current_dir(workspace()).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success() && Path::new(folder.trim()).is_dir()
    })
}

/// Whether everything that it depends on is here, or can be had.
fn is_fetched(folder: &str) -> bool {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["fetch", "--quiet", "--locked", "--target", TARGET])
        .current_dir(workspace().join("tests/programs").join(folder));
    is_installed() && cargo.output().is_ok_and(|output| output.status.success())
}

fn packages() -> Command {
    let mut cargo = cargo("..");
    cargo.arg("build");
    for name in PACKAGES {
        cargo.args(["--package", &format!("evconn-test-{name}")]);
    }
    cargo
}

/// Cargo in a folder of `tests/programs`.
fn cargo(folder: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace().join("tests/programs").join(folder))
        // What cargo was told for the host does not hold for the programs.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET");
    cargo
}

fn build(cargo: &mut Command) -> bool {
    cargo
        .args(["--quiet", "--locked", "--release", "--target", TARGET])
        .arg("--target-dir")
        .arg(folder());
    let output = cargo.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    true
}
