//! The commands of the admin endpoint, in one process.

use super::reload::Reloads;
use crate::admin::{Admin, Command, List, Readiness, Reset, Status, answer, scrape};
use crate::log;
use evconn::ServerHandle;
use std::sync::Arc;
use tokio::sync::Notify;

/// Carries out the commands until the process ends. `drain` is notified of the one that ends the server.
pub async fn run(
    mut admin: Admin,
    server: ServerHandle,
    listeners: Vec<String>,
    reloads: Reloads,
    drain: Arc<Notify>,
) {
    admin.set_readiness(Readiness::Ready);
    let mut stopping = std::pin::pin!(server.stopping());
    let mut is_ending = false;
    loop {
        tokio::select! {
            () = &mut stopping, if !is_ending => {
                is_ending = true;
                admin.set_readiness(Readiness::Ending);
            }
            Some(command) = admin.commands.recv() => carry_out(command, &server, &listeners, &reloads, &drain),
            else => return,
        }
    }
}

fn carry_out(
    command: Command,
    server: &ServerHandle,
    listeners: &[String],
    reloads: &Reloads,
    drain: &Notify,
) {
    match command {
        Command::Metrics(reply) => scrape(server.metrics(), reply),
        Command::Status(reply) => answer(
            reply,
            Status {
                listeners: listeners.to_vec(),
                ..Status::default()
            },
        ),
        Command::Connections(query, reply) => answer(reply, List::of(server, &query)),
        Command::Reset(number, reply) => answer(
            reply,
            match server.reset(number) {
                true => Reset::Done,
                false => Reset::Unknown,
            },
        ),
        Command::Drain(reply) => {
            drain.notify_one();
            answer(reply, ());
        }
        Command::Reload(reply) => reloads.add(reply),
        Command::SetLog(filter, reply) => {
            log::set_filter(&filter);
            answer(reply, Vec::new());
        }
    }
}
