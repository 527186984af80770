//! The commands of the admin endpoint, which concern all services.

use super::running::{Running, ask};
use super::{Fleet, Order};
use crate::admin::{Command, List, Query, Reply, Reset, Service, answer};
use crate::log::{self, Filter};
use evconn::Metrics;
use tokio::sync::mpsc;

impl Fleet {
    /// Carries out a command. What services have to answer is waited for elsewhere.
    pub(super) fn carry_out(&mut self, command: Command) {
        match command {
            Command::Metrics(reply) => self.metrics(reply),
            Command::Status(reply) => self.status(reply),
            Command::Connections(query, reply) => self.connections(query, reply),
            Command::Reset {
                number,
                worker,
                reply,
            } => self.reset(number, worker, reply),
            Command::Drain(name, reply) => self.drain(name, reply),
            // If it may not begin, nobody answers, which is noticed.
            Command::Reload(reply) if self.is_ending => drop(reply),
            Command::Reload(reply) => self.asked.push(reply),
            Command::SetLog(filter, reply) => self.set_log(filter, reply),
        }
    }

    /// Returns the orders of all services, for tasks that wait for answers.
    fn everyone(&self) -> Vec<mpsc::Sender<Order>> {
        self.all().map(|service| service.orders.clone()).collect()
    }

    fn metrics(&self, reply: Reply<Metrics>) {
        let running = self.all().map(|service| service.metrics.clone());
        let counted = self.counted.values().cloned();
        // There is one service at least.
        if let Some(all) = running.chain(counted).reduce(Metrics::and) {
            answer(reply, all);
        }
    }

    fn status(&self, reply: Reply<Vec<Service>>) {
        let asked = ask(self.everyone(), Order::Status);
        tokio::spawn(async move {
            let mut all: Vec<Service> = Vec::new();
            for service in asked.await {
                match all.iter_mut().find(|other| other.name == service.name) {
                    // It has taken its place, and comes first.
                    Some(new) => new.add(service),
                    None => all.push(service),
                }
            }
            answer(reply, all);
        });
    }

    fn connections(&self, query: Query, reply: Reply<List>) {
        let asked = ask(self.everyone(), move |reply| {
            Order::Connections(query, reply)
        });
        tokio::spawn(async move {
            let mut all = List::default();
            for list in asked.await {
                all.add(list);
            }
            answer(reply, all.fit(&query));
        });
    }

    /// Numbers of connections are unique within a service.
    fn reset(&self, number: u64, worker: Option<u64>, reply: Reply<Reset>) {
        let everyone = self.everyone();
        if everyone.len() > 1 && worker.is_none() {
            return answer(reply, Reset::Ambiguous);
        }
        let asked = ask(everyone, move |reply| Order::Reset {
            number,
            worker,
            reply,
        });
        tokio::spawn(async move {
            let outcomes = asked.await.into_iter();
            answer(reply, outcomes.fold(Reset::Unknown, Reset::or));
        });
    }

    fn drain(&self, name: Option<String>, reply: Reply<bool>) {
        let is_meant = |service: &&Running| name.is_none() || service.identity.name == name;
        let meant: Vec<_> = self.services.iter().filter(is_meant).collect();
        answer(reply, !meant.is_empty());
        for service in meant {
            let orders = service.orders.clone();
            // It may have ended.
            tokio::spawn(async move { drop(orders.send(Order::Drain).await) });
        }
    }

    fn set_log(&self, filter: Filter, reply: Reply<Vec<u64>>) {
        log::set_filter(&filter);
        let asked = ask(self.everyone(), move |reply| {
            Order::SetLog(filter.clone(), reply)
        });
        tokio::spawn(async move { answer(reply, asked.await.concat()) });
    }
}
