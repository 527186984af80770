//! What operators ask of a server, through the admin endpoint.

use super::{Life, Phase};
use crate::admin::{List, Query, Readiness, Reply, Reset, Service, answer};
use crate::control::{Answer, Question};
use crate::log::Filter;
use crate::supervisor::inquiry::Inquiry;

/// What workers have to answer is waited for elsewhere.
impl Life {
    pub(super) fn status(&self) -> Service {
        Service {
            name: self.plan.name.clone(),
            state: self.readiness(),
            listeners: self.listeners().map(|(name, _)| name.to_owned()).collect(),
            workers: self.workers.statuses(self.first_process).collect(),
        }
    }

    pub(super) fn list(&self, query: Query, reply: Reply<List>) {
        let inquiry = self.workers.ask(&Question::Connections(query));
        let service = self.plan.name.clone();
        tokio::spawn(async move { answer(reply, list(inquiry, service, query).await) });
    }

    pub(super) fn reset(&self, number: u64, worker: Option<u64>, reply: Reply<Reset>) {
        let inquiry = self.workers.ask_one(worker, &Question::Reset(number));
        tokio::spawn(async move { answer(reply, reset(inquiry).await) });
    }

    pub(super) fn set_log(&self, filter: &Filter, reply: Reply<Vec<u64>>) {
        let question = Question::SetLog(filter.to_string());
        let inquiry = self.workers.ask(&question);
        tokio::spawn(async move { answer(reply, silent(&inquiry.answers().await)) });
    }

    /// Begins to shut down. The first signal after that has no further effect: it asks for the same.
    pub(super) fn drain_on_request(&mut self) {
        if self.phase == Phase::Serving {
            self.stop();
            self.is_asked_to_stop = true;
        }
    }

    /// Tells the supervisor whether the server is ready.
    pub fn report_readiness(&self) {
        self.beacon.set(self.readiness());
    }

    fn readiness(&self) -> Readiness {
        match self.phase {
            Phase::Serving if self.workers.count_ready(&self.generation) > 0 => Readiness::Ready,
            Phase::Serving => Readiness::NoWorker,
            Phase::Delayed(_) | Phase::Draining(_) | Phase::Replaced | Phase::Ending(_) => {
                Readiness::Ending
            }
        }
    }
}

/// Returns the workers that have not answered.
fn silent(answers: &[(u64, Option<Answer>)]) -> Vec<u64> {
    let silent = answers.iter().filter(|(_, answer)| answer.is_none());
    silent.map(|(worker, _)| *worker).collect()
}

async fn list(inquiry: Inquiry, service: Option<String>, query: Query) -> List {
    let mut all = List::default();
    for (worker, answer) in inquiry.answers().await {
        match answer {
            Some(Answer::Connections(list)) => all.add(list.of_worker(worker)),
            _ => all.add_missing(worker),
        }
    }
    all.of_service(service).fit(&query)
}

async fn reset(inquiry: Inquiry) -> Reset {
    let answers = inquiry.answers().await;
    let is_done = |(_, answer): &(u64, Option<Answer>)| matches!(answer, Some(Answer::Reset(true)));
    match silent(&answers) {
        _ if answers.iter().any(is_done) => Reset::Done,
        silent if silent.is_empty() => Reset::Unknown,
        silent => Reset::Missing(silent),
    }
}
