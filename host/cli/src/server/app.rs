//! The component that is served, and what it is loaded with.

use crate::files::Input;
use evconn::{Grants, Host, Ingress, Service, guests};
use std::path::PathBuf;

/// The component that is served.
pub enum Component {
    /// One of the user's: a file, or `-`.
    Named {
        path: PathBuf,
        allow_precompiled: bool,
    },
    /// The echo service, which is built in.
    Echo,
}

/// A component that can be loaded again.
#[derive(Clone)]
pub struct App {
    host: Host,
    code: Code,
    pub ingress: Ingress,
    grants: Grants,
}

#[derive(Clone)]
enum Code {
    Component(Input),
    /// It may be compiled code as well.
    Precompiled(Input),
    Echo,
}

impl App {
    /// Waits for the end of standard input if the component comes from there.
    pub fn new(
        host: Host,
        component: &Component,
        ingress: Ingress,
        grants: Grants,
    ) -> anyhow::Result<Self> {
        let code = match component {
            Component::Echo => Code::Echo,
            Component::Named {
                path,
                allow_precompiled: false,
            } => Code::Component(Input::open(path)?),
            Component::Named {
                path,
                allow_precompiled: true,
            } => Code::Precompiled(Input::open(path)?),
        };
        Ok(Self {
            host,
            code,
            ingress,
            grants,
        })
    }

    /// Reads and compiles the component. Blocks.
    pub fn load(&self) -> anyhow::Result<Service> {
        let service = match &self.code {
            Code::Component(input) => input.load(
                |path| Service::from_file(&self.host, path),
                |bytes| Service::new(&self.host, bytes),
            )?,
            Code::Precompiled(input) => load_precompiled(&self.host, input)?,
            Code::Echo => Service::new(&self.host, guests::ECHO)?,
        };
        Ok(service
            .with_ingress(self.ingress.clone())
            .with_grants(self.grants.clone()))
    }

    /// Whether the component can change: not if it is built in.
    ///
    /// # Errors
    /// If it came from standard input.
    pub fn can_load_again(&self) -> anyhow::Result<bool> {
        match &self.code {
            Code::Echo => Ok(false),
            Code::Component(Input::Stdin(_)) | Code::Precompiled(Input::Stdin(_)) => {
                anyhow::bail!("standard input can be read only once: serve a file to reload it")
            }
            Code::Component(Input::File(_)) | Code::Precompiled(Input::File(_)) => Ok(true),
        }
    }
}

#[expect(
    unsafe_code,
    reason = "compiled code cannot be checked: the flag that allows it says so"
)]
fn load_precompiled(host: &Host, input: &Input) -> anyhow::Result<Service> {
    input.load(
        // SAFETY: whoever gave --allow-precompiled vouches for the file, as its help says.
        |path| unsafe { Service::from_precompiled_file(host, path) },
        // SAFETY: likewise for standard input.
        |bytes| unsafe { Service::from_precompiled(host, bytes) },
    )
}
