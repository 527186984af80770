//! A directory that is removed at the end of its test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Tests run in parallel, and several test runs may, too.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("evconn-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory of its own");
        Self(path)
    }

    /// Creates a directory that other users cannot list.
    pub fn private() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Self::new();
        let permissions = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(scratch.path(), permissions).expect("its mode");
        scratch
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the names of its entries.
    pub fn contents(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("its entries");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("text")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that has failed reports that itself.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
