//! The flags for compiled code.

use clap::Args;
use evconn::CodeCache;

#[derive(Args, Debug)]
#[command(next_help_heading = "Code")]
pub struct CacheArgs {
    /// Compile at each start, without the cache of compiled code
    ///
    /// The cache is $XDG_CACHE_HOME/evconn, or ~/.cache/evconn. It is not used if other users can write to it.
    #[arg(long)]
    no_cache: bool,
}

impl CacheArgs {
    pub fn cache(&self) -> CodeCache {
        match self.no_cache {
            true => CodeCache::Off,
            false => CodeCache::User,
        }
    }
}
