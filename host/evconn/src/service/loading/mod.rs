//! Makes a [`Service`] from bytes or a file. Content is recognized by its bytes, never by the file's
//! name, and every problem is reported in one line.
//!
//! The [`contract`] defines what a service may import and has to export; the [`service`](crate::service)
//! module, what it is granted.

mod builder;
mod command;
mod constructors;
mod content;
mod contract;
mod features;
mod filters;
mod outline;
mod progress;
mod size;

pub use builder::ServiceBuilder;
pub(crate) use command::{Command, command, map_command};
pub(crate) use content::read;
pub(super) use contract::entry_points;

use super::InstanceState;
use super::async_handler::add_types_to_linker;
use super::imports::Imports;
use super::random::add_random_to_linker;
use crate::error::{LoadError, LoadProblem, one_line, shortened};
use crate::files::{add_async_files_to_linker, add_files_to_linker};
use crate::interfaces::{self, EntryPoint};
use crate::link::{self, Role};
use crate::trap::SourceLines;
use crate::{Error, Host, Service, WasiVersion, open_file, privacy, runtime, sockets};
use content::Content;
use filters::Filters;
use outline::Outline;
use size::Size;
use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

/// The name in the log of a component that does not come from a file.
pub(crate) const UNNAMED: &str = "the component";

impl WasiVersion {
    /// Returns the version that a component in a file [seems to be built for](Self::guess): 0.2 if the file cannot be
    /// read.
    pub fn guess_file(path: impl AsRef<Path>) -> Self {
        read(path.as_ref()).map_or(Self::V0_2, |bytes| Self::guess(&bytes))
    }
}

/// Whether compiled code may be loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Precompiled {
    Refused,
    Trusted,
}

/// Compiling.
impl Host {
    /// Compiles a service ahead of time: a component or its text. The result can be loaded with
    /// [`Service::from_precompiled`] by the same version of evconn on the same kind of processor.
    ///
    /// # Errors
    /// As [`Service::new`]: a component that could not be loaded later is not compiled.
    pub fn precompile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        Service::builder(self).precompile(component)
    }

    /// Compiles a file as [`Host::precompile`] does.
    ///
    /// # Errors
    /// As [`Service::from_file`].
    pub fn precompile_file(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
        Service::builder(self).precompile_file(path)
    }
}

fn from_file(
    builder: &ServiceBuilder,
    path: &Path,
    precompiled: Precompiled,
) -> Result<Service, Error> {
    builder.filters.check_imports(&builder.imports)?;
    let name = path.display().to_string();
    let service = content::read_with_metadata(path).and_then(|(bytes, metadata)| {
        if precompiled == Precompiled::Trusted
            && let Content::Compiled = Content::of(&bytes)?
            && let Some(problem) = privacy::problem(&metadata)
        {
            return Err(LoadProblem::NotPrivate(problem));
        }
        load(builder, &name, &bytes, precompiled)
    });
    Ok(service.map_err(|problem| LoadError::of_file(path, problem))?)
}

#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
fn load(
    builder: &ServiceBuilder,
    name: &str,
    bytes: &[u8],
    precompiled: Precompiled,
) -> Result<Service, LoadProblem> {
    let ServiceBuilder {
        host,
        imports,
        filters,
    } = builder;
    let mut lines = SourceLines::default();
    let mut composition = None;
    let component = match Content::of(bytes)? {
        Content::Component(binary) => {
            composition = composed(&binary, imports, filters)?;
            let binary = composition.as_deref().unwrap_or(&binary);
            lines = SourceLines::of(binary);
            compile_service(host, name, binary)?
        }
        Content::Compiled if !filters.is_empty() => return Err(LoadProblem::PrecompiledProgram),
        Content::Compiled if precompiled == Precompiled::Trusted => {
            // SAFETY: the caller of `from_precompiled` or `from_precompiled_file` has guaranteed that
            // this is unmodified code from wasmtime.
            let code = in_its_engine(host, WasiVersion::guess(bytes), |engine| unsafe {
                Component::deserialize(engine, bytes)
            });
            // The file is not mapped: overwriting it with the next version would change running code.
            let component = code?;
            contract::check(&Outline::of_compiled(&component), imports)?;
            component
        }
        Content::Compiled => return Err(LoadProblem::Precompiled),
    };
    let service = with_image(host, imports, &component)?;
    Ok(service.with_lines(lines).with_composition(composition))
}

