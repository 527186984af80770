//! The ways to load a service: from a component, compiled code or a file, with imports that the embedder provides.

use super::{Precompiled, UNNAMED, from_file, load, map_service};
use crate::error::LoadError;
use crate::service::InstanceState;
use crate::service::imports::{Imports, MakeState};
use crate::trap::SourceLines;
use crate::{Error, Host, Service};
use std::fs::File;
use std::path::Path;
use wasmtime::component::Linker;

/// Loads a [`Service`] that imports interfaces of your own, which the host implements in Rust.
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

    /// Loads a component as [`Service::new`] does.
    ///
    /// # Errors
    /// As [`Service::new`]. An import that nothing provides is [`LoadProblem::Unlinkable`](crate::LoadProblem).
    pub fn load(self, component: &[u8]) -> Result<Service, Error> {
        let Self { host, imports } = &self;
        let service = load(host, imports, UNNAMED, component, Precompiled::Refused);
        Ok(service.map_err(LoadError::of_bytes)?)
    }

    /// Loads a file as [`Service::from_file`] does.
    ///
    /// # Errors
    /// As [`Service::from_file`] and [`load`](Self::load).
    pub fn load_file(self, path: impl AsRef<Path>) -> Result<Service, Error> {
        from_file(
            &self.host,
            &self.imports,
            path.as_ref(),
            Precompiled::Refused,
        )
    }

    /// Loads compiled code as [`Service::from_precompiled`] does: what [`Service::serialize`] returns, since
    /// [`Host::precompile`] knows no imports of yours.
    ///
    /// # Errors
    /// As [`Service::from_precompiled`] and [`load`](Self::load).
    ///
    /// # Safety
    /// As [`Service::from_precompiled`].
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn load_precompiled(self, code: &[u8]) -> Result<Service, Error> {
        let Self { host, imports } = &self;
        let service = load(host, imports, UNNAMED, code, Precompiled::Trusted);
        Ok(service.map_err(LoadError::of_bytes)?)
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
        from_file(
            &self.host,
            &self.imports,
            path.as_ref(),
            Precompiled::Trusted,
        )
    }

    /// Maps compiled code as [`Service::from_mapped`] does.
    ///
    /// # Errors
    /// As [`Service::from_mapped`] and [`load`](Self::load).
    ///
    /// # Safety
    /// As [`Service::from_mapped`].
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn load_mapped(self, code: File, component: Option<File>) -> Result<Service, Error> {
        // SAFETY: the caller guarantees it.
        let service = unsafe { map_service(&self.host, &self.imports, &code) };
        let service = service.map_err(LoadError::of_bytes)?;
        Ok(match component {
            Some(component) => service.with_lines(SourceLines::of_file(component)),
            None => service,
        })
    }
}
