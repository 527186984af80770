//! The errors of grants.

use std::io;
use std::path::PathBuf;

/// Why something cannot be granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The directory does not exist, or cannot be read.
    #[error("cannot grant the directory {}: {error}", path.display())]
    Directory {
        /// Its path on the host.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// A directory's path in the guest is empty, or is that of another directory, too.
    #[error(
        "cannot grant the directory {} as {guest_path:?}: it takes a path that no other directory has",
        path.display()
    )]
    GuestPath {
        /// The directory's path on the host.
        path: PathBuf,
        /// Its path in the guest.
        guest_path: String,
    },
    /// The name cannot be that of an environment variable.
    #[error("cannot grant an environment variable {0:?}: a name is not empty, and without `=`")]
    VariableName(String),
    /// A text contains a NUL character, which would end it for C programs.
    #[error("cannot grant {0}: there is a NUL character in it")]
    Nul(String),
}
