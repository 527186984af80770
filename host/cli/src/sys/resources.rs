//! Limits that this process and its kernel have. `None` is no limit, or one that cannot be read.

use std::io;

/// Raises the limit of open files to the hard limit. Windows has none.
///
/// # Errors
/// The operating system's error; none is expected.
pub fn raise_descriptor_limit() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if raised != limit {
            setrlimit(Resource::Nofile, raised)?;
        }
    }
    Ok(())
}

/// The limit of open files.
pub fn descriptors() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// The limit of address space, in bytes. Not every Unix has one.
pub fn address_space() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return rustix::process::getrlimit(rustix::process::Resource::As).current;
    #[cfg(not(target_os = "linux"))]
    None
}

/// The maximum number of memory mappings of a process. Only Linux limits it.
pub fn mappings() -> Option<u64> {
    kernel_setting("vm/max_map_count")
}

/// Whether the kernel accepts TCP Fast Open on listening sockets. Assumed if it cannot be read.
pub fn accepts_fast_open() -> bool {
    const FOR_SERVERS: u64 = 2;
    kernel_setting("net/ipv4/tcp_fastopen").is_none_or(|bits| bits & FOR_SERVERS != 0)
}

fn kernel_setting(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}
