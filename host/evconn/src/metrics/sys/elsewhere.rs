//! On other platforms, nothing is known.

use super::Usage;

pub(in crate::metrics) fn usage(_process: Option<u32>) -> Usage {
    Usage::default()
}
