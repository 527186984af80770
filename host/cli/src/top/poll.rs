//! Asks a server again and again.

use super::client::Client;
use super::model::{Answer, Sort};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What is asked for. A change of it asks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub sort: Sort,
    pub is_paused: bool,
}

/// Asks until nobody wants anything any more. What was asked for before something else was wanted is not answered.
pub async fn poll(
    client: Client,
    interval: Duration,
    mut wanted: watch::Receiver<Wanted>,
    answers: mpsc::Sender<anyhow::Result<Answer>>,
) {
    loop {
        let Wanted { sort, is_paused } = *wanted.borrow_and_update();
        let next = Instant::now() + interval;
        let asked = async {
            if is_paused {
                return std::future::pending().await;
            }
            let answer = client.read(sort).await;
            let is_wanted = answers.send(answer).await.is_ok();
            // A server that is slow gets some rest.
            sleep_until(next.max(Instant::now() + interval / 4)).await;
            is_wanted
        };
        let goes_on = tokio::select! {
            is_wanted = asked => is_wanted,
            changed = wanted.changed() => changed.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}
