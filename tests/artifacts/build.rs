//! Builds the guest components, so that one cargo command builds and runs all tests.
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

/// The folders whose subfolders are guests.
const FOLDERS: [&str; 2] = ["guest/examples", "tests/programs"];

/// The guests that are in neither.
const LISTENERS: [&str; 2] = ["guest/async-listener", "guest/listener"];

/// The components that are shipped, in groups that are built without the other guests, whose features of common
/// dependencies would change them.
const SHIPPED: [&[&str]; 2] = [&["echo", "listener"], &["async-listener"]];

/// The features of dependencies by which a guest is one of WASI 0.3. These are built without the others, too, which would
/// grow by them.
const ASYNC_FEATURES: [&str; 2] = ["\"async-spawn\"", "\"p3\""];

/// Variables whose names begin like this are settings of the outer cargo, for the host.
const SETTINGS: [&str; 3] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];

/// What a guest is made of. Nothing else makes this script run again.
const INPUTS: [&str; 5] = ["guest", "tests/programs", "wit", "Cargo.toml", "Cargo.lock"];

/// A guest: a cargo package that is built to one component.
struct Guest {
    /// The name of its folder, and of its component.
    name: String,
    package: String,
    /// Whether it is of WASI 0.3.
    is_async: bool,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("evconn: cannot build the guest components: {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let manifest_dir = PathBuf::from(required_var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir
        .ancestors()
        .nth(2)
        .context("tests/artifacts has no workspace above it")?;
    for input in INPUTS {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    let out_dir = PathBuf::from(required_var("OUT_DIR")?);
    let modules = out_dir.join("guests");
    let guests = guests(workspace)?;

    ensure_target()?;
    for group in groups(&guests) {
        build_modules(workspace, &group, &modules)?;
    }
    for guest in &guests {
        let module = modules
            .join(TARGET)
            .join("guest")
            .join(format!("{}.wasm", guest.package.replace('-', "_")));
        let component = out_dir.join(format!("{}.wasm", guest.name));
        encode(&module, &component).with_context(|| format!("{}.wasm", guest.name))?;
    }
    fs::write(out_dir.join("components.rs"), constants(&guests))?;
    println!("cargo::rustc-env=EVCONN_GUEST_RUSTC={}", rustc_version()?);
    Ok(())
}

/// What is built together: each of the shipped groups, what is of WASI 0.2, and what is of WASI 0.3.
fn groups(guests: &[Guest]) -> Vec<Vec<&Guest>> {
    let is_in = |group: &[&str], guest: &&Guest| group.contains(&guest.name.as_str());
    let shipped = SHIPPED.map(|group| guests.iter().filter(|guest| is_in(group, guest)).collect());
    let others = guests
        .iter()
        .filter(|guest| !SHIPPED.iter().any(|group| is_in(group, guest)));
    let (asynchronous, others) = others.partition(|guest| guest.is_async);
    shipped.into_iter().chain([others, asynchronous]).collect()
}

/// What the library includes.
fn constants(guests: &[Guest]) -> String {
    let names: Vec<_> = guests.iter().map(Guest::constant).collect();
    let list = format!(
        "/// The names of the components' constants.\npub const NAMES: &[&str] = &{names:?};\n"
    );
    guests.iter().map(Guest::constants).chain([list]).collect()
}

/// All guests, in the order of their names.
fn guests(workspace: &Path) -> Result<Vec<Guest>> {
    let mut folders = LISTENERS.map(|folder| workspace.join(folder)).to_vec();
    for parent in FOLDERS {
        for entry in fs::read_dir(workspace.join(parent))? {
            let folder = entry?.path();
            // A program is built by the test that runs it, for the target that it needs.
            if folder.join("src/lib.rs").exists() {
                folders.push(folder);
            }
        }
    }
    let mut guests: Vec<Guest> = folders
        .iter()
        .map(|folder| Guest::of(folder))
        .collect::<Result<_>>()?;
    guests.sort_by(|one, other| one.name.cmp(&other.name));
    let same = guests.windows(2).find(|pair| pair[0].name == pair[1].name);
    if let Some([guest, _]) = same {
        bail!("two guests have the name {}", guest.name);
    }
    Ok(guests)
}

impl Guest {
    fn of(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .with_context(|| format!("{} cannot be read", manifest.display()))?;
        let package = text
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
            .with_context(|| format!("{} names no package", manifest.display()))?;
        let name = folder.file_name().and_then(OsStr::to_str);
        let name = name.with_context(|| format!("{} has no name", folder.display()))?;
        Ok(Self {
            name: name.to_owned(),
            package: package.to_owned(),
            is_async: ASYNC_FEATURES.iter().any(|feature| text.contains(feature)),
        })
    }

    fn constant(&self) -> String {
        self.name.to_uppercase().replace('-', "_")
    }

    /// Its component and the path of that, as constants.
    fn constants(&self) -> String {
        let Self { name, .. } = self;
        let constant = self.constant();
        format!(
            "/// `{name}.wasm`.\n\
             pub const {constant}: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\"));\n\
             /// The path of `{name}.wasm`.\n\
             pub const {constant}_PATH: &str = concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\");\n"
        )
    }
}

/// Fails unless the guests' target is installed. Nothing is installed here: that is rustup's task.
fn ensure_target() -> Result<()> {
    let libraries = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    ensure!(
        Path::new(&libraries).exists(),
        "the target {TARGET} is not installed: rustup installs it with `rustup target add {TARGET}`; \
         without rustup, install its standard library from where rustc is from (Debian: \
         libstd-rust-dev-wasm32)"
    );
    Ok(())
}

fn rustc_version() -> Result<String> {
    rustc(&["--version"])
}

/// What rustc prints with these arguments.
fn rustc(arguments: &[&str]) -> Result<String> {
    let output = Command::new(required_var("RUSTC")?)
        .args(arguments)
        .output()
        .context("rustc cannot be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "rustc {} failed: {errors}",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn build_modules(workspace: &Path, guests: &[&Guest], target_dir: &Path) -> Result<()> {
    let mut cargo = Command::new(required_var("CARGO")?);
    cargo
        .args(["build", "--locked"])
        .args(["--target", TARGET, "--profile", "guest"])
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace)?)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        // Incremental builds differ from others.
        .env_remove("CARGO_INCREMENTAL");
    for (name, _) in env::vars_os() {
        let is_setting = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
        if SETTINGS.iter().any(is_setting) {
            cargo.env_remove(name);
        }
    }
    for guest in guests {
        cargo.args(["--package", &guest.package]);
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
