//! What a service has to export, and what it may import and use.
//!
//! The linker would detect this, too, but one problem at a time, and with less helpful messages.

use super::outline::Outline;
use super::size::Size;
use crate::Limits;
use crate::bindings::service::evconn::tcp::connection::Connection;
use crate::error::{LoadProblem, one_line};
use crate::interfaces::{HANDLER, Missing, Name, OURS, WASI, is_provided};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{self, ComponentItem};

/// The unit of a memory's size, in bytes.
const PAGE: u64 = 64 << 10;

/// Checks what a service exports and imports.
pub(super) fn check(outline: &Outline) -> Result<(), LoadProblem> {
    check_exports(&outline.exports)?;
    check_imports(outline)
}

/// Checks what a command exports and imports.
pub(super) fn check_command(outline: &Outline) -> Result<(), LoadProblem> {
    if !outline.exports.iter().any(|export| is_run(export)) {
        return Err(LoadProblem::NoCommand(outline.exports.clone()));
    }
    check_imports(outline)
}

fn check_imports(outline: &Outline) -> Result<(), LoadProblem> {
    let missing = outline
        .imports
        .iter()
        .filter(|import| import.has_functions && !is_provided(&import.name));
    let missing: Vec<_> = missing.map(|import| Missing(import.name.clone())).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(LoadProblem::Imports(missing)),
    }
}

fn check_exports(exports: &[String]) -> Result<(), LoadProblem> {
    if exports.iter().any(|export| is_handler(export)) {
        return Ok(());
    }
    let is_other = |name: &&String| name.split('@').next() == HANDLER.split('@').next();
    match exports.iter().find(is_other) {
        Some(other) => Err(LoadProblem::OtherHandler(other.clone())),
        None => Err(LoadProblem::NoHandler(exports.to_vec())),
    }
}

/// Returns whether this is the handler interface, in this version or a compatible one.
fn is_handler(export: &str) -> bool {
    Name::parse(export).is_some_and(|name| {
        (name.package, name.interface) == ("evconn:tcp", "handler") && name.is_version(OURS)
    })
}

fn is_run(export: &str) -> bool {
    Name::parse(export).is_some_and(|name| {
        (name.package, name.interface) == ("wasi:cli", "run") && name.is_version(WASI)
    })
}

/// Checks that the handler function has the type with which it will be called. Pass the type of a
/// component whose imports are resolved: before, its resource types are abstract.
pub(super) fn check_handler(
    engine: &Engine,
    of_component: &types::Component,
) -> Result<(), LoadProblem> {
    let wrong = |why: String| Err(LoadProblem::WrongHandler(why));
    let exports: Vec<_> = of_component.exports(engine).collect();
    let handler = exports.iter().find(|(name, _)| is_handler(name));
    let Some((_, ComponentItem::ComponentInstance(handler))) =
        handler.map(|(name, export)| (name, &export.ty))
    else {
        return wrong("it is no interface".to_owned());
    };
    match handler.get_export(engine, "handle").map(|export| export.ty) {
        Some(ComponentItem::ComponentFunc(handle)) => handle
            .typecheck::<(Connection,), (Result<(), String>,)>(&of_component.instance_type())
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

    #[test]
    fn a_handler_of_another_version_is_told_apart() {
        let check = |names: &[&str]| {
            check_exports(
                &names
                    .iter()
                    .map(|&name| name.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(check(&[HANDLER]).is_ok());
        assert!(check(&["evconn:tcp/handler@0.1.7"]).is_ok());
        for name in ["evconn:tcp/handler@0.2.0", "evconn:tcp/handler"] {
            let problem = check(&[name]);
            assert!(matches!(&problem, Err(LoadProblem::OtherHandler(other)) if other == name));
        }
        assert!(matches!(
            check(&["handler"]),
            Err(LoadProblem::NoHandler(_))
        ));
    }
}
