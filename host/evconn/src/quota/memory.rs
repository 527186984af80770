//! The memory that the processes share: a lock, and words that are read and written one at a time.
//!
//! All of it is atomic, since other processes write to it at any time. [`layout`](super::layout) defines the
//! meaning of the words.

use super::named;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The lock has a cache line of its own, before the words.
const LOCK_BYTES: usize = 64;

/// A shared memory, mapped into this process.
pub(super) struct Memory {
    descriptor: OwnedFd,
    base: NonNull<c_void>,
    words: usize,
}

#[allow(
    unsafe_code,
    reason = "the mapping is valid until this is dropped, and is only accessed atomically"
)]
mod mapping {
    use super::*;

    // SAFETY: a mapping belongs to the process, not to a thread.
    unsafe impl Send for Memory {}
    // SAFETY: all access is atomic.
    unsafe impl Sync for Memory {}

    impl Memory {
        /// Maps a file of this many words, after the lock.
        pub fn map(descriptor: OwnedFd, words: usize) -> io::Result<Self> {
            let (access, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
            // SAFETY: the kernel chooses an address at which nothing is mapped.
            let base = unsafe { mmap(null_mut(), bytes(words), access, shared, &descriptor, 0) };
            let base = base.map_err(named("map the shared memory of the quota"))?;
            let base = NonNull::new(base).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Self {
                descriptor,
                base,
                words,
            })
        }

        pub fn lock(&self) -> &AtomicU32 {
            // SAFETY: the mapping begins with it, is aligned to a page, and outlives the reference. Any
            // bytes are a valid value.
            unsafe { self.base.cast().as_ref() }
        }

        pub fn words(&self) -> &[AtomicU64] {
            // SAFETY: they follow the lock, `words` of them, aligned, and outlive the reference. Any bytes
            // are valid values, and nothing accesses them in another size.
            unsafe {
                let first = self.base.byte_add(LOCK_BYTES).cast();
                NonNull::slice_from_raw_parts(first, self.words).as_ref()
            }
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: no reference to the mapping is left. An error would mean that it is not mapped.
            let _ = unsafe { munmap(self.base.as_ptr(), bytes(self.words)) };
        }
    }
}

/// Returns the size of a memory of this many words.
fn bytes(words: usize) -> usize {
    LOCK_BYTES + 8 * words
}

impl Memory {
    /// Creates a memory of this many words, all of them 0.
    pub fn create(words: usize) -> io::Result<Self> {
        Self::map(create_file(bytes(words))?, words)
    }

    /// Maps a memory that another process has created, whatever its size.
    pub fn open(descriptor: OwnedFd) -> io::Result<Self> {
        let status = rustix::fs::fstat(&descriptor);
        let size = status.map_err(named("inspect the shared memory of the quota"))?;
        let size = usize::try_from(size.st_size).unwrap_or(0);
        let words = size.saturating_sub(LOCK_BYTES) / 8;
        match words > 0 && bytes(words) == size {
            true => Self::map(descriptor, words),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a file of {size} bytes is not the shared memory of a quota"),
            )),
        }
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Returns the number of words.
    pub fn len(&self) -> usize {
        self.words
    }

    pub fn word(&self, word: usize) -> &AtomicU64 {
        &self.words()[word]
    }

    pub fn get(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Acquire)
    }

    /// Writes a word, after all that was written before.
    pub fn set(&self, word: usize, value: u64) {
        #[cfg(test)]
        super::tests::death::step();
        self.word(word).store(value, Ordering::Release);
    }

    /// Adds to a word. Returns its previous value.
    pub fn add(&self, word: usize, value: u64) -> u64 {
        #[cfg(test)]
        super::tests::death::step();
        self.word(word).fetch_add(value, Ordering::AcqRel)
    }
}

/// Creates a file without a name, whose size cannot change: no process can take the memory away from
/// another one.
#[cfg(target_os = "linux")]
fn create_file(size: usize) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match memfd_create("evconn-quota", flags) {
        Ok(file) => file,
        Err(error) => {
            tracing::debug!("no memfd for the quota, using a temporary file: {error}");
            return create_temporary(size);
        }
    };
    let sealed = ftruncate(&file, size as u64).and_then(|()| {
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)
    });
    sealed.map_err(named("set the size of the shared memory of the quota"))?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn create_file(size: usize) -> io::Result<OwnedFd> {
    create_temporary(size)
}

/// Creates a temporary file without a name. Its blocks are written now: on a full disk, a later access would
/// raise a signal.
fn create_temporary(size: usize) -> io::Result<OwnedFd> {
    use std::hash::{BuildHasher, RandomState};
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let name = format!("evconn-quota-{:016x}", RandomState::new().hash_one(size));
    let path = std::env::temp_dir().join(name);
    let failed = |error: io::Error| {
        let message = format!("create {path:?}, the shared memory of the quota: {error}");
        io::Error::new(error.kind(), message)
    };
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    std::fs::remove_file(&path).map_err(failed)?;
    io::copy(&mut io::repeat(0).take(size as u64), &mut file).map_err(failed)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_as_good() {
        let file = create_temporary(bytes(100)).expect("a file");
        let other = file.try_clone().expect("another descriptor");
        let (one, other) = (Memory::map(file, 100), Memory::open(other));
        let (one, other) = (one.expect("a mapping"), other.expect("a mapping"));
        assert_eq!((one.len(), other.len()), (100, 100));
        one.set(99, 7);
        assert_eq!(other.add(99, 1), 7);
        assert_eq!(one.get(99), 8);
        assert_eq!(one.get(0), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_can_change_its_size() {
        let memory = Memory::create(10).expect("a memory");
        for size in [0, 1 << 20] {
            let changed = rustix::fs::ftruncate(memory.descriptor(), size);
            assert_eq!(changed, Err(rustix::io::Errno::PERM));
        }
    }
}
