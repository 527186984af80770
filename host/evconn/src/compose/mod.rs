//! Composition: the listener component, put into a component that imports one.
//!
//! The result is a component that needs no evconn: a runtime of WASI 0.2 that lets it bind sockets, such as
//! wasmtime, runs it. Where it ends:
//! running one here is the [`program`](crate::compose::program)'s.

mod link;
mod program;

pub use program::Program;

use crate::error::{LoadError, LoadProblem};
use crate::service::read;
use crate::{Error, guests};
use std::path::Path;

/// Composes components with the listener.
///
/// ```
/// # fn example() -> Result<(), evconn::Error> {
/// use evconn::Composer;
///
/// let composition = Composer::new().compose_file("app.wasm")?;
/// println!("left to import: {:?}", composition.imports());
/// std::fs::write("composed.wasm", composition.binary()).expect("written");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Composer {
    /// What exports the listener: `listener.wasm`, or that and what is in front of it.
    provider: Vec<u8>,
}

/// A component that was composed with the listener.
#[derive(Clone, Debug)]
pub struct Composition {
    binary: Vec<u8>,
    linked: String,
    imports: Vec<String>,
}

impl Composer {
    /// With `listener.wasm`.
    pub fn new() -> Self {
        Self {
            provider: guests::LISTENER.to_vec(),
        }
    }

    /// Put a component between the listener and what is composed: it imports the listener, and exports
    /// one. It is the second time nearer to the application than the first.
    ///
    /// # Errors
    /// [`Error::Load`] if it is no component, or does not both import and export the listener in this
    /// version.
    pub fn through(self, middleware: &[u8]) -> Result<Self, Error> {
        Ok(self.put(middleware).map_err(LoadError::of_bytes)?)
    }

    /// The same with a file.
    ///
    /// # Errors
    /// As [`through`](Self::through), and if the file cannot be read.
    pub fn through_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let composer = read(path).and_then(|bytes| self.put(&bytes));
        Ok(composer.map_err(|problem| LoadError::of_file(path, problem))?)
    }

    /// Put the listener into a component: a binary, or its text.
    ///
    /// # Errors
    /// [`Error::Load`] if it is no component, if it does not import the listener in this version, if it
    /// exports one, or was composed already.
    ///
    /// ```
    /// use evconn::{Composer, Error, LoadProblem};
    ///
    /// let Err(Error::Load(error)) = Composer::new().compose(evconn::guests::ECHO) else {
    ///     panic!("a service has nothing to be composed with");
    /// };
    /// assert!(matches!(error.problem(), LoadProblem::NoListener(_)));
    /// ```
    pub fn compose(&self, app: &[u8]) -> Result<Composition, Error> {
        Ok(self.link(app).map_err(LoadError::of_bytes)?)
    }

    /// The same with a file.
    ///
    /// # Errors
    /// As [`compose`](Self::compose), and if the file cannot be read.
    pub fn compose_file(&self, path: impl AsRef<Path>) -> Result<Composition, Error> {
        let path = path.as_ref();
        let composition = read(path).and_then(|bytes| self.link(&bytes));
        Ok(composition.map_err(|problem| LoadError::of_file(path, problem))?)
    }

    fn put(self, middleware: &[u8]) -> Result<Self, LoadProblem> {
        let linked = link::link(&self.provider, middleware, link::Role::Middleware)?;
        Ok(Self {
            provider: linked.binary,
        })
    }

    pub(crate) fn link(&self, app: &[u8]) -> Result<Composition, LoadProblem> {
        link::link(&self.provider, app, link::Role::Application)
    }
}

impl Default for Composer {
    fn default() -> Self {
        Self::new()
    }
}

impl Composition {
    /// The component.
    pub fn binary(&self) -> &[u8] {
        &self.binary
    }

    /// The same, to keep.
    pub fn into_binary(self) -> Vec<u8> {
        self.binary
    }

    /// The import that was linked: `evconn:tcp/listener@0.1.0`.
    pub fn linked(&self) -> &str {
        &self.linked
    }

    /// What is left to import, in the order of the alphabet. All of it is WASI 0.2's, but for what the
    /// component imported besides, and for `evconn:tcp/connection`: that one only names types, and nobody
    /// has to provide it.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }
}

/// Whether a component imports a listener, so that it is to be composed. The version may be wrong, which
/// composing then says.
pub(crate) fn wants_listener(component: &[u8]) -> bool {
    link::wants_listener(component)
}
