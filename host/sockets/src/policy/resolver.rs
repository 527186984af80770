//! Who resolves host names for guests: the operating system, or a [`Resolver`] of the host's own.

use futures_util::future::BoxFuture;
use std::fmt::Debug;
use std::io;
use std::net::IpAddr;

/// Resolves host names for guests, in the place of the operating system.
///
/// It is asked only for names that a guest may look up. The results are cached for a second, callers that look
/// up the same name at the same time share one call, and the number of calls at a time for names that were not
/// granted one by one is limited to 64.
pub trait Resolver: Debug + Send + Sync {
    /// Resolves a name to its addresses, in order of preference. It runs in a task of its own, which nobody
    /// cancels.
    ///
    /// # Errors
    /// If the name cannot be resolved. Guests get `temporary-resolver-failure` if the answer did not arrive
    /// (the kind of the error is a timeout or a broken connection), and otherwise, or if there are no
    /// addresses, `name-unresolvable`.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Resolves a host name with the operating system's resolver, as guests' names are by default.
///
/// It takes a thread of the tokio runtime for blocking calls until the operating system answers, also if the
/// future is dropped.
///
/// # Errors
/// What the operating system reports. Why a name has no addresses is in the text of the error only.
pub async fn resolve_name(name: &str) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}
