//! Checks who else than this process's user and root can change a file, before its content is trusted or
//! even run.

use std::fs::Metadata;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;

#[cfg(unix)]
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Returns what is wrong with a file or a directory that only this user or root may change.
#[cfg(unix)]
pub(crate) fn problem(metadata: &Metadata) -> Option<&'static str> {
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Some("it belongs to another user");
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Some("other users can write to it");
    }
    None
}

/// Returns what is wrong with a file whose content has to be secret. A group may be able to read it:
/// somebody has chosen that group.
#[cfg(all(unix, feature = "tls"))]
pub(crate) fn problem_of_secret(metadata: &Metadata) -> Option<&'static str> {
    const READABLE_BY_ALL: u32 = 0o004;
    match metadata.mode() {
        mode if mode & WRITABLE_BY_OTHERS != 0 => Some("other users can write to it"),
        mode if mode & READABLE_BY_ALL != 0 => Some("all users can read it"),
        _ => None,
    }
}

/// Accepts every file: on these systems the user's files are assumed to be private.
#[cfg(all(not(unix), feature = "tls"))]
pub(crate) fn problem_of_secret(_metadata: &Metadata) -> Option<&'static str> {
    None
}

/// Accepts every file: on these systems the user's files are assumed to be private.
#[cfg(not(unix))]
pub(crate) fn problem(_metadata: &Metadata) -> Option<&'static str> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn who_may_write_and_who_may_read() {
        let scratch = Scratch::private();
        let path = scratch.join("file");
        std::fs::write(&path, "").expect("written");
        for (mode, is_private, is_secret) in [
            (0o600, true, true),
            (0o640, true, true),
            (0o644, true, false),
            (0o660, false, false),
            (0o606, false, false),
        ] {
            set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
            let metadata = path.metadata().expect("it is there");
            assert_eq!(problem(&metadata).is_none(), is_private, "{mode:o}");
            #[cfg(feature = "tls")]
            assert_eq!(
                problem_of_secret(&metadata).is_none(),
                is_secret,
                "{mode:o}"
            );
            let _ = is_secret;
        }
    }
}
