//! Permissions of the files that commands make.

use std::fs::OpenOptions;

/// Lets no other user write to the file, whatever the umask is: it may be code that is run later.
pub fn not_writable_by_others(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o644);
    #[cfg(not(unix))]
    let _ = options;
}
