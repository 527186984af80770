//! The platforms other than Unix: a directory of the user is assumed to be private.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Makes such a directory.
pub(super) fn builder() -> DirBuilder {
    DirBuilder::new()
}

pub(super) struct CacheDirectory(PathBuf);

impl CacheDirectory {
    /// # Errors
    /// Why the directory cannot be used.
    pub fn open(path: &Path) -> Result<Self, String> {
        match path.is_dir() {
            true => Ok(Self(path.to_owned())),
            false => Err("it is not a directory".to_owned()),
        }
    }

    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name))
    }

    /// Writes a file. Readers never see half of it.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = self.0.join(format!("{name}.{}", std::process::id()));
        std::fs::write(&unfinished, parts.concat())?;
        std::fs::rename(&unfinished, self.0.join(name))
    }

    /// Removes the oldest files until all of them together have at most `most` bytes. The last one stays.
    pub fn prune(&self, most: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        files.pop();
        for (_, length, path) in files {
            if total <= most {
                break;
            }
            std::fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }
}
