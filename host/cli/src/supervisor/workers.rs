//! The worker processes: starting them, their messages, and their ends.

use super::Generation;
use super::inquiry::{Inquiry, Questions};
use super::names::Names;
use super::start::Lent;
use super::tickets::{KeptTickets, Tickets};
use crate::admin::{self, WorkerState};
use crate::args::NamedSource;
use crate::control::process::{self, Process};
use crate::control::{AboutSocket, FromWorker, Pem, Question, Receiver, Sockets, Start, ToWorker};
use crate::log;
use crate::sys::Importance;
use crate::sys::child::describe;
use crate::sys::descriptors::MAX_DESCRIPTORS;
use crate::traces::Exporter;
use evconn::Quota;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Maximum number of queued messages from workers.
const QUEUE: usize = 256;

/// How long to wait for the end of the workers' logs.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

/// What all workers have in common.
pub struct Common {
    /// The command line of the server.
    pub arguments: Vec<OsString>,
    pub quota: Quota,
    /// Maximum number of workers at a time.
    pub members: u16,
    pub numbers: Numbers,
    /// The listeners, with their sockets.
    pub listeners: Vec<Lent>,
    /// Into how many parts the server's instances are divided: each worker of a generation has one.
    pub parts: usize,
    /// Maximum number of connections of a worker.
    pub capacity: usize,
    pub tickets: Tickets,
    /// Where their traces are sent, if anywhere.
    pub traces: Option<Exporter>,
}

/// The numbers of the workers of all servers of a supervisor, from 1 on: no two have the same.
#[derive(Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The worker processes.
pub struct Workers {
    common: Common,
    all: Vec<Worker>,
    /// Whether one was started.
    has_started: bool,
    events: mpsc::Receiver<(u64, Event)>,
    event_sender: mpsc::Sender<(u64, Event)>,
    /// SIGCHLD.
    ended: Signal,
    /// The logs of workers that have ended, as long as they are not wholly passed on.
    logs: Vec<JoinHandle<()>>,
}

/// A worker process.
struct Worker {
    /// Its number in the log.
    number: u64,
    member: u16,
    /// Which part of the server's instances it has.
    part: usize,
    process: Process<ToWorker>,
    questions: Questions,
    generation: Arc<Generation>,
    since: Instant,
    stage: Stage,
    /// Why it has failed, as it has reported.
    failure: Option<String>,
    is_closed: bool,
    /// It was killed before it accepted connections, because its reload was given up.
    is_given_up: bool,
}

/// The stage of a worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    /// It accepts connections.
    Ready,
    /// It was told to stop accepting.
    Stopping,
    /// It has stopped accepting.
    Stopped,
}

enum Event {
    Message(FromWorker),
    Closed,
}

/// What has happened to a worker.
#[derive(Debug)]
pub enum Happened {
    /// It accepts connections.
    Ready,
    /// It has stopped accepting.
    Stopped,
    Ended(Ended),
}

/// The end of a worker.
#[derive(Debug)]
pub struct Ended {
    pub number: u64,
    pub process: u32,
    pub generation: Arc<Generation>,
    /// How it has ended, such as "was killed by signal 9".
    pub how: String,
    /// Whether it was told to end, and did so with success.
    pub is_regular: bool,
    /// Whether it has accepted connections at all.
    pub was_ready: bool,
    /// Whether it still accepted connections.
    pub was_accepting: bool,
    /// The number of connections that were lost with it.
    pub connections: usize,
    pub lived: Duration,
}

impl Workers {
    pub fn new(common: Common) -> io::Result<Self> {
        let (event_sender, events) = mpsc::channel(QUEUE);
        Ok(Self {
            common,
            all: Vec::new(),
            has_started: false,
            events,
            event_sender,
            ended: signal(SignalKind::child())?,
            logs: Vec::new(),
        })
    }

