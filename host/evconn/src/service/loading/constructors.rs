//! The constructors of [`Service`], which load it with the host's imports alone.

use super::{Filters, ServiceBuilder};
use crate::service::imports::Imports;
use crate::{Error, Host, Service};
use std::fs::File;
use std::path::Path;

/// Loading.
impl Service {
    /// Returns a builder that loads a service with filters in front of it, or one that imports interfaces of your own.
    pub fn builder(host: &Host) -> ServiceBuilder {
        ServiceBuilder {
            host: host.clone(),
            imports: Imports::default(),
            filters: Filters::default(),
        }
    }

    /// Compiles a component: a binary or its text (WAT).
    ///
    /// It is granted its connection, clocks and random numbers, and nothing else: no network, no files,
    /// no environment variables, no arguments. [`with_grants`](Self::with_grants) grants more. What it
    /// prints goes to the log, line by line, or to standard error with
    /// [`inherit_stderr`](crate::GrantsBuilder::inherit_stderr).
    ///
    /// # Errors
    /// [`Error::Load`] if the bytes are not a component, if it exports neither
    /// `evconn:tcp/handler@0.1.0` or `@0.3.0`, nor `wasi:cli/run` of WASI 0.2, if it imports what this host does not provide, or if it exceeds the
    /// limits for which the host was configured.
    pub fn new(host: &Host, component: &[u8]) -> Result<Self, Error> {
        Self::builder(host).load(component)
    }

    /// Loads a file as [`Service::new`] does. The name of the file does not matter.
    ///
    /// # Errors
    /// As [`Service::new`], and if the file cannot be read. A file with compiled code is
    /// [`LoadProblem::Precompiled`](crate::LoadProblem::Precompiled): use [`Service::from_precompiled_file`].
    pub fn from_file(host: &Host, path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder(host).load_file(path)
    }

    /// Loads code compiled by [`Host::precompile`] or `evconn compile`, without compiling. A component is
    /// accepted, too, and compiled as [`Service::new`] does.
    ///
    /// # Errors
    /// As [`Service::new`]; [`LoadProblem::Incompatible`](crate::LoadProblem::Incompatible) if the code was compiled by another version,
    /// or for another processor or other settings than this host's.
    ///
    /// # Safety
    /// Compiled code runs without further checks, with all privileges of this process: the bytes have to
    /// be the unmodified output of [`Host::precompile`] or `evconn compile`.
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn from_precompiled(host: &Host, code: &[u8]) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        unsafe { Self::builder(host).load_precompiled(code) }
    }

    /// Loads a file as [`Service::from_precompiled`] does. It is read once, so it may be replaced or
    /// overwritten afterwards.
    ///
    /// # Errors
    /// As [`Service::from_precompiled`], and if the file cannot be read; [`LoadProblem::NotPrivate`](crate::LoadProblem::NotPrivate) if
    /// it is compiled code and belongs to another user than this process's and root, or another user can
    /// write to it.
    ///
    /// # Safety
    /// As [`Service::from_precompiled`]: nobody else may be able to change or replace the file.
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn from_precompiled_file(
        host: &Host,
        path: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        unsafe { Self::builder(host).load_precompiled_file(path) }
    }

    /// Loads compiled code from an open file as [`Service::from_precompiled`] does, but maps it rather than
    /// copies it: processes that map the same file, such as a sealed memfd, share one copy of it in memory.
    /// Neither the path of the file nor its position matters.
    ///
    /// `component` is the binary from which the code was compiled, for the source lines of traps. It is
    /// read when the first trap needs it. Without it, traps have offsets only.
    ///
    /// On platforms other than Linux, and where `/proc` is not mounted, the code is read.
    ///
    /// # Errors
    /// As [`Service::from_precompiled`], and if the file cannot be read.
    ///
    /// # Safety
    /// As [`Service::from_precompiled`]. Moreover, nobody may change or truncate the file for as long as the
    /// process lives.
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn from_mapped(
        host: &Host,
        code: File,
        component: Option<File>,
    ) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        unsafe { Self::builder(host).load_mapped(code, component) }
    }

    /// Returns the compiled code, which can be loaded with [`Service::from_precompiled`] or
    /// [`Service::from_mapped`] by the same version of evconn on the same kind of processor.
    ///
    /// # Errors
    /// [`Error::Engine`] if there is no memory for it.
    pub fn serialize(&self) -> Result<Vec<u8>, Error> {
        let code = self.component().serialize();
        code.map_err(|error| Error::Engine(error.into()))
    }
}
