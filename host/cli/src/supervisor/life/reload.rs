//! Reloading: what was read again gets workers of its own, which take the place of the old ones.

use super::{Life, Phase};
use crate::admin::{self, Reply, answer};
use crate::supervisor::Generation;
use crate::supervisor::source::Reloaded;
use crate::supervisor::workers::Ended;
use anyhow::anyhow;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long new workers may take to start in a reload: longer than an instance that is made ahead.
const START: Duration = Duration::from_secs(90);

/// How long old workers may take to stop accepting in a reload.
const RETIREMENT: Duration = Duration::from_secs(2);

/// The phase of a reload.
pub(super) enum Reload {
    None,
    Loading(JoinHandle<Reloaded>),
    /// The workers of the new generation are starting. The reload has failed if they have not started at this
    /// time.
    Starting(Arc<Generation>, Outcome, Instant),
    /// The workers of old generations are told to stop accepting. The reload ends at this time, even if some
    /// still do.
    Retiring(Instant, Outcome),
}

/// What a reload replaces, for the log.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    component: bool,
    certificate: bool,
}

/// Who has asked for a reload, and what has become of it.
pub(super) struct Requests {
    /// The name of the service, if there are several.
    service: Option<String>,
    /// Those whose reload has not begun.
    waiting: Vec<Reply<admin::Reload>>,
    /// Those of the reload that is under way.
    begun: Vec<Reply<admin::Reload>>,
    outcome: admin::Reload,
}

impl Requests {
    pub fn new(service: Option<String>) -> Self {
        Self {
            waiting: Vec::new(),
            begun: Vec::new(),
            outcome: admin::Reload::of(service.clone()),
            service,
        }
    }

    /// A reload is asked for. If the server ends before, nobody answers, which is noticed.
    pub fn add(&mut self, reply: Reply<admin::Reload>) {
        self.waiting.push(reply);
    }

    /// A reload begins: one is enough for all that have asked before.
    fn begin(&mut self) {
        self.begun = std::mem::take(&mut self.waiting);
        self.outcome = admin::Reload::of(self.service.clone());
    }

    /// The reload is over.
    fn end(&mut self) {
        for reply in self.begun.drain(..) {
            answer(reply, self.outcome.clone());
        }
    }

    /// No reload will end any more.
    fn give_up(&mut self) {
        *self = Self::new(self.service.take());
    }
}

impl Life {
    /// When the reload has to be over.
    pub(super) fn end_of_reload(&self) -> Option<Instant> {
        match &self.reload {
            Reload::Retiring(until, _) | Reload::Starting(_, _, until) => Some(*until),
            Reload::None | Reload::Loading(_) => None,
        }
    }

    pub(super) fn look_at_clock_of_reload(&mut self, now: Instant) {
        match self.reload {
            Reload::Retiring(until, _) if until <= now => self.end_reload(),
            Reload::Starting(_, _, until) if until <= now => {
                self.refuse_reload(&anyhow!("its workers have not started within {START:?}"));
            }
            _ => {}
        }
    }

    /// Whether a reload may begin: one at a time.
    pub(super) fn can_reload(&self) -> bool {
        self.phase == Phase::Serving && matches!(self.reload, Reload::None)
    }

    pub(super) fn is_starting_a_generation(&self) -> bool {
        matches!(self.reload, Reload::Starting(..))
    }

    /// Begins the reload that was asked for, if one was and may begin.
    pub(super) fn begin_asked_reload(&mut self) {
        if self.phase != Phase::Serving {
            self.requests.give_up();
        } else if self.can_reload() && !self.requests.waiting.is_empty() {
            self.begin_reload();
        }
    }

    pub(super) fn begin_reload(&mut self) {
        self.requests.begin();
        let reloading = self.source.clone().reload(Arc::clone(&self.plan));
        self.reload = Reload::Loading(tokio::spawn(reloading));
    }

