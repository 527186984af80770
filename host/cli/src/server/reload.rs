//! SIGHUP: the certificate and the component are read again, for new connections. If one of them cannot be
//! used, the old one stays.

use super::Plan;
use super::app::App;
use crate::sys::Importance;
use crate::sys::signals::Hangups;
use crate::sys::systemd;
use crate::sys::threads;
use evconn::{Ingress, ServerHandle};
use std::sync::Arc;

/// Reloads at each SIGHUP, also for one that arrived while the server started.
pub async fn on_hangup(mut hangups: Hangups, plan: Arc<Plan>, app: App, server: ServerHandle) {
    while hangups.next().await.is_some() {
        systemd::reloading();
        certificate(&app.ingress).await;
        component(&plan, &app, &server).await;
        systemd::ready();
    }
}

async fn certificate(ingress: &Ingress) {
    match reload_certificate(ingress).await {
        Ok(true) => tracing::info!("certificate reloaded"),
        Ok(false) => {}
        Err(error) => tracing::error!("certificate not reloaded, the old one stays: {error}"),
    }
}

/// Reads the certificate again, where it may block. Returns whether there is one.
pub async fn reload_certificate(ingress: &Ingress) -> anyhow::Result<bool> {
    #[cfg(feature = "tls")]
    if let Some(config) = ingress.tls_config().cloned() {
        threads::run(move || config.reload()).await??;
        return Ok(true);
    }
    #[cfg(not(feature = "tls"))]
    let _ = ingress;
    Ok(false)
}

async fn component(plan: &Plan, app: &App, server: &ServerHandle) {
    match load_again(plan, app, server).await {
        Ok(true) => tracing::info!("component reloaded, for new connections"),
        Ok(false) => {}
        Err(error) => tracing::error!("component not reloaded, the old one stays: {error:#}"),
    }
}

/// Returns whether there is a component to load again.
async fn load_again(plan: &Plan, app: &App, server: &ServerHandle) -> anyhow::Result<bool> {
    if !app.code.can_load_again()? {
        return Ok(false);
    }
    let (app, server) = (app.clone(), server.clone());
    let ready = plan.compile(&app.code, Importance::Low).await?;
    let loading =
        threads::run(move || -> anyhow::Result<()> { Ok(server.reload(&app.service(&ready)?)?) });
    loading.await??;
    Ok(true)
}
