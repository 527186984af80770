//! Linking two components into one: the listener, or a middleware in front of it, and what imports it.

use crate::error::{LoadProblem, shortened};
use crate::guests;
use crate::interfaces::{ASYNC_LISTENER, LISTENER};
use std::borrow::Cow;
use wac_graph::types::{Package, World};
use wac_graph::{CompositionGraph, EncodeOptions, PackageId, PlugError, plug};
use wasmparser::{Parser, Payload};

/// The part that a component has in the composition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It uses the listener, and no other component uses one of it.
    Application,
    /// It uses the listener in order to provide one.
    Middleware,
}

/// A component that exports a listener.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    binary: Cow<'static, [u8]>,
    /// The interface that it exports.
    interface: &'static str,
}

/// The listeners that there are, one for each version of WASI.
static LISTENERS: [Provider; 2] = [
    Provider {
        binary: Cow::Borrowed(guests::LISTENER),
        interface: LISTENER,
    },
    Provider {
        binary: Cow::Borrowed(guests::ASYNC_LISTENER),
        interface: ASYNC_LISTENER,
    },
];

/// Two components in one.
pub(crate) struct Linked {
    pub binary: Vec<u8>,
    /// The import that was linked.
    pub listener: &'static str,
    /// What it imports, in alphabetical order.
    pub imports: Vec<String>,
}

impl Linked {
    /// Makes a provider of it, if it is a middleware.
    pub fn into_provider(self) -> Provider {
        Provider {
            binary: self.binary.into(),
            interface: self.listener,
        }
    }
}

/// Links a component that exports a listener to the binary of one that imports it: `listener.wasm` for the version of
/// WASI that it is of, unless there is another provider.
pub(crate) fn link(
    provider: Option<&Provider>,
    app: &[u8],
    role: Role,
) -> Result<Linked, LoadProblem> {
    let mut graph = CompositionGraph::new();
    let socket = register(&mut graph, "evconn:composed", app)?;
    let imported = check(world(&graph, socket), app, role)?;
    let provider = match provider {
        Some(other) if other.interface != imported.interface => {
            return Err(LoadProblem::MixedListeners(
                imported.interface,
                other.interface,
            ));
        }
        Some(provider) => provider,
        None => imported,
    };
    let package = register(&mut graph, "evconn:provider", &provider.binary)?;
    plug(&mut graph, vec![package], socket).map_err(|error| match error {
        // The interface has this name, but other types.
        PlugError::NoPlugHappened => LoadProblem::WrongListener(provider.interface),
        PlugError::GraphError { source } => not_composed(&source),
    })?;
    let binary = graph
        .encode(EncodeOptions::default())
        .map_err(|error| not_composed(&error.into()))?;
    Ok(Linked {
        imports: imports(&binary)?,
        listener: provider.interface,
        binary,
    })
}

/// Returns whether a component imports a listener of any version. Anything but a component does not.
pub(crate) fn wants_listener(bytes: &[u8]) -> bool {
    imports(bytes).is_ok_and(|imports| imports.iter().any(|name| is_listener(name)))
}

/// Links a service to the binary of a filter, which imports a handler of the service's version and exports one.
pub(crate) fn link_filter(service: &[u8], filter: &[u8]) -> Result<Vec<u8>, LoadProblem> {
    let mut graph = CompositionGraph::new();
    let service = register(&mut graph, "evconn:service", service)?;
    let filter = register(&mut graph, "evconn:filter", filter)?;
    plug(&mut graph, vec![service], filter).map_err(|error| match error {
        // The interface has this name, but other types.
        PlugError::NoPlugHappened => LoadProblem::WrongFilter,
        PlugError::GraphError { source } => not_composed(&source),
    })?;
    let encoded = graph.encode(EncodeOptions::default());
    encoded.map_err(|error| not_composed(&error.into()))
}

/// Returns the imports of a component, in alphabetical order.
fn imports(binary: &[u8]) -> Result<Vec<String>, LoadProblem> {
    let mut graph = CompositionGraph::new();
    let package = register(&mut graph, "evconn:component", binary)?;
    let mut imports: Vec<_> = world(&graph, package).imports.keys().cloned().collect();
    imports.sort();
    Ok(imports)
}

/// Returns whether this is the listener's name, in any version.
fn is_listener(name: &str) -> bool {
    name.split('@').next() == LISTENER.split('@').next()
}

