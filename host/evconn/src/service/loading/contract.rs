//! What a service has to export, and what it may import and use.
//!
//! The linker would detect this, too, but one problem at a time, and with less helpful messages.

use super::super::imports::Imports;
use super::outline::{Import, Outline};
use super::size::Size;
use crate::bindings::ServedConnection;
use crate::bindings::service::evconn::tcp::connection::Connection;
use crate::bindings::service_v0_3::evconn::tcp::types::ErrorCode as AsyncErrorCode;
use crate::error::{LoadProblem, one_line};
use crate::interfaces::{
    ASYNC, ASYNC_HANDLER, EntryPoint, HANDLER, LISTENER, Missing, Name, OURS, WASI,
    is_async_handler, is_async_run, is_provided,
};
use crate::{Limits, WasiVersion};
use wasmtime::Engine;
use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{Component, FutureReader, Resource, StreamReader};

/// How one direction of a connection ends, for the handler of WASI 0.3.
type Ended = FutureReader<Result<(), AsyncErrorCode>>;

/// The types with which the handler of WASI 0.3 is called.
type AsyncParameters = (Resource<ServedConnection>, StreamReader<u8>, Ended);
type AsyncResult = (Result<(StreamReader<u8>, Ended), AsyncErrorCode>,);

/// The unit of a memory's size, in bytes.
const PAGE: u64 = 64 << 10;

/// Checks what a service exports and imports. What it imports from its embedder is up to the linker.
pub(super) fn check(outline: &Outline, imports: &Imports) -> Result<(), LoadProblem> {
    match *entry_points(&outline.exports) {
        [] => return Err(no_entry_point(&outline.exports)),
        // It could never accept a connection.
        [EntryPoint::Run] if !outline.imports.iter().any(|import| is_tcp(&import.name)) => {
            return Err(LoadProblem::NeverListens);
        }
        _ => {}
    }
    match imports.is_empty() {
        true => check_imports(outline, outline.wasi()),
        false => Ok(()),
    }
}

/// Returns the entry points for connections among these exports.
pub(in crate::service) fn entry_points(exports: &[String]) -> Vec<EntryPoint> {
    let has = |is_it: fn(&str) -> bool| exports.iter().any(|export| is_it(export));
    let handler = has(is_handler).then_some(EntryPoint::Handler);
    let run = has(is_run).then_some(EntryPoint::Run);
    handler.into_iter().chain(run).collect()
}

/// Returns whether this is a program that has to be composed with the listener. The version of that may be wrong:
/// composing reports it.
pub(super) fn is_for_listener(outline: &Outline) -> bool {
    let imports = |import: &Import| import.name.split('@').next() == LISTENER.split('@').next();
    entry_points(&outline.exports).contains(&EntryPoint::Run) && outline.imports.iter().any(imports)
}

/// Checks what a command exports and imports.
pub(super) fn check_command(outline: &Outline) -> Result<(), LoadProblem> {
    if !outline.exports.iter().any(|export| is_run(export)) {
        return Err(LoadProblem::NoCommand(outline.exports.clone()));
    }
    check_imports(outline, outline.wasi())
}

pub(super) fn check_imports(outline: &Outline, wasi: WasiVersion) -> Result<(), LoadProblem> {
    let missing = outline
        .imports
        .iter()
        .filter(|import| import.has_functions && !is_provided(&import.name, wasi));
    let missing: Vec<_> = missing.map(|import| Missing(import.name.clone())).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(LoadProblem::Imports(missing)),
    }
}

pub(super) fn no_entry_point(exports: &[String]) -> LoadProblem {
    let is_other = |name: &&String| name.split('@').next() == HANDLER.split('@').next();
    match exports.iter().find(is_other) {
        Some(other) => LoadProblem::OtherHandler(other.clone()),
        None => LoadProblem::NoHandler(exports.to_vec()),
    }
}

/// Returns whether this is a handler interface, in a version of this host's or a compatible one.
fn is_handler(export: &str) -> bool {
    is_sync_handler(export) || is_async_handler(export)
}

fn is_sync_handler(export: &str) -> bool {
    Name::parse(export).is_some_and(|name| {
        (name.package, name.interface) == ("evconn:tcp", "handler") && name.is_version(OURS)
    })
}

fn is_run(export: &str) -> bool {
    is_sync_run(export) || is_async_run(export)
}

fn is_sync_run(export: &str) -> bool {
    Name::parse(export).is_some_and(|name| {
        (name.package, name.interface) == ("wasi:cli", "run") && name.is_version(WASI)
    })
}

/// Returns whether this is an interface with which a program listens.
fn is_tcp(import: &str) -> bool {
    Name::parse(import).is_some_and(|name| match (name.package, name.interface) {
        ("wasi:sockets", "tcp") => name.is_version(WASI),
        ("wasi:sockets", "types") => name.is_version(ASYNC),
        _ => false,
    })
}

