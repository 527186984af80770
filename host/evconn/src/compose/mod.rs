//! Composition: links the listener component into a component that imports a listener.
//!
//! The result does not need evconn: it imports nothing but WASI, of its own version, and what the component imported
//! itself. It runs in any host that lets it bind its address, such as `wasmtime run`. Some hosts do not:
//! Spin refuses every bind, and wasmCloud replaces addresses by loopback ones.
//! [`program`](crate::compose::program) runs a composition in this host.

mod program;

pub use program::Program;

use crate::Error;
use crate::error::{LoadError, LoadProblem};
use crate::link::{self, Provider, Role};
use crate::service::{component, read};
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
#[derive(Clone, Debug, Default)]
pub struct Composer {
    /// A composition of the listener and the middleware in front of it, if there is any.
    provider: Option<Provider>,
}

/// A component that is composed with the listener.
#[derive(Clone, Debug)]
pub struct Composition {
    binary: Vec<u8>,
    linked: &'static str,
    imports: Vec<String>,
}

impl Composer {
    /// Returns a composer with `listener.wasm`, which is there for components of WASI 0.2 and for those of WASI 0.3.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a middleware, which imports the listener and exports one, between the listener and the
    /// component. Each further one is closer to the component.
    ///
    /// # Errors
    /// [`Error::Load`] if it is not a component, or does not both import and export the listener, in the version of
    /// the middleware before it.
    pub fn through(self, middleware: &[u8]) -> Result<Self, Error> {
        Ok(self.put(middleware).map_err(LoadError::of_bytes)?)
    }

    /// Adds a middleware from a file, as [`through`](Self::through) does.
    ///
    /// # Errors
    /// As [`through`](Self::through), and if the file cannot be read.
    pub fn through_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let composer = read(path).and_then(|bytes| self.put(&bytes));
        Ok(composer.map_err(|problem| LoadError::of_file(path, problem))?)
    }

    /// Links the listener into a component: a binary or its text.
    ///
    /// # Errors
    /// [`Error::Load`] if it is not a component, does not import the listener in a version of this host's, which is that
    /// of the middleware, exports a listener, or is a composition already.
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

    /// Links the listener into a component from a file, as [`compose`](Self::compose) does.
    ///
    /// # Errors
    /// As [`compose`](Self::compose), and if the file cannot be read.
    pub fn compose_file(&self, path: impl AsRef<Path>) -> Result<Composition, Error> {
        let path = path.as_ref();
        let composition = read(path).and_then(|bytes| self.link(&bytes));
        Ok(composition.map_err(|problem| LoadError::of_file(path, problem))?)
    }

    fn put(self, middleware: &[u8]) -> Result<Self, LoadProblem> {
        let middleware = component(middleware)?;
        let linked = link::link(self.provider.as_ref(), &middleware, Role::Middleware)?;
        Ok(Self {
            provider: Some(linked.into_provider()),
        })
    }

    pub(crate) fn link(&self, app: &[u8]) -> Result<Composition, LoadProblem> {
        let linked = link::link(self.provider.as_ref(), &component(app)?, Role::Application)?;
        Ok(Composition {
            binary: linked.binary,
            linked: linked.listener,
            imports: linked.imports,
        })
    }
}

impl Composition {
    /// Returns the component.
    pub fn binary(&self) -> &[u8] {
        &self.binary
    }

    /// Returns the component, as an owned value.
    pub fn into_binary(self) -> Vec<u8> {
        self.binary
    }

    /// Returns the import that was linked: `evconn:tcp/listener@0.1.0`, or `@0.3.0`.
    pub fn linked(&self) -> &str {
        self.linked
    }

    /// Returns the remaining imports, in alphabetical order: those of WASI, other imports of the component, and for WASI
    /// 0.2 `evconn:tcp/connection`, which only names types and does not have to be provided.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }
}
