//! The flags for code: what is compiled, and kept.

use clap::Args;
use evconn::CodeCache;

/// To be flattened into the arguments of each command that runs components.
#[derive(Args, Debug)]
#[command(next_help_heading = "Code")]
pub struct CacheArgs {
    /// Compile at each start, rather than keep compiled code in the user's cache directory
    /// ($XDG_CACHE_HOME/evconn, or else ~/.cache/evconn). What others can write to there is not used.
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