/// Checks that the handler function has the type with which it will be called. Pass the type of a
/// component whose imports are resolved: before, its resource types are abstract.
pub(super) fn check_handler(
    engine: &Engine,
    of_component: &types::Component,
) -> Result<(), LoadProblem> {
    let exports: Vec<_> = of_component.exports(engine).collect();
    // The one that is called.
    let (asynchronous, name) = match exports.iter().any(|(name, _)| is_async_handler(name)) {
        true => (true, ASYNC_HANDLER),
        false => (false, HANDLER),
    };
    let wrong = |why: String| Err(LoadProblem::WrongHandler(name, why));
    let is_called = if asynchronous {
        is_async_handler
    } else {
        is_sync_handler
    };
    let handler = exports.iter().find(|(name, _)| is_called(name));
    let Some((_, ComponentItem::ComponentInstance(handler))) =
        handler.map(|(name, export)| (name, &export.ty))
    else {
        return wrong("it is no interface".to_owned());
    };
    match handler.get_export(engine, "handle").map(|export| export.ty) {
        Some(ComponentItem::ComponentFunc(handle)) => match asynchronous {
            true => handle.typecheck::<AsyncParameters, AsyncResult>(&of_component.instance_type()),
            false => handle
                .typecheck::<(Connection,), (Result<(), String>,)>(&of_component.instance_type()),
        }
        .or_else(|error| wrong(format!("`handle` has another type: {}", one_line(&error)))),
        _ => wrong("it has no function `handle`".to_owned()),
    }
}

/// Checks that an instance stays within the limits.
pub(super) fn check_size(size: &Size, capacity: &Limits) -> Result<(), LoadProblem> {
    for (takes, unit, allowed, flag) in [
        (
            size.memory,
            "bytes of memory",
            capacity.max_memory,
            "--max-memory",
        ),
        (
            size.table_elements,
            "table elements",
            capacity.max_table_elements,
            "--max-table-elements",
        ),
        (
            size.memories,
            "memories",
            capacity.max_memories,
            "--max-memories",
        ),
        (size.tables, "tables", capacity.max_tables, "--max-tables"),
        (
            size.core_instances,
            "core instances",
            capacity.max_core_instances,
            "--max-core-instances",
        ),
    ] {
        if takes > allowed as u64 {
            return Err(LoadProblem::TooLarge(format!(
                "an instance of it begins with {takes} {unit}, and {allowed} are allowed ({flag})"
            )));
        }
    }
    Ok(())
}

/// Checks compiled code as far as possible: each memory and each table by itself.
pub(super) fn check_compiled(component: &Component, capacity: &Limits) -> Result<(), LoadProblem> {
    // None: it imports core modules, which this host does not provide.
    let Some(needed) = component.resources_required() else {
        return Ok(());
    };
    let pages = needed.max_initial_memory_size.unwrap_or(0);
    let size = Size {
        memories: needed.num_memories.into(),
        memory: pages.saturating_mul(PAGE),
        tables: needed.num_tables.into(),
        table_elements: needed.max_initial_table_size.unwrap_or(0),
        ..Size::default()
    };
    check_size(&size, capacity)
}

/// Returns the problem with a valid component that the compiler refuses. It has limits of its own, for the size of a
/// function for example, and puts core instances between components, which are counted only after it has made them.
pub(super) fn refused_by_compiler(error: &wasmtime::Error) -> LoadProblem {
    LoadProblem::TooLarge(format!(
        "the compiler refuses it: {} (core instances that are put between components count for \
         --max-core-instances, too)",
        one_line(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_handler_of_another_version_is_told_apart() {
        for name in [HANDLER, "evconn:tcp/handler@0.1.7"] {
            assert_eq!(entry_points(&exports(&[name])), [EntryPoint::Handler]);
        }
        for name in ["evconn:tcp/handler@0.2.0", "evconn:tcp/handler"] {
            let names = exports(&[name]);
            assert!(entry_points(&names).is_empty());
            let problem = no_entry_point(&names);
            assert!(matches!(&problem, LoadProblem::OtherHandler(other) if other == name));
        }
        let problem = no_entry_point(&exports(&["handler"]));
        assert!(matches!(problem, LoadProblem::NoHandler(_)));
    }

    #[test]
    fn a_handler_comes_before_a_program() {
        let both = exports(&["wasi:cli/run@0.2.3", HANDLER]);
        assert_eq!(entry_points(&both), [EntryPoint::Handler, EntryPoint::Run]);
        for run in ["wasi:cli/run@0.3.0", "wasi:cli/run@0.3.7"] {
            assert_eq!(entry_points(&exports(&[run])), [EntryPoint::Run]);
        }
        assert!(entry_points(&exports(&["wasi:cli/run@0.3.0-rc-1"])).is_empty());
    }

    #[test]
    fn a_program_without_sockets_is_refused() {
        let of = |runs: &[&str], imports: &[&str]| Outline {
            imports: imports
                .iter()
                .map(|&name| Import {
                    name: name.to_owned(),
                    has_functions: true,
                })
                .collect(),
            exports: exports(runs),
        };
        let check = |outline| check(&outline, &Imports::default());
        for tcp in ["wasi:sockets/tcp@0.2.0", "wasi:sockets/types@0.3.0"] {
            let checked = check(of(&["wasi:cli/run@0.3.0"], &[tcp]));
            checked.expect("it may listen");
        }
        let of = |imports: &[&str]| of(&["wasi:cli/run@0.2.3"], imports);
        let refused = check(of(&["wasi:sockets/udp@0.2.0", "wasi:cli/exit@0.2.0"]));
        assert!(matches!(refused, Err(LoadProblem::NeverListens)));
        assert!(is_for_listener(&of(&["evconn:tcp/listener@0.9.0"])));
        assert!(!is_for_listener(&of(&["wasi:sockets/tcp@0.2.0"])));
    }
}
