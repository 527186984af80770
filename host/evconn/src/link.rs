//! Linking two components into one: the listener, or a middleware in front of it, and what imports it.

use crate::error::{LoadProblem, shortened};
use crate::guests;
use crate::interfaces::LISTENER;
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

/// Two components in one.
pub(crate) struct Linked {
    pub binary: Vec<u8>,
    /// What it imports, in alphabetical order.
    pub imports: Vec<String>,
}

/// Links a component that exports a listener to the binary of one that imports it.
pub(crate) fn link(provider: &[u8], app: &[u8], role: Role) -> Result<Linked, LoadProblem> {
    let mut graph = CompositionGraph::new();
    let provider = register(&mut graph, "evconn:provider", provider)?;
    let socket = register(&mut graph, "evconn:composed", app)?;
    check(world(&graph, socket), app, role)?;
    plug(&mut graph, vec![provider], socket).map_err(|error| match error {
        // The interface has this name, but other types.
        PlugError::NoPlugHappened => LoadProblem::WrongListener,
        PlugError::GraphError { source } => not_composed(&source),
    })?;
    let binary = graph
        .encode(EncodeOptions::default())
        .map_err(|error| not_composed(&error.into()))?;
    Ok(Linked {
        imports: imports(&binary)?,
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

fn check(world: &World, app: &[u8], role: Role) -> Result<(), LoadProblem> {
    let exported = world.exports.keys().find(|name| is_listener(name));
    match (role, exported) {
        (Role::Application, Some(_)) => return Err(LoadProblem::ExportsListener),
        (Role::Middleware, None) => return Err(LoadProblem::NoMiddleware),
        (Role::Middleware, Some(name)) if name != LISTENER => {
            return Err(LoadProblem::OtherListener(name.clone()));
        }
        (Role::Application, None) | (Role::Middleware, Some(_)) => {}
    }
    match world.imports.keys().find(|name| is_listener(name)) {
        Some(name) if name == LISTENER => Ok(()),
        Some(name) => Err(LoadProblem::OtherListener(name.clone())),
        None if contains(app, guests::LISTENER) => Err(LoadProblem::Composed),
        None => Err(LoadProblem::NoListener(
            world.exports.keys().cloned().collect(),
        )),
    }
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
        let problem = link(guests::LISTENER, guests::ECHO, Role::Application);
        assert!(matches!(problem, Err(LoadProblem::NoListener(_))));
        let problem = link(guests::LISTENER, guests::LISTENER, Role::Application);
        assert!(matches!(problem, Err(LoadProblem::ExportsListener)));
        let problem = link(guests::LISTENER, guests::ECHO, Role::Middleware);
        assert!(matches!(problem, Err(LoadProblem::NoMiddleware)));
        let problem = link(guests::LISTENER, guests::LISTENER, Role::Middleware);
        assert!(matches!(problem, Err(LoadProblem::NoListener(_))));
        assert!(!wants_listener(guests::ECHO));
        assert!(!wants_listener(b"no component"));
    }
}
