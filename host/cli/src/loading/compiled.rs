//! A component that a loader has compiled.

use super::{Request, load};
use crate::control::{FromLoader, Loaded, Target};
use anyhow::{Context, bail};
use evconn::{Host, HostBuilder, Program, Service, WasiVersion};
use std::fs::File;
use std::os::fd::OwnedFd;

/// A compiled component, for any number of processes.
#[derive(Debug)]
pub struct Compiled {
    pub code: OwnedFd,
    pub listener: OwnedFd,
    /// The component's binary, for the source lines of traps.
    pub binary: Option<OwnedFd>,
    /// How many memories an instance has.
    pub memories: usize,
    /// The host that the code is for.
    pub target: Target,
}

impl Compiled {
    /// Has a loader compile a component.
    ///
    /// # Errors
    /// The reason why the component cannot be used, in one line.
    pub async fn load(request: Request<'_>) -> anyhow::Result<Self> {
        match load(request).await? {
            (FromLoader::Loaded(loaded), files) => Self::new(loaded, files),
            (other, _) => bail!("the loader has sent something else: {other:?}"),
        }
    }

    fn new(loaded: Loaded, files: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut files = files.into_iter();
        let mut next = || {
            files
                .next()
                .context("the loader has sent too few descriptors")
        };
        Ok(Self {
            code: next()?,
            listener: next()?,
            binary: match loaded.has_binary {
                true => Some(next()?),
                false => None,
            },
            memories: loaded.memories,
            target: loaded.target,
        })
    }

    /// Loads it into a host that is built like this, for a service.
    pub fn service(&self, host: &Host) -> anyhow::Result<Service> {
        let binary = self.binary.as_ref().map(OwnedFd::try_clone).transpose()?;
        let code = self.code.try_clone()?.into();
        Ok(mapped_service(host, code, binary.map(File::from))?)
    }
}

impl Compiled {
    /// Makes a program of it, in a host that is built like this.
    #[expect(unsafe_code, reason = "compiled code cannot be checked")]
    pub fn program(self, host: HostBuilder) -> anyhow::Result<Program> {
        let host = mapped_host(host, self.listener.into(), self.target).build()?;
        // SAFETY: this program's loader has compiled it, and the file is sealed, or has no name.
        let program =
            unsafe { Program::from_mapped(&host, self.code.into(), self.binary.map(File::from)) };
        Ok(program?)
    }
}

/// Has a host run the code that a loader has compiled, and map the listener.
#[expect(unsafe_code, reason = "compiled code cannot be checked")]
pub fn mapped_host(host: HostBuilder, listener: File, target: Target) -> HostBuilder {
    let host = host.pooled(target.pooled).wasi(match target.is_wasi_0_3 {
        true => WasiVersion::V0_3,
        false => WasiVersion::V0_2,
    });
    // SAFETY: this program's loader has compiled it, and the file is sealed, or has no name.
    unsafe { host.listener_code(listener) }
}

/// Loads a service that a loader has compiled.
#[expect(unsafe_code, reason = "compiled code cannot be checked")]
pub fn mapped_service(
    host: &Host,
    code: File,
    binary: Option<File>,
) -> Result<Service, evconn::Error> {
    // SAFETY: this program's loader has compiled it, and the file is sealed, or has no name.
    unsafe { Service::from_mapped(host, code, binary) }
}
