//! Serves connections, under the orders of the supervisor.

use super::Started;
use super::names::Names;
use super::privileges::Privileges;
use crate::admin::List;
use crate::args::Part;
use crate::control::{Answer, Channel, FromWorker, Question, Receiver, Secret, Sender, ToWorker};
use crate::loading::{mapped_host, mapped_service};
use crate::log::{self, Filter};
use crate::server::entered;
use crate::traces::Collector;
use evconn::{Ingress, Limits, Listener, Server, ServerHandle, Shutdown};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Serves until the supervisor ends it and the last connection has ended.
///
/// # Errors
/// If serving has failed. The supervisor has been told.
pub async fn serve(started: Started, channel: Channel) -> io::Result<()> {
    let (sender, receiver) = channel.split()?;
    let outcome = run(started, &sender, receiver).await.map_err(|error| {
        // The supervisor may be gone, too.
        let _ = sender.send(&FromWorker::Failed(format!("{error:#}")), Vec::new());
        io::Error::other(error)
    });
    sender.flush().await;
    outcome
}

async fn run(
    started: Started,
    supervisor: &Sender<FromWorker>,
    orders: Receiver<ToWorker>,
) -> anyhow::Result<()> {
    let names = Names::new(supervisor.clone());
    let (server, ingress, privileges, traces) = server(started, &names).await?;
    let (begin, begun) = oneshot::channel();
    let (now, is_now) = oneshot::channel();
    let shutdown = Shutdown::on(begun).now_on(is_now).grace(Duration::MAX);
    let control = Control {
        server: server.handle(),
        listeners: server.listeners().to_vec(),
        begin: Some(begin),
        now: Some(now),
        names,
        ingress,
        supervisor: supervisor.clone(),
    };
    tokio::spawn(control.run(orders));
    let send_traces = {
        let supervisor = supervisor.clone();
        move |batch| {
            // If the supervisor is gone, this process ends.
            let _ = supervisor.send(&FromWorker::Traces(batch), Vec::new());
        }
    };
    if let Some(collector) = &traces {
        tokio::spawn(collector.clone().run(send_traces.clone()));
    }
    tokio::spawn(report_stopped(
        server.listeners().to_vec(),
        supervisor.clone(),
    ));
    privileges.confine_calls()?;
    // Its first connections find an instance that is ready.
    server.warmed_up().await?;
    // The supervisor notices by itself if this worker is gone.
    let _ = supervisor.send(&FromWorker::Ready, Vec::new());
    server.run(shutdown).await?;
    let rest = traces.and_then(|collector| collector.take());
    rest.into_iter().for_each(send_traces);
    Ok(())
}

async fn server(
    started: Started,
    names: &Arc<Names>,
) -> anyhow::Result<(Server, Ingress, Privileges, Option<Collector>)> {
    let Started {
        plan,
        privileges,
        start,
        quota,
        code,
        listener,
        binary,
        sockets,
    } = started;
    let part = Part {
        number: start.part,
        of: start.parts,
    };
    let policy = plan.server.policy(part);
    let of_instances = match start.target.gives_up_instances {
        true => usize::MAX,
        false => policy.max_connections().unwrap_or(usize::MAX),
    };
    let capacity = start.capacity.min(of_instances);
    // Those of all processes together are in the quota.
    let limits = Limits {
        max_connections: capacity,
        ..plan.server.limits()
    };
    let host = plan
        .server
        .host(&limits, part)
        .workers(plan.server.workers())
        .cpu_share(plan.server.cpu_share());
    let host = mapped_host(host, listener, start.target).build()?;
    let ingress = plan.ingress.ingress_with(start.certificate)?;
    set_ticket_keys(&ingress, start.ticket_keys.as_ref());
    let service = entered(mapped_service(&host, code, binary)?, plan.entry_point)?
        .with_ingress(ingress.clone())
        .with_grants(plan.server.grants_with(Arc::clone(names) as _)?);
    let builder = Server::builder(&service).member(quota.join(start.member, capacity));
    let builder = plan.server.configure(builder, part)?;
    let (traces, builder) = plan.server.traces.collect(builder);
    let builder = sockets
        .into_iter()
        .fold(builder, |builder, (port, opened)| match port {
            Some(port) => builder.listen_on_for(port, opened),
            None => builder.listen_on(opened),
        });
    Ok((builder.bind().await?, ingress, privileges, traces))
}

/// Uses the keys of session tickets that all workers have.
#[cfg(feature = "tls")]
fn set_ticket_keys(ingress: &Ingress, keys: Option<&Secret>) {
    let keys = keys.and_then(|Secret(bytes)| evconn::TicketKeys::from_bytes(bytes));
    if let (Some(config), Some(keys)) = (ingress.tls_config(), keys) {
        config.set_ticket_keys(keys);
    }
}

#[cfg(not(feature = "tls"))]
fn set_ticket_keys(_ingress: &Ingress, _keys: Option<&Secret>) {}

/// Carries out the orders of the supervisor.
struct Control {
    server: ServerHandle,
    /// One for each socket, in order.
    listeners: Vec<Listener>,
    begin: Option<oneshot::Sender<()>>,
    now: Option<oneshot::Sender<()>>,
    names: Arc<Names>,
    ingress: Ingress,
    supervisor: Sender<FromWorker>,
}

impl Control {
    async fn run(mut self, mut orders: Receiver<ToWorker>) {
        while let Ok(Some((order, _))) = orders.receive().await {
            match order {
                ToWorker::Drain { left } => {
                    let listeners = left
                        .iter()
                        .filter_map(|position| self.listeners.get(*position));
                    listeners.for_each(Listener::leave_queue);
                    self.begin();
                }
                ToWorker::Retire => {
                    self.server.leave_queues();
                    self.begin();
                }
                ToWorker::Kill => {
                    self.begin();
                    self.now = None;
                }
                ToWorker::TicketKeys(keys) => set_ticket_keys(&self.ingress, Some(&keys)),
                ToWorker::Resolved { id, addresses } => self.names.resolved(id, addresses),
                ToWorker::Ask { id, question } => self.answer(id, question),
                ToWorker::Start(_) | ToWorker::Sockets(_) => {}
            }
        }
        // The supervisor is gone: nobody could end this process any more.
        std::process::exit(1);
    }

    fn answer(&self, id: u64, question: Question) {
        let answer = match question {
            Question::Connections(query) => Answer::Connections(List::of(&self.server, &query)),
            Question::Reset(number) => Answer::Reset(self.server.reset(number)),
            Question::SetLog(text) => match Filter::parse(&text) {
                Ok(filter) => {
                    log::set_filter(&filter);
                    Answer::SetLog
                }
                // The supervisor has parsed it, too.
                Err(problem) => return tracing::error!("log filter not set: {problem}"),
            },
        };
        // If the supervisor is gone, this process ends.
        let _ = self
            .supervisor
            .send(&FromWorker::Answer { id, answer }, Vec::new());
    }

    fn begin(&mut self) {
        // Dropping it is the signal.
        self.begin = None;
    }
}

/// Tells the supervisor when all listeners have stopped accepting.
async fn report_stopped(listeners: Vec<Listener>, supervisor: Sender<FromWorker>) {
    for listener in listeners {
        listener.closed().await;
    }
    let _ = supervisor.send(&FromWorker::Stopped, Vec::new());
}
