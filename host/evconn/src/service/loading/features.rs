//! Finds out which features of WebAssembly a component uses that this host does not support.
//!
//! This is done only after a component was refused. The supported features are the engine's defaults,
//! which are not repeated here: the list has features that the engine may lack.

use super::outline::{exports, types};
use crate::WasiVersion;
use crate::error::LoadProblem;
use wasmparser::{Validator, WasmFeatures};

/// Features with which components are built, named as in their proposals.
const NAMED: [(WasmFeatures, &str); 14] = [
    (WasmFeatures::THREADS, "threads (shared memory)"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything threads",
    ),
    (
        WasmFeatures::LEGACY_EXCEPTIONS,
        "legacy exception handling (build it with the standard one: `-mllvm -wasm-use-legacy-eh=false`)",
    ),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact import sections"),
    (WasmFeatures::CM_VALUES, "values in components"),
    (WasmFeatures::CM_FIXED_LENGTH_LISTS, "lists of fixed length"),
    (WasmFeatures::CM_MAP, "maps in interfaces"),
    (WasmFeatures::CM_GC, "garbage-collected types in interfaces"),
    (WasmFeatures::CM64, "components with 64-bit memories"),
];

/// The features on which WASI 0.3 is based.
const ASYNC: [WasmFeatures; 5] = [
    WasmFeatures::CM_ASYNC,
    WasmFeatures::CM_ASYNC_STACKFUL,
    WasmFeatures::CM_MORE_ASYNC_BUILTINS,
    WasmFeatures::CM_THREADING,
    WasmFeatures::CM_ERROR_CONTEXT,
];

/// Refuses a component of WASI 0.2 whose interfaces have async functions, streams or futures.
pub(super) fn check_version(binary: &[u8], version: WasiVersion) -> Result<(), LoadProblem> {
    if version == WasiVersion::V0_3 {
        return Ok(());
    }
    let without = ASYNC.into_iter().collect::<WasmFeatures>().complement();
    match types(binary, without).is_none() && types(binary, WasmFeatures::all()).is_some() {
        true => Err(LoadProblem::Async(exports(binary))),
        false => Ok(()),
    }
}

/// Returns why the engine refused a component that is valid: it uses unsupported features, or else what
/// `otherwise` says.
pub(super) fn why_refused(
    binary: &[u8],
    otherwise: impl FnOnce() -> LoadProblem,
) -> Option<LoadProblem> {
    let is_valid = |features| {
        let mut validator = Validator::new_with_features(features);
        validator.validate_all(binary).is_ok()
    };
    if !is_valid(WasmFeatures::all()) {
        return None;
    }
    let is_needed = |feature| !is_valid(WasmFeatures::all().difference(feature));
    if ASYNC.into_iter().any(is_needed) {
        return Some(LoadProblem::Async(exports(binary)));
    }
    let needed = NAMED.iter().filter(|(feature, _)| is_needed(*feature));
    let names: Vec<_> = needed.map(|(_, name)| *name).collect();
    Some(match names.is_empty() {
        true => otherwise(),
        false => LoadProblem::Unsupported(names),
    })
}
