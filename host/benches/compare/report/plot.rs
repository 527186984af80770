use super::row::Block;
use anyhow::Result;
use std::path::{Path, PathBuf};
pub fn all(_blocks: &[Block<'_>], _directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(Vec::new())
}
