//! A service that runs, as the supervisor sees it.

use super::Order;
use super::starting::Identity;
use crate::admin::Readiness;
use crate::args::NamedSource;
use crate::supervisor::life::Estate;
use evconn::Metrics;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::Id;

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
