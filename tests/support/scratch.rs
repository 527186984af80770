//! A directory that is removed at the end of its test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Tests run in parallel, and several test runs may, too.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("evconn-it-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory of its own");
        Self(path)
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
        // A failure to clean up must not hide that of the test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Puts a file in the place of another, as whoever installs one should.
pub fn install(content: &[u8], path: &Path) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("written");
    std::fs::rename(new, path).expect("in its place");
}
