//! A component with what it is loaded with, which a reload uses again.

use super::component::{Code, entered};
#[cfg(unix)]
use crate::loading::{Compiled, Request, mapped_host};
use evconn::{EntryPoint, Grants, Host, HostBuilder, Ingress, Service};

/// A component that can be loaded again.
#[derive(Clone)]
pub struct App {
    pub host: Host,
    pub code: Code,
    pub entry_point: Option<EntryPoint>,
    pub ingress: Ingress,
    pub grants: Grants,
}

impl App {
    /// Makes a service of the component. Blocks.
    pub fn service(&self, ready: &Ready) -> anyhow::Result<Service> {
        let service = entered(ready.service(&self.host)?, self.entry_point)?;
        Ok(service
            .with_ingress(self.ingress.clone())
            .with_grants(self.grants.clone()))
    }
}

/// A component that is ready to become a service of this process.
#[cfg(unix)]
pub struct Ready(Compiled);

/// A component that is compiled in this process: this platform has no loader.
#[cfg(not(unix))]
pub struct Ready(pub Code);

#[cfg(unix)]
impl Ready {
    pub async fn load(request: Request<'_>) -> anyhow::Result<Self> {
        Compiled::load(request).await.map(Self)
    }

    /// Configures the host that the component was compiled for.
    pub fn host(&self, host: HostBuilder) -> anyhow::Result<HostBuilder> {
        let listener = self.0.listener.try_clone()?;
        Ok(mapped_host(host, listener.into(), self.0.target))
    }

    fn service(&self, host: &Host) -> anyhow::Result<Service> {
        self.0.service(host)
    }
}

#[cfg(not(unix))]
impl Ready {
    pub fn host(&self, host: HostBuilder) -> anyhow::Result<HostBuilder> {
        Ok(host.wasi(self.0.wasi()))
    }

    fn service(&self, host: &Host) -> anyhow::Result<Service> {
        self.0.load(host)
    }
}
