//! What the operating system knows of a process.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Usages;
#[cfg(target_os = "linux")]
pub(super) use linux::Usages;

/// What a process uses, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub cpu_seconds: Option<f64>,
    pub descriptors: Option<u64>,
    pub mappings: Option<u64>,
    pub resident_bytes: Option<u64>,
}
