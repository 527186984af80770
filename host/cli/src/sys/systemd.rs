//! What a service manager is told: `sd_notify(3)`. Without one, this does nothing.

use sd_notify::NotifyState;

/// It serves.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It is going to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It reads its files again; [`ready`] is to follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("systemd is not told of the reload: {error}"),
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd cannot be told ({}): {error}", state[0]);
    }
}
