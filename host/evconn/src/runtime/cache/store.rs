//! The entries of the cache: one for each component and engine, with a checksum.

use super::directory::CacheDirectory;
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The length of a checksum, in bytes. Each entry begins with the checksum of the rest.
const CHECKSUM: usize = 32;

/// The most bytes of all entries together. Beyond that, the least recently used ones are removed.
const MOST: u64 = 512 << 20;

/// A cache of compiled code in a directory.
pub(crate) struct CodeStore(CacheDirectory);

impl CodeStore {
    /// # Errors
    /// Why the directory cannot be used.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        CacheDirectory::open(path).map(Self)
    }

    /// Compiles a component, or loads its compiled code from the cache.
    pub fn compile(&self, engine: &Engine, binary: &[u8]) -> wasmtime::Result<Component> {
        let name = name(engine, binary);
        if let Some(component) = self.load(engine, &name) {
            return Ok(component);
        }
        let component = Component::from_binary(engine, binary)?;
        let code = component.serialize()?;
        match self.keep(&name, &code) {
            Ok(()) => tracing::debug!("compiled code is kept as {name}"),
            Err(error) => tracing::info!("compiled code is not kept: {error}"),
        }
        Ok(component)
    }

    /// Loads an entry, if it exists and its checksum is right.
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    fn load(&self, engine: &Engine, name: &str) -> Option<Component> {
        let entry = match self.0.read(name) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!("the compiled code in {name} is not used: {error}");
                return None;
            }
        };
        let (checksum, code) = entry.split_first_chunk::<CHECKSUM>()?;
        if Sha256::digest(code)[..] != checksum[..] {
            tracing::info!("the compiled code in {name} is damaged: it is compiled again");
            return None;
        }
        // SAFETY: `keep` wrote this: nobody else can write to the file, nor could while it was read, and
        // its checksum is right.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::info!("the compiled code in {name} does not fit: {error}");
                None
            }
        }
    }

    fn keep(&self, name: &str, code: &[u8]) -> io::Result<()> {
        self.0.write(name, &[&Sha256::digest(code)[..], code])?;
        self.0.prune(MOST)
    }
}

/// Returns the name of an entry. Compiled code is specific to a component and to the settings and the
/// machine of an engine.
fn name(engine: &Engine, binary: &[u8]) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.update(binary);
    let digest = hasher.0.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Never called: a name takes more than 64 bits.
    fn finish(&self) -> u64 {
        0
    }
}
