//! Mapping compiled code from an open file, so that processes which map the same file share one copy of it.

use crate::open_file;
use std::fs::File;
use wasmtime::component::Component;
use wasmtime::{Engine, Precompiled};

/// Maps the compiled component in the file. Returns None if the file contains something else, or cannot be
/// mapped here: reading it shows which.
///
/// # Safety
/// As [`Service::from_mapped`](crate::Service::from_mapped).
#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
pub(crate) unsafe fn map(engine: &Engine, code: &File) -> wasmtime::Result<Option<Component>> {
    // wasmtime maps files by their path.
    let Some(path) = open_file::path(code) else {
        return Ok(None);
    };
    match Engine::detect_precompiled_file(&path) {
        Ok(Some(Precompiled::Component)) => {
            // SAFETY: the caller has guaranteed that this is unmodified code from wasmtime, and remains so.
            let component = unsafe { Component::deserialize_file(engine, path) };
            component.map(Some)
        }
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::debug!("compiled code is read, since it cannot be mapped: {error:#}");
            Ok(None)
        }
    }
}
