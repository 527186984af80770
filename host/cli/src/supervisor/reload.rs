//! SIGHUP: the certificate and the component are read again, and new workers get them. If one of them cannot be
//! used, the old one stays.

use super::loading::{self, Compiled};
use crate::control::Pem;
use crate::files::Input;
use crate::server::{Code, Plan};
use evconn::Ingress;
use std::sync::Arc;

/// What a server serves, and where it is read from.
#[derive(Clone)]
pub struct Source {
    code: Code,
    ingress: Ingress,
}

/// The outcome of a reload, before any worker has it.
#[derive(Debug)]
pub struct Reloaded {
    /// The component, if there is one to load again, or why it stays as it is.
    pub component: anyhow::Result<Option<Compiled>>,
    /// Whether there is a certificate, and it was read again; or why it stays as it is.
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

    /// What was read from standard input.
    pub fn stdin(&self) -> Option<&[u8]> {
        match self.code.input() {
            Some(Input::Stdin(bytes)) => Some(bytes),
            Some(Input::File(_)) | None => None,
        }
    }

    /// The certificate that is in use, with its key.
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

    async fn component(&self, plan: &Plan) -> anyhow::Result<Option<Compiled>> {
        match self.code.can_load_again()? {
            true => loading::load(plan, None).await.map(Some),
            false => Ok(None),
        }
    }
}
