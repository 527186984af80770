//! The resource `directory-entry-stream`: what a directory contains, read a few entries at a time, since there may be
//! millions.

use super::opened::Own;
use super::operations::Operations;
use crate::sockets::Charge;
use std::collections::VecDeque;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntry;
use wasmtime_wasi::p2::{FsError, FsResult};

/// How many entries are read at a time.
const AT_A_TIME: usize = 64;

/// Entries that block until they are read.
type Entries = Box<dyn Iterator<Item = FsResult<DirectoryEntry>> + Send>;

pub struct Listing {
    /// None: all were read, or some are being read for a guest that has given up waiting.
    rest: Option<Rest>,
    read: VecDeque<FsResult<DirectoryEntry>>,
}

struct Rest {
    entries: Entries,
    /// What is charged for the descriptor, if it takes one.
    _charge: Option<Arc<Charge>>,
}

impl Listing {
    /// Opens a directory for listing, on this thread, which may block.
    pub fn open(
        own: &mut Own,
        directory: Resource<Descriptor>,
        charge: Option<Arc<Charge>>,
    ) -> FsResult<Self> {
        let rest = Rest {
            entries: entries(own, directory)?,
            _charge: charge,
        };
        Ok(Self {
            rest: Some(rest),
            read: VecDeque::new(),
        })
    }

    /// Returns the next entry.
    pub async fn next(&mut self, operations: Operations) -> FsResult<Option<DirectoryEntry>> {
        if self.read.is_empty()
            && let Some(mut rest) = self.rest.take()
        {
            let read = operations.run(move || {
                let read: VecDeque<_> = rest.entries.by_ref().take(AT_A_TIME).collect();
                let is_all = read.len() < AT_A_TIME;
                (read, (!is_all).then_some(rest))
            });
            (self.read, self.rest) = read.await.map_err(FsError::trap)?;
        }
        self.read.pop_front().transpose()
    }
}

impl Listing {
    /// Returns some entries: those that are read at a time, up to an error. After the last one, there are none.
    pub async fn some(&mut self, operations: Operations) -> FsResult<Vec<DirectoryEntry>> {
        let mut some = Vec::new();
        some.extend(self.next(operations).await?);
        while let Some(Ok(entry)) = self.read.pop_front_if(|entry| entry.is_ok()) {
            some.push(entry);
        }
        Ok(some)
    }
}

#[cfg(unix)]
fn entries(own: &mut Own, directory: Resource<Descriptor>) -> FsResult<Entries> {
    use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
    let directory = match own.table.get(&directory)? {
        Descriptor::Dir(directory) => Arc::clone(&directory.dir),
        Descriptor::File(_) => return Err(ErrorCode::NotDirectory.into()),
    };
    unix::entries(directory)
}

/// Reads all of it: there is no other way.
#[cfg(not(unix))]
fn entries(own: &mut Own, directory: Resource<Descriptor>) -> FsResult<Entries> {
    use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
    let all = super::opened::done(own.view().read_directory(directory))?;
    Ok(own.table.delete(all)?.into_iter())
}

#[cfg(unix)]
mod unix {
    use super::Entries;
    use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};
    use std::fs::File;
    use std::io;
    use std::sync::Arc;
    use wasmtime_wasi::p2::bindings::filesystem::types::{
        DescriptorType, DirectoryEntry, ErrorCode,
    };
    use wasmtime_wasi::p2::{FsError, FsResult};

    pub fn entries(directory: Arc<File>) -> FsResult<Entries> {
        let entries = Dir::read_from(&*directory).map_err(failure)?;
        let entries = entries.filter(|entry| {
            let name = entry.as_ref().map(|entry| entry.file_name().to_bytes());
            !matches!(name, Ok(b"." | b".."))
        });
        Ok(Box::new(entries.map(move |found| {
            let found = found.map_err(failure)?;
            Ok(DirectoryEntry {
                type_: type_of(&directory, &found).map_err(failure)?,
                name: name_of(&found)?,
            })
        })))
    }

    fn failure(error: rustix::io::Errno) -> FsError {
        io::Error::from(error).into()
    }

    fn name_of(entry: &DirEntry) -> FsResult<String> {
        let name = entry.file_name().to_str().map(str::to_owned);
        name.map_err(|_| ErrorCode::IllegalByteSequence.into())
    }

    fn type_of(directory: &File, entry: &DirEntry) -> rustix::io::Result<DescriptorType> {
        let known = match entry.file_type() {
            // Not every file system says.
            FileType::Unknown => {
                let stat = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        Ok(match known {
            FileType::RegularFile => DescriptorType::RegularFile,
            FileType::Directory => DescriptorType::Directory,
            FileType::Symlink => DescriptorType::SymbolicLink,
            FileType::BlockDevice => DescriptorType::BlockDevice,
            FileType::CharacterDevice => DescriptorType::CharacterDevice,
            // As for a file of this type that is opened.
            FileType::Fifo | FileType::Socket | FileType::Unknown => DescriptorType::Unknown,
        })
    }
}
