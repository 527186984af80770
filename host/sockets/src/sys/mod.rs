pub(crate) mod credentials;
pub(crate) mod errno;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
pub(crate) mod readiness;
pub(crate) mod setup;
