//! Questions to workers, which a worker may leave unanswered: it may be stopped, or about to end.

use crate::control::{Answer, Question, Sender, ToWorker};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How long all workers may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of questions that a worker has not answered: more than the admin endpoint asks at a time. Further
/// ones are not sent to it, since a worker that does not read its messages is killed in the end.
const MAX_UNANSWERED: usize = 128;

/// What one worker was asked and has not answered.
#[derive(Clone, Default)]
pub struct Questions(Arc<Mutex<Unanswered>>);

#[derive(Default)]
struct Unanswered {
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Questions {
    /// Asks the worker. Returns `None` if it is gone, or has not answered for long.
    pub fn ask(
        &self,
        control: &Sender<ToWorker>,
        question: Question,
    ) -> Option<oneshot::Receiver<Answer>> {
        let mut unanswered = self.unanswered();
        if unanswered.waiting.len() >= MAX_UNANSWERED {
            return None;
        }
        unanswered.asked += 1;
        let id = unanswered.asked;
        control
            .send(&ToWorker::Ask { id, question }, Vec::new())
            .ok()?;
        let (sender, answer) = oneshot::channel();
        unanswered.waiting.insert(id, sender);
        Some(answer)
    }

    /// The worker has answered.
    pub fn answered(&self, id: u64, answer: Answer) {
        // A worker that is not compromised answers what it was asked, and whoever waited may be gone.
        if let Some(waiting) = self.unanswered().waiting.remove(&id) {
            let _ = waiting.send(answer);
        }
    }

    /// The worker is gone: nobody waits any longer.
    pub fn end(&self) {
        self.unanswered().waiting.clear();
    }

    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        // Nothing in there panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question to all workers.
pub struct Inquiry {
    /// For each worker its number, and its answer.
    asked: Vec<(u64, Option<oneshot::Receiver<Answer>>)>,
}

impl Inquiry {
    pub fn new(asked: impl Iterator<Item = (u64, Option<oneshot::Receiver<Answer>>)>) -> Self {
        Self {
            asked: asked.collect(),
        }
    }

    /// Returns the answers, with the number of each worker. `None`: that worker has not answered in time.
    pub async fn answers(self) -> Vec<(u64, Option<Answer>)> {
        let deadline = Instant::now() + TIMEOUT;
        let mut answers = Vec::with_capacity(self.asked.len());
        for (worker, answer) in self.asked {
            let answer = match answer {
                Some(answer) => timeout_at(deadline, answer).await.ok().and_then(Result::ok),
                None => None,
            };
            answers.push((worker, answer));
        }
        answers
    }
}
