//! A directory of files that this process can trust. It is opened once, and each file is checked after it
//! was opened, so that no one can replace it in between.

use crate::privacy;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::fs::{futimens, openat, renameat, statat, unlinkat};
use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Returns a builder of directories that are accessible to the user alone.
pub(super) fn builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// An open directory. It refers to the same files even if its path is replaced.
pub(super) struct CacheDirectory(File);

impl CacheDirectory {
    /// # Errors
    /// Why the directory cannot be used.
    pub fn open(path: &Path) -> Result<Self, String> {
        let directory = File::open(path).map_err(|error| error.to_string())?;
        let metadata = directory.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_dir() {
            return Err("it is not a directory".to_owned());
        }
        if let Some(problem) = privacy::problem(&metadata) {
            return Err(problem.to_owned());
        }
        // Cached code can be used all the same.
        if let Err(error) = rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
            let error = io::Error::from(error);
            let path = path.display();
            tracing::info!("compiled code is not kept in {path}: {error}");
        }
        Ok(Self(directory))
    }

    /// Returns the content of a file, unless others can change the file. Sets its time of use.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        // Does not follow links, and does not wait for a writer to open a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.0, name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if let Some(problem) = privacy::problem(&metadata) {
            return Err(io::Error::other(problem));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(metadata.len() as usize + 1)?;
        file.read_to_end(&mut bytes)?;
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let used = Timestamps {
            last_access: now,
            last_modification: now,
        };
        // A file of root's may be read by others, who cannot set its time of use.
        let _ = futimens(&file, &used);
        Ok(bytes)
    }

    /// Writes a file that belongs to this user alone, replacing one of the same name. Readers never see
    /// half of it.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = format!("{name}.{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(openat(&self.0, &unfinished, flags, mode)?);
        let written = parts
            .iter()
            .try_for_each(|part| file.write_all(part))
            .and_then(|()| Ok(renameat(&self.0, &unfinished, &self.0, name)?));
        if written.is_err() {
            // The first error is the one to report.
            let _ = unlinkat(&self.0, &unfinished, AtFlags::empty());
        }
        written
    }

    /// Removes files, the least recently used first, until all of them together have at most `most`
    /// bytes. The last one stays.
    pub fn prune(&self, most: u64) -> io::Result<()> {
        let mut files = self.files()?;
        files.sort_unstable_by_key(|file| file.used);
        let mut total: u64 = files.iter().map(|file| file.length).sum();
        files.pop();
        for file in files {
            if total <= most {
                break;
            }
            match unlinkat(&self.0, &file.name, AtFlags::empty()) {
                // Another process is pruning, too.
                Ok(()) | Err(rustix::io::Errno::NOENT) => total -= file.length,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[allow(
        clippy::unnecessary_cast,
        reason = "the types of a time differ from one system to another"
    )]
    fn files(&self) -> io::Result<Vec<CacheEntry>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_owned();
            // It may have been removed by now.
            let Ok(found) = statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                files.push(CacheEntry {
                    name,
                    length: found.st_size as u64,
                    used: (found.st_mtime as i64, found.st_mtime_nsec as i64),
                });
            }
        }
        Ok(files)
    }
}

struct CacheEntry {
    name: CString,
    length: u64,
    /// The time of use: seconds and nanoseconds.
    used: (i64, i64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn opened(scratch: &Scratch) -> CacheDirectory {
        CacheDirectory::open(scratch.path()).expect("a directory")
    }

    fn refused(directory: &CacheDirectory, name: &str) -> String {
        directory.read(name).expect_err("not used").to_string()
    }

    #[test]
    fn what_was_written_is_this_users_alone() {
        let scratch = Scratch::private();
        let directory = opened(&scratch);
        directory.write("code", &[b"a", b"b"]).expect("written");
        assert_eq!(directory.read("code").expect("read"), b"ab");
        let mode = fs::metadata(scratch.join("code")).expect("it is there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert_eq!(scratch.contents(), ["code"]);
    }

    #[test]
    fn a_file_that_others_can_change_is_not_read() {
        let scratch = Scratch::private();
        let directory = opened(&scratch);
        for mode in [0o620, 0o602, 0o666] {
            directory.write("code", &[b"code"]).expect("written");
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(scratch.join("code"), permissions).expect("its mode");
            assert_eq!(refused(&directory, "code"), "other users can write to it");
        }
        // Writing it again replaces the file.
        directory.write("code", &[b"code"]).expect("written");
        assert_eq!(directory.read("code").expect("read"), b"code");
    }

    #[test]
    fn a_file_of_another_user_is_not_read() {
        let scratch = Scratch::private();
        let directory = opened(&scratch);
        directory.write("code", &[b"code"]).expect("written");
        if std::os::unix::fs::chown(scratch.join("code"), Some(65_534), None).is_err() {
            println!("skipped: only root can give files to others");
            return;
        }
        assert_eq!(refused(&directory, "code"), "it belongs to another user");
    }

    #[test]
    fn a_link_and_a_pipe_are_not_read() {
        let scratch = Scratch::private();
        let directory = opened(&scratch);
        directory.write("code", &[b"code"]).expect("written");
        symlink("code", scratch.join("link")).expect("a link");
        directory.read("link").expect_err("not followed");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(&directory.0, "pipe", FileType::Fifo, mode, 0).expect("a pipe");
        assert_eq!(refused(&directory, "pipe"), "it is not a file");
    }

    #[test]
    fn another_directory_in_its_place_is_not_looked_at() {
        let scratch = Scratch::private();
        let (path, moved) = (scratch.join("cache"), scratch.join("moved"));
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("its mode");
        let directory = CacheDirectory::open(&path).expect("a directory");
        directory.write("code", &[b"ours"]).expect("written");
        fs::rename(&path, &moved).expect("moved");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("code"), "theirs").expect("written");
        assert_eq!(directory.read("code").expect("read"), b"ours");
    }

    #[test]
    fn those_go_that_have_not_been_used_for_long() {
        let scratch = Scratch::private();
        let directory = opened(&scratch);
        for (age, name) in ["used", "newest", "old", "oldest"].iter().enumerate() {
            directory.write(name, &[&[0; 100]]).expect("written");
            let file = File::open(scratch.join(name)).expect("it is there");
            let seconds = std::time::Duration::from_secs(1_000 * (age as u64 + 1));
            let then = std::time::SystemTime::now() - seconds;
            file.set_modified(then).expect("its time");
        }
        directory.read("old").expect("used now");
        directory.prune(250).expect("pruned");
        assert_eq!(scratch.contents(), ["old", "used"]);
        directory.prune(10).expect("pruned");
        assert_eq!(scratch.contents(), ["old"]);
    }
}