    pub fn quota(&self) -> &Quota {
        &self.common.quota
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns how many workers of a generation have not been told to stop accepting.
    pub fn count(&self, generation: &Arc<Generation>) -> usize {
        self.of(generation)
            .filter(|worker| worker.stage < Stage::Stopping)
            .count()
    }

    /// Returns how many of them accept connections.
    pub fn count_ready(&self, generation: &Arc<Generation>) -> usize {
        self.of(generation)
            .filter(|worker| worker.stage == Stage::Ready)
            .count()
    }

    /// Returns what the admin endpoint says of each worker.
    ///
    /// `first_process` is the number of the first process, as metrics have it.
    pub fn statuses(&self, first_process: u16) -> impl Iterator<Item = admin::Worker> {
        self.all.iter().map(move |worker| admin::Worker {
            number: worker.number,
            process: worker.process.child.id(),
            member: first_process.saturating_add(worker.member),
            age: worker.since.elapsed().as_secs_f64(),
            state: match worker.stage {
                Stage::Starting => WorkerState::Starting,
                Stage::Ready => WorkerState::Accepting,
                Stage::Stopping => WorkerState::Stopping,
                Stage::Stopped => WorkerState::Finishing,
            },
        })
    }

    /// Whether a worker that was told to stop accepting has not done so yet.
    pub fn are_stopping(&self) -> bool {
        self.all
            .iter()
            .any(|worker| worker.stage == Stage::Stopping)
    }

    /// Whether all workers have stopped accepting.
    pub fn have_stopped(&self) -> bool {
        self.all.iter().all(|worker| worker.stage == Stage::Stopped)
    }

    fn of(&self, generation: &Arc<Generation>) -> impl Iterator<Item = &Worker> {
        let is_of = |worker: &&Worker| Arc::ptr_eq(&worker.generation, generation);
        self.all.iter().filter(is_of)
    }

    /// Starts a worker. [`next`](Self::next) returns [`Happened::Ready`] when it accepts connections.
    pub fn start(&mut self, generation: &Arc<Generation>) -> io::Result<()> {
        let member = self.free_member()?;
        let part = self.free_part(generation);
        let files = self.files(generation)?;
        let (process, messages) = process::start("worker", Importance::Normal, &[])?;
        let number = self.common.numbers.next();
        let start = ToWorker::Start(Box::new(Start {
            arguments: self.common.arguments.clone(),
            is_terminal: log::is_terminal(),
            member,
            part,
            parts: self.common.parts,
            capacity: self.common.capacity,
            target: generation.compiled.target,
            certificate: generation.certificate.clone(),
            ticket_keys: self.common.tickets.secret(),
            tells_missing: !std::mem::replace(&mut self.has_started, true),
            sockets: self.sockets().count(),
        }));
        // If the worker is gone already, that is noticed later.
        let _ = process.control.send(&start, files);
        self.send_sockets(&process)?;
        let questions = Questions::default();
        let others = Others {
            names: Names::new(process.control.clone()),
            questions: questions.clone(),
            traces: self.common.traces.clone(),
        };
        tokio::spawn(listen(number, messages, others, self.event_sender.clone()));
        self.all.push(Worker {
            number,
            member,
            part,
            process,
            questions,
            generation: Arc::clone(generation),
            since: Instant::now(),
            stage: Stage::Starting,
            failure: None,
            is_closed: false,
            is_given_up: false,
        });
        Ok(())
    }

    /// Returns a number in the shared memory that no worker has.
    fn free_member(&self) -> io::Result<u16> {
        let is_free = |member: &u16| self.all.iter().all(|worker| worker.member != *member);
        let members = self.common.members;
        let mut all = 0..members;
        all.find(is_free).ok_or_else(|| {
            io::Error::other(format!(
                "{members} workers are running already, most of which finish the connections of earlier reloads"
            ))
        })
    }

    /// Returns a part of the instances that no worker of this generation has: that of one that has ended.
    fn free_part(&self, generation: &Arc<Generation>) -> usize {
        let is_taken = |part: &usize| {
            let mut of = self.of(generation);
            of.any(|worker| worker.stage < Stage::Stopping && worker.part == *part)
        };
        let mut all = 0..self.common.parts;
        all.find(|part| !is_taken(part)).unwrap_or_default()
    }

    /// Returns the descriptors of a start message, in order.
    fn files(&self, generation: &Generation) -> io::Result<Vec<OwnedFd>> {
        let compiled = &generation.compiled;
        let [memory, bell] = self.common.quota.descriptors();
        let mut files = vec![
            memory.try_clone_to_owned()?,
            bell.try_clone_to_owned()?,
            compiled.code.try_clone()?,
            compiled.listener.try_clone()?,
        ];
        if let Some(binary) = &compiled.binary {
            files.push(binary.try_clone()?);
        }
        Ok(files)
    }

    /// Returns the listening sockets, each with its source.
    fn sockets(&self) -> impl Iterator<Item = (&NamedSource, &(OwnedFd, AboutSocket))> {
        let listeners = self.common.listeners.iter();
        listeners.flat_map(|lent| lent.sockets.iter().map(|socket| (&lent.source, socket)))
    }

    fn send_sockets(&self, process: &Process<ToWorker>) -> io::Result<()> {
        let all: Vec<_> = self.sockets().map(|(_, socket)| socket).collect();
        for sockets in all.chunks(MAX_DESCRIPTORS) {
            let about = sockets.iter().map(|(_, about)| *about).collect();
            let message = ToWorker::Sockets(Sockets { about });
            let descriptors = sockets.iter().map(|(socket, _)| socket.try_clone());
            let _ = process
                .control
                .send(&message, descriptors.collect::<io::Result<_>>()?);
        }
        Ok(())
    }

    /// Waits for what happens next. The future is cancel-safe.
    pub async fn next(&mut self) -> Happened {
        loop {
            if let Some(ended) = self.take_ended() {
                return Happened::Ended(ended);
            }
            tokio::select! {
                Some((number, event)) = self.events.recv() => {
                    if let Some(happened) = self.handle(number, event) {
                        return happened;
                    }
                }
                _ = self.ended.recv() => {}
            }
        }
    }

    fn handle(&mut self, number: u64, event: Event) -> Option<Happened> {
        let worker = self.all.iter_mut().find(|worker| worker.number == number)?;
        match event {
            Event::Message(FromWorker::Ready) if worker.stage == Stage::Starting => {
                worker.stage = Stage::Ready;
                Some(Happened::Ready)
            }
            Event::Message(FromWorker::Stopped) => {
                worker.stage = Stage::Stopped;
                Some(Happened::Stopped)
            }
            Event::Message(FromWorker::Failed(why)) => {
                worker.failure = Some(why);
                None
            }
            Event::Message(_) => None,
            Event::Closed => {
                worker.is_closed = true;
                // A worker closes its end of the socket only by ending: another one is compromised.
                worker.process.child.kill();
                None
            }
        }
    }

    /// Removes a worker that has ended, after all its messages have been received.
    fn take_ended(&mut self) -> Option<Ended> {
        let mut closed = (0..self.all.len()).filter(|at| self.all[*at].is_closed);
        let closed: Vec<_> = closed.by_ref().collect();
        for at in closed {
            match self.all[at].process.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Some(self.take(at, Ok(status))),
                Err(error) => return Some(self.take(at, Err(error))),
            }
        }
        None
    }

