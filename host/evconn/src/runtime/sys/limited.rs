//! What Linux limits for each process.

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Error, Read, Seek};

/// Something that is limited. Its file is kept open: later, the process may have given up the right to open others.
#[derive(Debug)]
pub(crate) struct Limited {
    limit: u64,
    file: File,
    count: fn(&File) -> io::Result<u64>,
}

impl Limited {
    /// Memory mappings.
    ///
    /// # Errors
    /// If it is not known how many there are.
    pub fn mappings() -> io::Result<Self> {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count")?;
        Ok(Self {
            limit: limit.trim().parse().map_err(Error::other)?,
            file: File::open("/proc/self/maps")?,
            count: lines,
        })
    }

    /// Addresses, in bytes. `None` where they are not limited.
    ///
    /// # Errors
    /// If it is not known how many there are.
    pub fn addresses() -> io::Result<Option<Self>> {
        let limited = |limit| {
            Ok(Self {
                limit,
                file: File::open("/proc/self/statm")?,
                count: pages,
            })
        };
        getrlimit(Resource::As).current.map(limited).transpose()
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns how much of it this process has. One thread at a time may ask.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn taken(&self) -> io::Result<u64> {
        (&self.file).rewind()?;
        (self.count)(&self.file)
    }
}

fn lines(file: &File) -> io::Result<u64> {
    let mut lines = BufReader::new(file).split(b'\n');
    lines.try_fold(0, |count, line| line.map(|_| count + 1))
}

/// Returns the first number of the file, which is in pages, in bytes.
fn pages(mut file: &File) -> io::Result<u64> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let pages = text.split(' ').next().unwrap_or_default();
    let pages: u64 = pages.parse().map_err(Error::other)?;
    Ok(pages * page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    #[test]
    #[allow(unsafe_code, reason = "mappings without a Rust object")]
    fn what_is_mapped_counts_each_time() {
        const LENGTH: usize = 1 << 40;
        let file = File::open("/proc/self/statm").expect("opened");
        let addresses = Limited {
            limit: 0,
            file,
            count: pages,
        };
        let before = addresses.taken().expect("read");
        let (none, flags) = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: it is a new mapping, which nobody accesses.
        unsafe {
            let start = mmap_anonymous(std::ptr::null_mut(), LENGTH, none, flags).expect("mapped");
            let after = addresses.taken().expect("read");
            munmap(start, LENGTH).expect("unmapped");
            // Other tests map less at the same time.
            assert!(after > before + (LENGTH / 2) as u64, "{before} {after}");
        }
        let mappings = Limited::mappings().expect("they are limited");
        assert!((10..mappings.limit()).contains(&mappings.taken().expect("read")));
        assert!(mappings.taken().expect("read") > 10, "and again");
    }
}
