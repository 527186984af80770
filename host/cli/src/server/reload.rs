//! SIGHUP: what was read from files at the start is read again, for new connections. What cannot be
//! used leaves the old in use.

use crate::commands::App;
use crate::sys::signals::Hangups;
use crate::sys::systemd;
use evconn::{Ingress, ServerHandle};

/// Read the certificate again at each SIGHUP, if there is one, and the component, if one is served: also
/// for one that came before.
pub fn on_hangup(mut hangups: Hangups, ingress: Ingress, served: Option<(App, ServerHandle)>) {
    tokio::spawn(async move {
        while hangups.next().await.is_some() {
            systemd::reloading();
            certificate(&ingress).await;
            if let Some((app, server)) = &served {
                component(app, server).await;
            }
            systemd::ready();
        }
    });
}

/// Where it may block: a file may be somewhere else, and take its time.
async fn certificate(ingress: &Ingress) {
    #[cfg(feature = "tls")]
    if let Some(config) = ingress.tls_config().cloned() {
        let loading =
            tokio::task::spawn_blocking(move || config.reload().map_err(anyhow::Error::from));
        match loading.await.map_err(anyhow::Error::from).flatten() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!("the old certificate stays in use: {error}"),
        }
    }
    #[cfg(not(feature = "tls"))]
    let _ = ingress;
}

async fn component(app: &App, server: &ServerHandle) {
    let (app, server) = (app.clone(), server.clone());
    let loading = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        Ok(server.reload(&app.load_again()?)?)
    });
    match loading.await.map_err(anyhow::Error::from).flatten() {
        Ok(()) => {
            tracing::info!("the component was read again: new connections get the new one");
        }
        Err(error) => tracing::error!("the old component stays in use: {error:#}"),
    }
}
