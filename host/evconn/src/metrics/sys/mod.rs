//! What the operating system knows of a process.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::usage;
#[cfg(target_os = "linux")]
pub(super) use linux::usage;

/// What a process uses, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub descriptors: Option<u64>,
    pub mappings: Option<u64>,
    pub resident_bytes: Option<u64>,
}
