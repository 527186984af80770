//! The commands of the admin endpoint.

use super::{Life, Phase};
use crate::admin::{self, Command, List, Query, Readiness, Reply, Reset, Status, answer};
use crate::control::{Answer, Question};
use crate::log::{self, Filter};
use crate::supervisor::inquiry::Inquiry;

impl Life {
    /// Carries out a command. What workers have to answer is waited for elsewhere.
    pub(super) fn carry_out(&mut self, command: Command) {
        match command {
            Command::Metrics(reply) => admin::scrape(self.workers.quota().metrics(), reply),
            Command::Status(reply) => answer(reply, self.status()),
            Command::Connections(query, reply) => {
                let inquiry = self.workers.ask(&Question::Connections(query));
                tokio::spawn(list(inquiry, query, reply));
            }
            Command::Reset(number, reply) => {
                let inquiry = self.workers.ask(&Question::Reset(number));
                tokio::spawn(reset(inquiry, reply));
            }
            Command::Drain(reply) => {
                self.drain_on_request();
                answer(reply, ());
            }
            Command::Reload(reply) => self.requests.add(reply),
            Command::SetLog(filter, reply) => self.set_log(&filter, reply),
        }
    }

    fn status(&self) -> Status {
        Status {
            service: self.plan.name.clone(),
            listeners: self.listeners().map(|(name, _)| name.to_owned()).collect(),
            workers: self.workers.statuses().collect(),
        }
    }

    fn set_log(&self, filter: &Filter, reply: Reply<Vec<u64>>) {
        log::set_filter(filter);
        let question = Question::SetLog(filter.to_string());
        let inquiry = self.workers.ask(&question);
        tokio::spawn(async move { answer(reply, silent(&inquiry.answers().await)) });
    }

    /// Begins to shut down. The first signal after that has no further effect: it asks for the same.
    fn drain_on_request(&mut self) {
        if self.phase == Phase::Serving {
            self.stop();
            self.is_asked_to_stop = true;
        }
    }

    /// Tells probes whether the server is ready.
    pub(super) fn report_readiness(&self) {
        self.admin.set_readiness(match self.phase {
            Phase::Serving if self.workers.count_ready(&self.generation) > 0 => Readiness::Ready,
            Phase::Serving => Readiness::NoWorker,
            Phase::Delayed(_) | Phase::Draining(_) | Phase::Replaced | Phase::Ending(_) => {
                Readiness::Ending
            }
        });
    }
}

/// Returns the workers that have not answered.
fn silent(answers: &[(u64, Option<Answer>)]) -> Vec<u64> {
    let silent = answers.iter().filter(|(_, answer)| answer.is_none());
    silent.map(|(worker, _)| *worker).collect()
}

async fn list(inquiry: Inquiry, query: Query, reply: Reply<List>) {
    let mut all = List::default();
    for (worker, answer) in inquiry.answers().await {
        match answer {
            Some(Answer::Connections(list)) => all.add(worker, list),
            _ => all.add_missing(worker),
        }
    }
    answer(reply, all.fit(&query));
}

async fn reset(inquiry: Inquiry, reply: Reply<Reset>) {
    let answers = inquiry.answers().await;
    let is_done = |(_, answer): &(u64, Option<Answer>)| matches!(answer, Some(Answer::Reset(true)));
    let outcome = match silent(&answers) {
        _ if answers.iter().any(is_done) => Reset::Done,
        silent if silent.is_empty() => Reset::Unknown,
        silent => Reset::Missing(silent),
    };
    answer(reply, outcome);
}
