//! The ways to load a service: from a component, compiled code or a file, with filters in front of it and imports that the
//! embedder provides.

use super::{Filters, Precompiled, UNNAMED, from_file, load, map_service, precompile, read};
use crate::error::LoadError;
use crate::service::InstanceState;
use crate::service::imports::{Imports, MakeState};
use crate::trap::SourceLines;
use crate::{Error, Host, Service};
use std::fs::File;
use std::path::Path;
use wasmtime::component::Linker;

/// Loads a [`Service`] with [filters](Self::through) in front of it, or one that imports interfaces of your own, which the
/// host implements in Rust.
///
/// ```
/// use acme::app::visits;
/// use evconn::{Host, InstanceState, Service, guests};
/// use wasmtime::component::HasSelf;
///
/// wasmtime::component::bindgen!({
///     inline: "
///         package acme:app@1.0.0;
///         interface visits {
///             /// Counts a visit. Returns how many there were.
///             count: func() -> u32;
///         }
///         world imports {
///             import visits;
///         }
///     ",
/// });
///
/// /// What is kept for each instance.
/// struct Visits(u32);
///
/// impl visits::Host for Visits {
///     fn count(&mut self) -> u32 {
///         self.0 += 1;
///         self.0
///     }
/// }
///
/// # fn main() -> Result<(), evconn::Error> {
/// let host = Host::new()?;
/// let service = Service::builder(&host)
///     .state(|| Visits(0))
///     .link(|linker| visits::add_to_linker::<_, HasSelf<Visits>>(linker, InstanceState::get_mut))
///     // Usually a component that imports acme:app/visits.
///     .load(guests::ECHO)?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ServiceBuilder {
    pub(super) host: Host,
    pub(super) imports: Imports,
    pub(super) filters: Filters,
}

impl ServiceBuilder {
    /// Adds imports to the linker of the service, which has those of WASI and of evconn already. `link` is called when
    /// the component is loaded. May be called several times.
    ///
    /// The version of wasmtime is that of [`evconn::wasmtime`](crate::wasmtime). Functions that are defined with
    /// `func_wrap_async`, or by `bindgen!` with `imports: { default: async }`, can wait; other ones must not block:
    /// until one returns, the other connections of its worker thread wait, and no limit of time ends it. The time that
    /// it takes is charged to the connection. A function that returns an error traps the instance, and one that panics
    /// ends its connection, which is logged.
    ///
    /// A program of WASI 0.3 whose connection is closed may be ended while it waits for a function that is defined with
    /// `func_wrap_concurrent`, if it waits for nothing else but connections: evconn does not see that call. Define such a
    /// function with `func_wrap_async`, or have the program answer its peer only afterwards.
    ///
    /// An interface that evconn provides can be replaced: call [`Linker::allow_shadowing`] first.
    pub fn link(
        mut self,
        link: impl Fn(&mut Linker<InstanceState>) -> wasmtime::Result<()> + 'static,
    ) -> Self {
        self.imports.links.push(Box::new(link));
        self
    }

