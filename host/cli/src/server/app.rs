//! A component with what it is loaded with, which a reload uses again.

use super::Component;
use super::component::Code;
use evconn::{Grants, Host, Ingress, Service};

/// A component that can be loaded again.
#[derive(Clone)]
pub struct App {
    host: Host,
    code: Code,
    pub ingress: Ingress,
    grants: Grants,
}

impl App {
    /// Waits for the end of standard input if the component comes from there.
    pub fn new(
        host: Host,
        component: &Component,
        ingress: Ingress,
        grants: Grants,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            host,
            code: component.open()?,
            ingress,
            grants,
        })
    }

    /// Reads and compiles the component. Blocks.
    pub fn load(&self) -> anyhow::Result<Service> {
        let service = self.code.load(&self.host)?;
        Ok(service
            .with_ingress(self.ingress.clone())
            .with_grants(self.grants.clone()))
    }

    /// Whether the component can change: not if it is built in.
    ///
    /// # Errors
    /// If it came from standard input.
    pub fn can_load_again(&self) -> anyhow::Result<bool> {
        self.code.can_load_again()
    }
}
