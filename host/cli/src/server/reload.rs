//! Reloading, at SIGHUP or on request: the certificate and the component are read again, for new connections. If one
//! of them cannot be used, the old one stays.

use super::Plan;
use super::app::App;
use crate::admin::{Reload, Reply, answer};
use crate::sys::Importance;
use crate::sys::signals::Hangups;
use crate::sys::systemd;
use crate::sys::threads;
use evconn::{Ingress, ServerHandle};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Asks for reloads.
pub struct Reloads(mpsc::UnboundedSender<Reply<Reload>>);

impl Reloads {
    /// Reloads at each SIGHUP, also for one that arrived while the server started, and when it is asked for.
    pub fn start(hangups: Hangups, plan: Arc<Plan>, app: App, server: ServerHandle) -> Self {
        // The admin endpoint asks for few at a time.
        let (requests, asked) = mpsc::unbounded_channel();
        tokio::spawn(run(hangups, asked, plan, app, server));
        Self(requests)
    }

    /// Reloads, and then answers.
    pub fn add(&self, reply: Reply<Reload>) {
        // If the server ends, nobody answers, which is noticed.
        let _ = self.0.send(reply);
    }
}

async fn run(
    mut hangups: Hangups,
    mut asked: mpsc::UnboundedReceiver<Reply<Reload>>,
    plan: Arc<Plan>,
    app: App,
    server: ServerHandle,
) {
    loop {
        let mut waiting = Vec::new();
        tokio::select! {
            Some(()) = hangups.next() => {}
            Some(reply) = asked.recv() => waiting.push(reply),
            else => return,
        }
        // One reload is enough for all that have asked before it begins.
        while let Ok(reply) = asked.try_recv() {
            waiting.push(reply);
        }
        systemd::reloading();
        let mut outcome = Reload::default();
        certificate(&app.ingress, &mut outcome).await;
        component(&plan, &app, &server, &mut outcome).await;
        systemd::ready();
        for reply in waiting {
            answer(reply, outcome.clone());
        }
    }
}

async fn certificate(ingress: &Ingress, outcome: &mut Reload) {
    match reload_certificate(ingress).await {
        Ok(true) => outcome.certificate_is_new(),
        Ok(false) => {}
        Err(error) => outcome.certificate_stays(&error),
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

async fn component(plan: &Plan, app: &App, server: &ServerHandle, outcome: &mut Reload) {
    match load_again(plan, app, server).await {
        Ok(true) => outcome.component_is_new(),
        Ok(false) => {}
        Err(error) => outcome.component_stays(&error),
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