    /// Sets what makes the state of each instance, which functions of the host get with [`InstanceState::get_mut`].
    /// Defaults to `()`.
    ///
    /// `make` is called on a worker thread whenever an instance is made: for each connection, unless instances are
    /// [shared or reused](crate::InstancePolicy). The state lives as long as its instance: a connection that gets
    /// an instance which has served others finds the state as they left it. It is dropped with its instance.
    pub fn state<T: Send + 'static>(
        mut self,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.imports.make_state = MakeState::new(make);
        self
    }

    /// Adds a filter in front of the service: a component, or its text, that imports `evconn:tcp/handler` and exports it in
    /// the same version. The service is composed with it when it is loaded, and exports a handler of that version, too.
    ///
    /// May be called several times: a connection passes the filter that was added first first, and the last one is next to
    /// the service. They share the service's instances, limits and grants.
    ///
    /// # Errors
    /// [`Error::Load`] if it is no component, not a filter, or not of the version of the filter before it.
    pub fn through(mut self, filter: &[u8]) -> Result<Self, Error> {
        self.filters.add(filter)?;
        Ok(self)
    }

    /// Adds a filter from a file, as [`through`](Self::through) does.
    ///
    /// # Errors
    /// As [`through`](Self::through), and if the file cannot be read.
    pub fn through_file(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.filters.add_file(path.as_ref())?;
        Ok(self)
    }

    /// Loads a component as [`Service::new`] does.
    ///
    /// # Errors
    /// As [`Service::new`]. An import that nothing provides is [`LoadProblem::Unlinkable`](crate::LoadProblem). With
    /// filters, also if the component does not export the handler that the last one imports.
    pub fn load(self, component: &[u8]) -> Result<Service, Error> {
        self.load_bytes(component, Precompiled::Refused)
    }

    fn load_bytes(&self, bytes: &[u8], precompiled: Precompiled) -> Result<Service, Error> {
        self.filters.check_imports(&self.imports)?;
        let service = load(self, UNNAMED, bytes, precompiled);
        Ok(service.map_err(LoadError::of_bytes)?)
    }

    /// Compiles a component as [`Host::precompile`] does.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn precompile(self, component: &[u8]) -> Result<Vec<u8>, Error> {
        self.filters.check_imports(&self.imports)?;
        Ok(precompile(&self, UNNAMED, component).map_err(LoadError::of_bytes)?)
    }

    /// Compiles a file as [`Host::precompile`] does.
    ///
    /// # Errors
    /// As [`load_file`](Self::load_file).
    pub fn precompile_file(self, path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
        self.filters.check_imports(&self.imports)?;
        let path = path.as_ref();
        let name = path.display().to_string();
        let code = read(path).and_then(|bytes| precompile(&self, &name, &bytes));
        Ok(code.map_err(|problem| LoadError::of_file(path, problem))?)
    }

    /// Loads a file as [`Service::from_file`] does.
    ///
    /// # Errors
    /// As [`Service::from_file`] and [`load`](Self::load).
    pub fn load_file(self, path: impl AsRef<Path>) -> Result<Service, Error> {
        from_file(&self, path.as_ref(), Precompiled::Refused)
    }

    /// Loads compiled code as [`Service::from_precompiled`] does: what [`Service::serialize`] or
    /// [`precompile`](Self::precompile) returns. [`Host::precompile`] knows no imports of yours.
    ///
    /// # Errors
    /// As [`Service::from_precompiled`] and [`load`](Self::load). Filters cannot be put in front of compiled code:
    /// [`precompile`](Self::precompile) compiles a component together with them.
    ///
    /// # Safety
    /// As [`Service::from_precompiled`].
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn load_precompiled(self, code: &[u8]) -> Result<Service, Error> {
        self.load_bytes(code, Precompiled::Trusted)
    }

    /// Loads a file with compiled code as [`Service::from_precompiled_file`] does.
    ///
    /// # Errors
    /// As [`Service::from_precompiled_file`] and [`load`](Self::load).
    ///
    /// # Safety
    /// As [`Service::from_precompiled_file`].
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn load_precompiled_file(self, path: impl AsRef<Path>) -> Result<Service, Error> {
        from_file(&self, path.as_ref(), Precompiled::Trusted)
    }

    /// Maps compiled code as [`Service::from_mapped`] does.
    ///
    /// # Errors
    /// As [`Service::from_mapped`] and [`load_precompiled`](Self::load_precompiled).
    ///
    /// # Safety
    /// As [`Service::from_mapped`].
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn load_mapped(self, code: File, component: Option<File>) -> Result<Service, Error> {
        // SAFETY: the caller guarantees it.
        let service = unsafe { map_service(&self, &code) };
        let service = service.map_err(LoadError::of_bytes)?;
        Ok(match component {
            Some(component) => service.with_lines(SourceLines::of_file(component)),
            None => service,
        })
    }
}