    fn take(&mut self, at: usize, status: io::Result<ExitStatus>) -> Ended {
        let worker = self.all.swap_remove(at);
        let process = worker.process.child.id();
        self.logs.retain(|log| !log.is_finished());
        self.logs.push(worker.process.log);
        let is_success = status.as_ref().is_ok_and(ExitStatus::success);
        let how = match (worker.failure, status) {
            (Some(failure), _) => format!("failed: {failure}"),
            (None, Ok(status)) => describe(status),
            (None, Err(error)) => format!("is gone: {error}"),
        };
        Ended {
            number: worker.number,
            process,
            generation: worker.generation,
            how,
            is_regular: worker.is_given_up || is_success && worker.stage >= Stage::Stopping,
            was_ready: worker.stage > Stage::Starting,
            was_accepting: matches!(worker.stage, Stage::Ready | Stage::Stopping),
            connections: self.common.quota.release(worker.member),
            lived: worker.since.elapsed(),
        }
    }

    /// Tells the workers of all other generations to stop accepting and leave the queues to this one.
    pub fn retire_others(&mut self, generation: &Arc<Generation>) {
        for worker in &mut self.all {
            if !Arc::ptr_eq(&worker.generation, generation) {
                worker.stop(&ToWorker::Retire);
            }
        }
    }

    /// Tells all workers to stop accepting once the queues are empty.
    pub fn drain(&mut self) {
        for worker in &mut self.all {
            worker.stop(&ToWorker::Drain { left: Vec::new() });
        }
    }

    /// Tells all workers to reset their open connections and to end.
    pub fn end(&mut self) {
        for worker in &mut self.all {
            worker.tell(&ToWorker::Kill);
            worker.stage = worker.stage.max(Stage::Stopping);
        }
    }

    /// Ends the workers of a generation that is not needed: those that accept already finish their connections.
    pub fn give_up(&mut self, generation: &Arc<Generation>) {
        for worker in &mut self.all {
            if Arc::ptr_eq(&worker.generation, generation) {
                worker.give_up(&ToWorker::Retire);
            }
        }
    }

    /// Ends all workers, since others take their place: those that accept finish their connections. They leave the queues
    /// of the sources that the others have to them, and accept what waits in those that nobody else has.
    pub fn give_up_all(&mut self, have_others: impl Fn(&NamedSource) -> bool) {
        let sockets = self.sockets().enumerate();
        let left = sockets.filter(|(_, (source, _))| have_others(source));
        let left: Vec<_> = left.map(|(position, _)| position).collect();
        let how = match left.len() == self.sockets().count() {
            true => ToWorker::Retire,
            false => ToWorker::Drain { left },
        };
        for worker in &mut self.all {
            worker.give_up(&how);
        }
    }

