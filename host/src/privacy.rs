//! Who can change a file, besides this process's user and root: what is read from it is to be believed,
//! or even run.

use std::fs::Metadata;

/// What is wrong with a file, or a directory, that is to be this user's alone, or root's.
#[cfg(unix)]
pub(crate) fn problem(metadata: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Some("it belongs to another user");
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Some("other users can write to it");
    }
    None
}

/// The user's files are the user's alone there.
#[cfg(not(unix))]
pub(crate) fn problem(_metadata: &Metadata) -> Option<&'static str> {
    None
}