fn register(
    graph: &mut CompositionGraph,
    name: &str,
    binary: &[u8],
) -> Result<PackageId, LoadProblem> {
    let package = Package::from_bytes(name, None, binary.to_vec(), graph.types_mut());
    let package = package.map_err(|error| LoadProblem::Invalid(one_line(&error)))?;
    graph
        .register_package(package)
        .map_err(|error| not_composed(&error.into()))
}

fn world(graph: &CompositionGraph, package: PackageId) -> &World {
    &graph.types()[graph[package].ty()]
}

/// Checks that a component has the part that it is to have. Returns what provides the listener that it imports.
fn check(world: &World, app: &[u8], role: Role) -> Result<&'static Provider, LoadProblem> {
    let exported = world.exports.keys().find(|name| is_listener(name));
    match (role, exported) {
        (Role::Application, Some(_)) => return Err(LoadProblem::ExportsListener),
        (Role::Middleware, None) => return Err(LoadProblem::NoMiddleware),
        (Role::Middleware, Some(name)) if provider(name).is_none() => {
            return Err(LoadProblem::OtherListener(name.clone()));
        }
        (Role::Application, None) | (Role::Middleware, Some(_)) => {}
    }
    match (imported(world, app)?, exported) {
        (Some(imported), Some(exported)) if imported.interface != exported => {
            let exported = provider(exported).map_or("", |provider| provider.interface);
            Err(LoadProblem::MixedListeners(imported.interface, exported))
        }
        (Some(imported), _) => Ok(imported),
        (None, _) => Err(LoadProblem::NoListener(
            world.exports.keys().cloned().collect(),
        )),
    }
}

/// Returns what provides the listener that a component imports, if it imports one.
fn imported(world: &World, app: &[u8]) -> Result<Option<&'static Provider>, LoadProblem> {
    let names = world.imports.keys().filter(|name| is_listener(name));
    let is_composed = || {
        LISTENERS
            .iter()
            .any(|listener| contains(app, &listener.binary))
    };
    match *names.collect::<Vec<_>>() {
        [] if is_composed() => Err(LoadProblem::Composed),
        [] => Ok(None),
        [name] => match provider(name) {
            Some(provider) => Ok(Some(provider)),
            None => Err(LoadProblem::OtherListener(name.clone())),
        },
        [..] => Err(LoadProblem::SeveralListeners),
    }
}

/// Returns `listener.wasm` of the version that has this name.
fn provider(name: &str) -> Option<&'static Provider> {
    LISTENERS.iter().find(|listener| listener.interface == name)
}

/// Returns whether a component contains this one. A composition contains its parts byte for byte.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    payloads
        .filter_map(|payload| match payload {
            Payload::ComponentSection {
                unchecked_range, ..
            } => bytes.get(unchecked_range),
            _ => None,
        })
        .any(|nested| nested == part)
}

fn not_composed(error: &anyhow::Error) -> LoadProblem {
    LoadProblem::NotComposed(one_line(error))
}

fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    shortened(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_where_it_is() {
        let part = b"\0asm\x0d\0\x01\0";
        let around = [&part[..], &[4, 8], part].concat();
        let around_that = [&part[..], &[4, 18], &around].concat();
        assert!(contains(&around, part) && contains(&around_that, part));
        assert!(contains(&around_that, &around));
        assert!(!contains(part, part) && !contains(&around, &around_that));
        assert!(!contains(b"nonsense", part));
    }

    #[test]
    fn what_has_no_listener_to_put_in_is_refused() {
        for listener in [guests::LISTENER, guests::ASYNC_LISTENER] {
            let problem = link(None, listener, Role::Application);
            assert!(matches!(problem, Err(LoadProblem::ExportsListener)));
            let problem = link(None, listener, Role::Middleware);
            assert!(matches!(problem, Err(LoadProblem::NoListener(_))));
        }
        let problem = link(None, guests::ECHO, Role::Application);
        assert!(matches!(problem, Err(LoadProblem::NoListener(_))));
        let problem = link(None, guests::ECHO, Role::Middleware);
        assert!(matches!(problem, Err(LoadProblem::NoMiddleware)));
        assert!(!wants_listener(guests::ECHO));
        assert!(!wants_listener(b"no component"));
    }
}
