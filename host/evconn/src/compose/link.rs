//! One step of a composition: linking two components into one.

use super::Composition;
use crate::error::LoadProblem;
use crate::guests;
use crate::interfaces::LISTENER;
use crate::service::component;
use wac_graph::types::{Package, World};
use wac_graph::{CompositionGraph, EncodeOptions, PackageId, PlugError, plug};

/// The part that a component has in the composition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It uses the listener, and no other component uses one of it.
    Application,
    /// It uses the listener in order to provide one.
    Middleware,
}

/// Links a component that exports a listener to one that imports it.
pub(super) fn link(provider: &[u8], bytes: &[u8], role: Role) -> Result<Composition, LoadProblem> {
    let app = component(bytes)?;
    let mut graph = CompositionGraph::new();
    let provider = register(&mut graph, "evconn:provider", provider)?;
    let socket = register(&mut graph, "evconn:composed", &app)?;
    check(world(&graph, socket), &app, role)?;
    plug(&mut graph, vec![provider], socket).map_err(|error| match error {
        // The interface has this name, but other types.
        PlugError::NoPlugHappened => LoadProblem::WrongListener,
        PlugError::GraphError { source } => not_composed(&source),
    })?;
    let binary = graph
        .encode(EncodeOptions::default())
        .map_err(|error| not_composed(&error.into()))?;
    Ok(Composition {
        imports: imports(&binary)?,
        binary,
        linked: LISTENER.to_owned(),
    })
}

/// Returns whether a component imports a listener of any version. Anything but a component does not.
pub(super) fn wants_listener(bytes: &[u8]) -> bool {
    imports(bytes).is_ok_and(|imports| imports.iter().any(|name| is_listener(name)))
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

/// Returns whether `bytes` contains `part` and more. A composition contains its parts byte for byte.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.len() > part.len() && bytes.windows(part.len()).any(|window| window == part)
}

fn not_composed(error: &anyhow::Error) -> LoadProblem {
    LoadProblem::NotComposed(one_line(error))
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_where_it_is() {
        assert!(contains(b"abcdef", b"cde"));
        assert!(!contains(b"abcdef", b"ced"));
        assert!(!contains(b"ab", b"abc"));
        assert!(!contains(b"abc", b"abc"));
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