    pub(super) fn start_generation(&mut self, reloaded: Reloaded) {
        let Reloaded {
            component,
            certificate,
        } = reloaded;
        let certificate = certificate.unwrap_or_else(|error| {
            self.requests.outcome.certificate_stays(&error);
            false
        });
        let component = component.unwrap_or_else(|error| {
            self.requests.outcome.component_stays(&error);
            None
        });
        let outcome = Outcome {
            component: component.is_some(),
            certificate,
        };
        if !outcome.component && !outcome.certificate {
            return self.finish_reload();
        }
        let compiled = match component {
            Some(compiled) => Arc::new(compiled),
            None => Arc::clone(&self.generation.compiled),
        };
        let generation = Generation::new(compiled, self.source.certificate());
        self.reload = Reload::Starting(Arc::clone(&generation), outcome, Instant::now() + START);
        self.start_first(&generation);
    }

    /// Starts a worker of the new generation, and gives up the reload if that fails.
    fn start_first(&mut self, generation: &Arc<Generation>) {
        if let Err(error) = self.workers.start(generation) {
            self.refuse_reload(&anyhow!("cannot start a worker: {error}"));
        }
    }

    fn start_rest(&mut self, generation: &Arc<Generation>) {
        while self.is_starting_a_generation() && self.workers.count(generation) < self.processes {
            self.start_first(generation);
        }
    }

    pub(super) fn go_on_with_reload(&mut self) {
        let Reload::Starting(generation, outcome, _) = &self.reload else {
            return;
        };
        let (generation, outcome) = (Arc::clone(generation), *outcome);
        let running = self.workers.count(&generation);
        if self.workers.count_ready(&generation) < running {
            return;
        }
        if running < self.processes {
            return self.start_rest(&generation);
        }
        self.workers.retire_others(&generation);
        self.generation = generation;
        self.reload = Reload::Retiring(Instant::now() + RETIREMENT, outcome);
        self.one_has_stopped();
    }

    pub(super) fn end_reload(&mut self) {
        if let Reload::Retiring(_, outcome) = self.reload {
            if outcome.certificate {
                self.requests.outcome.certificate_is_new();
            }
            if outcome.component {
                self.requests.outcome.component_is_new();
            }
            self.finish_reload();
        }
    }

    fn finish_reload(&mut self) {
        self.reload = Reload::None;
        self.requests.end();
    }

    /// Gives up the reload if the worker belongs to the generation that is starting. Returns whether it does.
    pub(super) fn fail_reload(&mut self, ended: &Ended) -> bool {
        match &self.reload {
            Reload::Starting(generation, ..) if Arc::ptr_eq(generation, &ended.generation) => {
                self.refuse_reload(&anyhow!("a worker {}", ended.how));
                true
            }
            _ => false,
        }
    }

    /// Logs that the workers of the new generation have not started, and kills them.
    pub(super) fn refuse_reload(&mut self, why: &anyhow::Error) {
        if let Reload::Starting(_, outcome, _) = self.reload {
            if outcome.component {
                self.requests.outcome.component_stays(why);
            } else {
                self.requests.outcome.certificate_stays(why);
            }
        }
        self.give_up_reload();
        self.finish_reload();
    }

    /// Kills the workers of a generation that is starting. The old ones continue to serve.
    pub(super) fn give_up_reload(&mut self) {
        match std::mem::replace(&mut self.reload, Reload::None) {
            Reload::Starting(generation, ..) => self.workers.give_up(&generation),
            Reload::Loading(loading) => loading.abort(),
            Reload::None | Reload::Retiring(..) => {}
        }
    }
}

/// Waits until a reload has read and compiled everything.
pub(super) async fn loaded(reload: &mut Reload) -> Reloaded {
    match reload {
        Reload::Loading(loading) => match loading.await {
            Ok(reloaded) => reloaded,
            Err(error) => Reloaded {
                component: Err(error.into()),
                certificate: Ok(false),
            },
        },
        Reload::None | Reload::Starting(..) | Reload::Retiring(..) => pending().await,
    }
}
