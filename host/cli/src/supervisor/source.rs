//! SIGHUP: the certificate and the component are read again, and new workers get them. If one of them cannot be
//! used, the old one stays.

use crate::control::Pem;
use crate::loading::Compiled;
use crate::server::{Code, Plan};
use crate::sys::Importance;
use evconn::Ingress;
use std::sync::Arc;

/// Where the component and the certificate of a server come from.
#[derive(Clone)]
pub struct Source {
    code: Code,
    ingress: Ingress,
}

/// What a reload has read, before any worker has it.
#[derive(Debug)]
pub struct Reloaded {
    /// The compiled component, if it can be loaded again, or the reason why the old one stays.
    pub component: anyhow::Result<Option<Compiled>>,
    /// Whether a certificate was read again, or the reason why the old one stays.
    pub certificate: anyhow::Result<bool>,
}

impl Source {
    /// Reads and checks the certificate, and standard input if the component comes from there.
    pub fn open(plan: &Plan) -> anyhow::Result<Self> {
        Ok(Self {
            code: plan.component.open()?,
            ingress: plan.ingress.ingress()?,
        })
    }

    /// Has the component compiled.
    pub async fn compile(&self, plan: &Plan, importance: Importance) -> anyhow::Result<Compiled> {
        Compiled::load(plan.request(&self.code, importance)).await
    }

    /// Returns the certificate that was read last, with its key.
    #[cfg(feature = "tls")]
    pub fn certificate(&self) -> Option<Pem> {
        let [certificate, key] = self.ingress.tls_config()?.pem();
        Some(Pem { certificate, key })
    }

    #[cfg(not(feature = "tls"))]
    pub fn certificate(&self) -> Option<Pem> {
        None
    }

    /// Reads both again.
    pub async fn reload(self, plan: Arc<Plan>) -> Reloaded {
        Reloaded {
            certificate: crate::server::reload_certificate(&self.ingress).await,
            component: self.component(&plan).await,
        }
    }

    async fn component(&self, plan: &Arc<Plan>) -> anyhow::Result<Option<Compiled>> {
        match self.code.can_load_again()? {
            true => self.compile(plan, Importance::Low).await.map(Some),
            false => Ok(None),
        }
    }
}
