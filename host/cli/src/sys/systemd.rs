//! Notifications to the service manager: `sd_notify(3)`. Without one, these functions do nothing.

use sd_notify::NotifyState;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether another process has taken the place of this one, which then notifies nobody.
static IS_REPLACED: AtomicBool = AtomicBool::new(false);

/// The server is ready, or has reloaded.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The server is shutting down.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The server reloads; [`ready`] has to follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("cannot notify systemd of the reload: {error}"),
    }
}

/// Another process is the main process of the service from now on, and notifies: this one does no more.
pub fn replaced_by(process: u32) {
    notify(&[NotifyState::MainPid(process)]);
    IS_REPLACED.store(true, Ordering::Relaxed);
}

/// The server is running, for systemd's watchdog (`WatchdogSec=`). Call it more often than every second.
pub fn is_alive() {
    if sd_notify::watchdog_enabled().is_some() {
        notify(&[NotifyState::Watchdog]);
    }
}

/// Notifies systemd's watchdog for as long as this runs.
pub async fn stay_alive() {
    if let Some(interval) = sd_notify::watchdog_enabled() {
        loop {
            is_alive();
            tokio::time::sleep(interval / 2).await;
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if IS_REPLACED.load(Ordering::Relaxed) {
        return;
    }
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("cannot notify systemd ({}): {error}", state[0]);
    }
}