/// Loads compiled code by mapping it, or what else is in the file by reading it.
///
/// # Safety
/// As [`Service::from_mapped`].
#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
unsafe fn map_service(builder: &ServiceBuilder, code: &File) -> Result<Service, LoadProblem> {
    let ServiceBuilder {
        host,
        imports,
        filters,
    } = builder;
    if !filters.is_empty() {
        return Err(LoadProblem::PrecompiledProgram);
    }
    // SAFETY: the caller guarantees it.
    match in_its_engine(host, host.wasi(), |engine| unsafe {
        runtime::map(engine, code)
    })? {
        Some(component) => {
            contract::check(&Outline::of_compiled(&component), imports)?;
            with_image(host, imports, &component)
        }
        None => {
            let bytes = open_file::read(code).map_err(LoadProblem::Unreadable)?;
            load(builder, UNNAMED, &bytes, Precompiled::Trusted)
        }
    }
}

/// Loads compiled code into the engine that it was compiled for, which is most likely that of `version`: the engines of
/// WASI 0.2 and 0.3 refuse each other's code.
fn in_its_engine<T>(
    host: &Host,
    version: WasiVersion,
    load: impl Fn(&Engine) -> wasmtime::Result<T>,
) -> Result<T, LoadProblem> {
    in_engine_of(version, |version| {
        load(engine(host, version)?).map_err(|error| incompatible(host, &error))
    })
}

/// Loads compiled code with the engine of the version that it is most likely for, or else with the other one.
fn in_engine_of<T>(
    version: WasiVersion,
    load: impl Fn(WasiVersion) -> Result<T, LoadProblem>,
) -> Result<T, LoadProblem> {
    load(version).or_else(|problem| load(version.other()).map_err(|_| problem))
}

/// Returns the engine for services of a version of WASI.
fn engine(host: &Host, version: WasiVersion) -> Result<&Engine, LoadProblem> {
    let services = host.services(version);
    services
        .map(|services| &services.engine)
        .map_err(|error| LoadProblem::NoEngine(one_line(&error)))
}

/// Checks and links a compiled component, and prepares the images of its memories.
fn with_image(
    host: &Host,
    imports: &Imports,
    component: &Component,
) -> Result<Service, LoadProblem> {
    let service = prepare(host, imports, component)?;
    // Otherwise the first instance would open a descriptor for the image. That happens after a connection
    // was accepted, which would fail if there is no free descriptor.
    component
        .initialize_copy_on_write_image()
        .map_err(|error| LoadProblem::NoImage(one_line(&error)))?;
    Ok(service)
}

fn precompile(builder: &ServiceBuilder, name: &str, bytes: &[u8]) -> Result<Vec<u8>, LoadProblem> {
    let ServiceBuilder {
        host,
        imports,
        filters,
    } = builder;
    let Content::Component(binary) = Content::of(bytes)? else {
        return Err(LoadProblem::Precompiled);
    };
    let composition = composed(&binary, imports, filters)?;
    let binary = composition.as_deref().unwrap_or(&binary);
    let component = compile_service(host, name, binary)?;
    prepare(host, imports, &component)?;
    component
        .serialize()
        .map_err(|error| LoadProblem::Invalid(one_line(&error)))
}

/// Checks what a component imports and exports, together with the filters in front of it. If it has to be composed with
/// them, or with the listener, the composition is returned.
fn composed(
    binary: &[u8],
    imports: &Imports,
    filters: &Filters,
) -> Result<Option<Vec<u8>>, LoadProblem> {
    match filters.in_front_of(binary)? {
        Some(composition) => checked(&composition, imports).map(|_| Some(composition)),
        None => checked(binary, imports),
    }
}

/// Checks what a component imports and exports. A program that imports the listener is composed with it first, and the
/// composition is returned.
fn checked(binary: &[u8], imports: &Imports) -> Result<Option<Vec<u8>>, LoadProblem> {
    features::check_version(binary, wasi_version(binary))?;
    let Some(outline) = Outline::of_binary(binary) else {
        // It is invalid: the compiler reports where.
        return Ok(None);
    };
    if !contract::is_for_listener(&outline) {
        return contract::check(&outline, imports).map(|()| None);
    }
    let linked = link::link(None, binary, Role::Application)?;
    check_interfaces(&linked.binary, |outline| contract::check(outline, imports))?;
    Ok(Some(linked.binary))
}

