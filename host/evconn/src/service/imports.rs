//! What an embedder provides to a service: functions, and a state for each instance that they use.

use super::InstanceState;
use std::any::Any;
use std::sync::Arc;
use wasmtime::component::Linker;

type Link = Box<dyn Fn(&mut Linker<InstanceState>) -> wasmtime::Result<()>>;

/// The imports of a service besides WASI's and evconn's.
#[derive(Default)]
pub(super) struct Imports {
    pub links: Vec<Link>,
    pub make_state: MakeState,
}

impl Imports {
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub fn add_to_linker(&self, linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
        for link in &self.links {
            link(linker)?;
            // Whatever it has allowed counts for itself.
            linker.allow_shadowing(false);
        }
        Ok(())
    }
}

/// Makes the embedder's state of an instance.
#[derive(Clone)]
pub(super) struct MakeState(Arc<dyn Fn() -> Box<dyn Any + Send> + Send + Sync>);

impl MakeState {
    pub fn new<T: Send + 'static>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::new(make())))
    }

    pub fn make(&self) -> Box<dyn Any + Send> {
        (self.0)()
    }
}

impl Default for MakeState {
    /// Nothing is allocated for a state without a size.
    fn default() -> Self {
        Self::new(|| ())
    }
}
