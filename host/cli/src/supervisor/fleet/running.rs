//! A service that runs, as the supervisor sees it.

use super::Order;
use super::starting::Identity;
use crate::admin::{Readiness, WorkerState};
use crate::args::NamedSource;
use crate::supervisor::life::Estate;
use evconn::Metrics;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::Id;
use tokio::time::sleep;

/// How long old workers may take to stop accepting.
const RETIREMENT: Duration = Duration::from_secs(2);

/// How often to look whether they have.
const INTERVAL: Duration = Duration::from_millis(2);

pub struct Running {
    pub identity: Identity,
    /// The task of its life.
    pub task: Id,
    pub orders: mpsc::Sender<Order>,
    pub readiness: watch::Receiver<Readiness>,
    pub metrics: Metrics,
}

impl Running {
    pub fn name(&self) -> Option<&str> {
        self.identity.name.as_deref()
    }

    pub fn readiness(&self) -> Readiness {
        match self.has_ended() {
            true => Readiness::Ending,
            false => *self.readiness.borrow(),
        }
    }

    /// Lets another service take the place of this one, with some of its sources. One that has ended leaves nothing.
    pub async fn hand_over(&self, kept: Vec<NamedSource>) -> Estate {
        let (reply, estate) = oneshot::channel();
        let _ = self.orders.send(Order::HandOver { kept, reply }).await;
        estate.await.unwrap_or_default()
    }

    /// Waits until none of its workers accepts connections, since others take its place, but not for long: until then,
    /// one of them may still get a connection.
    pub async fn stops_accepting(&self) {
        let deadline = Instant::now() + RETIREMENT;
        while Instant::now() < deadline {
            let asked = ask(vec![self.orders.clone()], Order::Status);
            let mut workers = asked.await.into_iter().flat_map(|service| service.workers);
            if workers.all(|worker| worker.state == WorkerState::Finishing) {
                return;
            }
            sleep(INTERVAL).await;
        }
    }

    pub fn has_ended(&self) -> bool {
        self.orders.is_closed()
    }
}

/// Gives an order to several services, and returns the answers of those that are still there.
pub async fn ask<T>(
    services: Vec<mpsc::Sender<Order>>,
    order: impl Fn(oneshot::Sender<T>) -> Order,
) -> Vec<T> {
    let mut answers = Vec::new();
    for orders in services {
        let (reply, answer) = oneshot::channel();
        if orders.send(order(reply)).await.is_ok() {
            answers.push(answer);
        }
    }
    let mut all = Vec::new();
    for answer in answers {
        all.extend(answer.await);
    }
    all
}
