//! What cannot be granted.

use std::io;
use std::path::PathBuf;

/// What is to be granted cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// There is no such directory, or it cannot be read.
    #[error("cannot grant the directory {}: {error}", path.display())]
    Directory {
        /// Its path on the host.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A directory has no path by which the guest could find it, or one that another has, too.
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
    /// No environment variable can have that name.
    #[error("cannot grant an environment variable {0:?}: a name is not empty, and without `=`")]
    VariableName(String),
    /// There is a NUL in the text, which C programs take for its end.
    #[error("cannot grant {0}: there is a NUL character in it")]
    Nul(String),
}