    /// Asks all workers.
    pub fn ask(&self, question: &Question) -> Inquiry {
        self.ask_those(question, |_| true)
    }

    /// Asks the worker with this number, if there is one, or all workers.
    pub fn ask_one(&self, number: Option<u64>, question: &Question) -> Inquiry {
        self.ask_those(question, |worker| {
            number.is_none_or(|number| worker.number == number)
        })
    }

    fn ask_those(&self, question: &Question, is_asked: impl Fn(&Worker) -> bool) -> Inquiry {
        let asked = self
            .all
            .iter()
            .filter(|worker| is_asked(worker))
            .map(|worker| {
                let control = &worker.process.control;
                let answer = worker.questions.ask(control, question.clone());
                (worker.number, answer)
            });
        Inquiry::new(asked)
    }

    /// Returns the keys of session tickets for another server.
    pub fn tickets(&self) -> Option<KeptTickets> {
        self.common.tickets.keep()
    }

    /// Gives all workers the next keys of session tickets, if it is time.
    pub fn rotate_tickets(&mut self, now: Instant) {
        if let Some(keys) = self.common.tickets.rotate(now) {
            for worker in &self.all {
                worker.tell(&ToWorker::TicketKeys(keys.clone()));
            }
        }
    }

    /// Kills all workers.
    pub fn kill_all(&self) {
        self.all
            .iter()
            .for_each(|worker| worker.process.child.kill());
    }

    /// Kills the worker with this number in the shared memory. Returns its process id.
    pub fn kill_member(&self, member: u16) -> Option<u32> {
        let worker = self.all.iter().find(|worker| worker.member == member)?;
        worker.process.child.kill();
        Some(worker.process.child.id())
    }

    /// Waits until the logs of all workers are passed on, up to a second.
    pub async fn end_logs(&mut self) {
        let logs = async {
            for log in &mut self.logs {
                // It does not panic, and nobody aborts it.
                let _ = log.await;
            }
        };
        // An error means that nobody reads the log.
        let _ = tokio::time::timeout(LOG_TIMEOUT, logs).await;
    }

    /// Closes the listening sockets: no worker needs them any more.
    pub fn close_sockets(&mut self) {
        self.common.listeners.clear();
    }
}

impl Worker {
    fn stop(&mut self, how: &ToWorker) {
        if self.stage < Stage::Stopping {
            self.tell(how);
            self.stage = Stage::Stopping;
        }
    }

    /// Ends it, if it does not accept yet, or has it stop accepting.
    fn give_up(&mut self, how: &ToWorker) {
        if self.stage == Stage::Starting {
            self.process.child.kill();
            self.is_given_up = true;
        } else {
            self.stop(how);
        }
    }

    /// Sends a message. Kills a worker that does not read its messages.
    fn tell(&self, message: &ToWorker) {
        if self.process.control.send(message, Vec::new()).is_err() {
            self.process.child.kill();
        }
    }
}

impl PartialOrd for Stage {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stage {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

/// Who gets the messages of a worker that are no events.
struct Others {
    names: Names,
    questions: Questions,
    traces: Option<Exporter>,
}

impl Others {
    /// Returns a message that is an event.
    fn take(&self, message: FromWorker) -> Option<FromWorker> {
        match message {
            FromWorker::Resolve { id, name } => self.names.resolve(id, name),
            FromWorker::Answer { id, answer } => self.questions.answered(id, answer),
            FromWorker::Traces(batch) => {
                if let Some(exporter) = &self.traces {
                    exporter.export(batch);
                }
            }
            message => return Some(message),
        }
        None
    }
}

/// Receives the messages of a worker until its end.
async fn listen(
    number: u64,
    mut messages: Receiver<FromWorker>,
    others: Others,
    event_sender: mpsc::Sender<(u64, Event)>,
) {
    loop {
        let event = match messages.receive().await {
            Ok(Some((message, _))) => match others.take(message) {
                Some(message) => Event::Message(message),
                None => continue,
            },
            Ok(None) => Event::Closed,
            Err(error) => {
                tracing::debug!("invalid message from worker {number}: {error}");
                Event::Closed
            }
        };
        let is_closed = matches!(event, Event::Closed);
        if is_closed {
            others.questions.end();
        }
        // An error means that the supervisor ends.
        if event_sender.send((number, event)).await.is_err() || is_closed {
            return;
        }
    }
}

impl Generation {
    pub fn new(compiled: Arc<super::Compiled>, certificate: Option<Pem>) -> Arc<Self> {
        Arc::new(Self {
            compiled,
            certificate,
        })
    }
}
