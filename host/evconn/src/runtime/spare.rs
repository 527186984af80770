//! Memory mappings and addresses that are kept for this process itself: at a limit of either, it could neither allocate
//! memory nor start a thread, and would end.

/// Mappings and addresses that nobody uses. They are free once this is dropped.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct Spare {
    start: *mut std::ffi::c_void,
}

/// How many mappings are kept, and how many addresses: more than what allocators and threads map at a time.
#[cfg(target_os = "linux")]
const MAPPINGS: usize = 512;
#[cfg(target_os = "linux")]
const ADDRESSES: usize = 32 << 20;

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "mappings without a Rust object")]
mod linux {
    use super::{ADDRESSES, MAPPINGS, Spare};
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
    use rustix::param::page_size;

    impl Spare {
        /// Returns `None` if there are not as many.
        pub fn reserve() -> Option<Self> {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            let nowhere = std::ptr::null_mut();
            // SAFETY: it is a new mapping.
            let start = unsafe { mmap_anonymous(nowhere, ADDRESSES, ProtFlags::empty(), flags) };
            let spare = Self { start: start.ok()? };
            // Each second page splits the mapping.
            (0..MAPPINGS / 2)
                .all(|number| spare.split(2 * number + 1))
                .then_some(spare)
        }

        fn split(&self, page: usize) -> bool {
            // SAFETY: the page is in the mapping, and nobody accesses it.
            unsafe {
                let page = self.start.byte_add(page * page_size());
                mprotect(page, page_size(), MprotectFlags::READ).is_ok()
            }
        }
    }

    impl Drop for Spare {
        fn drop(&mut self) {
            // SAFETY: nobody accesses it. It cannot fail: all of a mapping's pages are unmapped.
            let _ = unsafe { munmap(self.start, ADDRESSES) };
        }
    }

    // SAFETY: it is an address, which only `munmap` gets.
    unsafe impl Send for Spare {}
}

/// Only Linux limits mappings.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Spare;

#[cfg(not(target_os = "linux"))]
impl Spare {
    pub fn reserve() -> Option<Self> {
        Some(Self)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Returns the number of mappings that begin in a range.
    fn mappings(start: usize) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
        let begins = maps
            .lines()
            .filter_map(|line| usize::from_str_radix(line.split_once('-')?.0, 16).ok());
        begins
            .filter(|begin| (start..start + ADDRESSES).contains(begin))
            .count()
    }

    #[test]
    fn as_many_mappings_are_free_again() {
        let spare = Spare::reserve().expect("there are as many");
        let start = spare.start as usize;
        assert!(mappings(start) >= MAPPINGS);
        drop(spare);
        assert!(mappings(start) < MAPPINGS);
    }
}
