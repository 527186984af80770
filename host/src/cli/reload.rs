//! SIGHUP: what was read from files at the start is read again, for new connections. What cannot be
//! used leaves the old in use.

use super::serve::App;
use super::systemd;
use evconn::{Edge, ServerHandle};
use std::io;

/// Read the certificate again at each SIGHUP, if there is one, and the component, if one is served.
/// From here on, SIGHUP no longer ends the process.
#[cfg(unix)]
pub fn on_hangup(edge: Edge, served: Option<(App, ServerHandle)>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            systemd::reloading();
            certificate(&edge).await;
            if let Some((app, server)) = &served {
                component(app, server).await;
            }
            systemd::ready();
        }
    });
    Ok(())
}

/// There is no such signal.
#[cfg(not(unix))]
pub fn on_hangup(_edge: Edge, _served: Option<(App, ServerHandle)>) -> io::Result<()> {
    Ok(())
}

/// Where it may block: a file may be somewhere else, and take its time.
#[cfg(unix)]
async fn certificate(edge: &Edge) {
    #[cfg(feature = "tls")]
    if let Some(config) = edge.tls_config().cloned() {
        let loading =
            tokio::task::spawn_blocking(move || config.reload().map_err(anyhow::Error::from));
        match loading.await.map_err(anyhow::Error::from).flatten() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!("the old certificate stays in use: {error}"),
        }
    }
    #[cfg(not(feature = "tls"))]
    let _ = edge;
}

#[cfg(unix)]
async fn component(app: &App, server: &ServerHandle) {
    let app = app.clone();
    let loading = tokio::task::spawn_blocking(move || app.load_again());
    let loaded = loading.await;
    match loaded.map_err(anyhow::Error::from).flatten() {
        Ok(service) => {
            server.reload(&service);
            tracing::info!("the component was read again: new connections get the new one");
        }
        Err(error) => tracing::error!("the old component stays in use: {error:#}"),
    }
}