/// Returns the names of what a compiled component exports.
pub(super) fn exports(component: &Component) -> Vec<String> {
    Outline::of_compiled(component).exports
}

/// Compiles a component that was checked, as much as possible before compiling.
fn compile_service(host: &Host, name: &str, binary: &[u8]) -> Result<Component, LoadProblem> {
    contract::check_size(&Size::of(binary)?, host.limits())?;
    compile(host, engine(host, wasi_version(binary))?, name, binary)
}

/// Returns the version of WASI that a component was built for.
fn wasi_version(binary: &[u8]) -> WasiVersion {
    let exports = outline::exports(binary);
    interfaces::wasi_version(exports.iter().map(String::as_str))
}

fn check_interfaces(
    binary: &[u8],
    contract: impl FnOnce(&Outline) -> Result<(), LoadProblem>,
) -> Result<(), LoadProblem> {
    features::check_version(binary, wasi_version(binary))?;
    match Outline::of_binary(binary) {
        Some(outline) => contract(&outline),
        // It is invalid: the compiler reports where.
        None => Ok(()),
    }
}

fn compile(
    host: &Host,
    engine: &Engine,
    name: &str,
    binary: &[u8],
) -> Result<Component, LoadProblem> {
    progress::logged(name, || host.code().compile(engine, binary)).map_err(|error| {
        features::why_refused(binary, || contract::refused_by_compiler(&error))
            .unwrap_or_else(|| invalid(&error))
    })
}

/// Checks and links a compiled component.
fn prepare(host: &Host, imports: &Imports, component: &Component) -> Result<Service, LoadProblem> {
    contract::check_compiled(component, host.limits())?;
    let outline = Outline::of_compiled(component);
    let wasi = outline.wasi();
    let engine = component.engine();
    let mut linker = Linker::<InstanceState>::new(engine);
    let unlinkable = |error| LoadProblem::Unlinkable(one_line(&error));
    sockets::p2::add_to_linker(&mut linker)
        .and_then(|()| sockets::p2::add_granted_to_linker(&mut linker))
        .and_then(|()| add_files_to_linker(&mut linker))
        .and_then(|()| add_random_to_linker(&mut linker))
        .and_then(|()| match wasi {
            WasiVersion::V0_2 => Ok(()),
            WasiVersion::V0_3 => add_async_to_linker(&mut linker),
        })
        .and_then(|()| imports.add_to_linker(&mut linker))
        .map_err(unlinkable)?;
    let linked = linker.instantiate_pre(component).map_err(unlinkable)?;
    let of_component = linker
        .substituted_component_type(component)
        .map_err(unlinkable)?;
    let entry_points = entry_points(&outline.exports);
    let entry_point = match entry_points.contains(&EntryPoint::Handler) {
        true => {
            contract::check_handler(engine, &of_component)?;
            EntryPoint::Handler
        }
        false => EntryPoint::Run,
    };
    let service = Service::from_component(host, wasi, linked, entry_point).map_err(unlinkable)?;
    Ok(service.with_make_state(imports.make_state.clone()))
}

/// Adds what a component of WASI 0.3 may import, besides what is WASI 0.2's.
fn add_async_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    sockets::p3::add_to_linker(linker)?;
    sockets::p3::add_granted_to_linker(linker)?;
    add_async_files_to_linker(linker)?;
    add_types_to_linker(linker)
}

/// Returns a component's binary, from a binary or its text.
pub(crate) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, LoadProblem> {
    match Content::of(bytes)? {
        Content::Component(binary) => Ok(binary),
        Content::Compiled => Err(LoadProblem::PrecompiledProgram),
    }
}

fn invalid(error: &wasmtime::Error) -> LoadProblem {
    LoadProblem::Invalid(shortened(&error.root_cause().to_string()))
}

fn incompatible(host: &Host, error: &wasmtime::Error) -> LoadProblem {
    LoadProblem::Incompatible {
        reason: one_line(error),
        advice: match host.has_pool() {
            true => "compile it again, with this version of `evconn compile`",
            false => {
                "serve the component itself, since this host has to compile without a pool of instances"
            }
        },
    }
}
