//! The process whose place this one is to take.

use crate::args::{NamedListening, NamedSource};
use crate::control::{
    AboutSocket, Channel, FromSuccessor, LentListener, LentTickets, Receiver, Sender, ToSuccessor,
};
use crate::server::Plan;
use crate::supervisor::start::{Kept, Lent};
use crate::supervisor::tickets::KeptTickets;
use crate::sys::program;
use anyhow::{Context, anyhow, bail, ensure};
use evconn::{ListenSource, Listening, Opened, SocketFile};
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

const GONE: &str = "the process that this one was to replace has ended";
const UNEXPECTED: &str = "the process that this one was to replace has sent an unexpected message";

/// The old process, which serves until this one does.
pub struct Predecessor {
    control: Sender<FromSuccessor>,
    messages: Receiver<ToSuccessor>,
    /// What it lends, until a service of this process has taken it.
    lent: Vec<Option<(LentListener, Vec<OwnedFd>)>>,
    tickets: Vec<LentTickets>,
    taken: Vec<Taken>,
}

/// The listeners that belong to this process from now on.
#[derive(Default)]
pub struct Inherited {
    /// Each with the name of its service.
    pub listeners: Vec<(Option<String>, NamedListening)>,
    pub admin: Vec<Listening>,
}

/// A listener that a service of this process has taken, or its admin endpoint.
struct Taken {
    /// Its number among those that were lent.
    number: usize,
    service: Option<String>,
    is_admin: bool,
    listening: NamedListening,
    file: Option<PathBuf>,
}

impl Predecessor {
    /// Returns the process that has started this one to be replaced, if one has, with all that it lends.
    pub async fn find() -> anyhow::Result<Option<Self>> {
        if !program::is_replacement() {
            return Ok(None);
        }
        let channel = Channel::of_standard_input().and_then(Channel::split);
        let (control, messages) = channel.context("standard input is no control socket")?;
        let mut predecessor = Self {
            control,
            messages,
            lent: Vec::new(),
            tickets: Vec::new(),
            taken: Vec::new(),
        };
        predecessor.receive_all().await?;
        Ok(Some(predecessor))
    }

    async fn receive_all(&mut self) -> anyhow::Result<()> {
        loop {
            match self.messages.receive().await? {
                Some((ToSuccessor::Listeners(listeners), sockets)) => {
                    self.receive(listeners, sockets)?;
                }
                Some((ToSuccessor::Tickets(tickets), _)) => self.tickets.push(tickets),
                Some((ToSuccessor::Start, _)) => return Ok(()),
                Some((ToSuccessor::TakeOver, _)) => bail!(UNEXPECTED),
                None => bail!(GONE),
            }
        }
    }

    fn receive(
        &mut self,
        listeners: Vec<LentListener>,
        sockets: Vec<OwnedFd>,
    ) -> anyhow::Result<()> {
        let mut sockets = sockets.into_iter();
        for listener in listeners {
            let wanted = listener.inherited.len();
            let its: Vec<_> = sockets.by_ref().take(wanted).collect();
            ensure!(its.len() == wanted, "listening sockets are missing");
            self.lent.push(Some((listener, its)));
        }
        Ok(())
    }

    /// Returns what each service keeps: the listeners of its sources. One that has changed its service is kept, too.
    pub fn share_out(&mut self, plans: &[Plan]) -> anyhow::Result<Vec<Kept>> {
        let mut all: Vec<_> = plans.iter().map(|plan| self.kept_for(plan)).collect();
        for is_same in [true, false] {
            for (plan, kept) in plans.iter().zip(&mut all) {
                let has =
                    |source: &NamedSource| kept.listeners.iter().any(|lent| lent.source == *source);
                let sources = plan.listen.sources.iter().filter(|source| !has(source));
                let sources = sources.cloned().collect();
                let of =
                    |lent: &LentListener| !lent.is_admin && (lent.service == plan.name) == is_same;
                kept.listeners.extend(self.take(&plan.name, sources, of)?);
            }
        }
        Ok(all)
    }

    fn kept_for(&mut self, plan: &Plan) -> Kept {
        let is_its = |tickets: &mut LentTickets| tickets.service == plan.name;
        let mut tickets = self.tickets.extract_if(.., is_its);
        Kept {
            tickets: tickets
                .next()
                .map(|LentTickets { keys, age, .. }| KeptTickets { keys, age }),
            ..Kept::default()
        }
    }

    /// Lets a service take the listeners of these sources from some of the old services.
    fn take(
        &mut self,
        service: &Option<String>,
        sources: Vec<NamedSource>,
        from: impl Fn(&LentListener) -> bool,
    ) -> anyhow::Result<Vec<Lent>> {
        let mut all = Vec::new();
        for (number, lent) in self.lent.iter_mut().enumerate() {
            let Some((listener, sockets)) = lent.take_if(|(lent, _)| from(lent)) else {
                continue;
            };
            let is_its = |source: &&NamedSource| source.to_string() == listener.source;
            let Some(source) = sources.iter().find(is_its) else {
                *lent = Some((listener, sockets));
                continue;
            };
            self.taken.push(Taken {
                number,
                service: service.clone(),
                is_admin: listener.is_admin,
                listening: listening(source, &listener, &sockets)?,
                file: listener.file.clone().map(PathBuf::from),
            });
            all.push(borrowed(source, listener, sockets));
        }
        Ok(all)
    }

    /// Takes the listeners of the admin endpoint, if it has the same source. Returns whether it has.
    pub fn share_admin(&mut self, source: Option<&ListenSource>) -> anyhow::Result<bool> {
        let sources = source.cloned().map(NamedSource::from).into_iter();
        let taken = self.take(&None, sources.collect(), |lent| lent.is_admin)?;
        Ok(!taken.is_empty())
    }

    /// Waits until it ends, before this process has taken its place.
    pub async fn end(&mut self) -> anyhow::Error {
        match self.messages.receive().await {
            Ok(None) => anyhow!(GONE),
            Ok(Some(_)) => anyhow!(UNEXPECTED),
            Err(error) => error.into(),
        }
    }

    /// Reports that this process could not start.
    pub async fn fail(&self, why: impl Display) {
        // It may be gone.
        let _ = self
            .control
            .send(&FromSuccessor::Failed(why.to_string()), Vec::new());
        self.control.flush().await;
    }

    /// Reports that the workers of this process accept connections, and waits until the old one leaves its listeners to
    /// it. Returns these.
    pub async fn take_over(mut self) -> anyhow::Result<Inherited> {
        let taken = self.taken.iter().map(|taken| taken.number).collect();
        // If it is gone, nothing comes.
        let _ = self.control.send(&FromSuccessor::Ready(taken), Vec::new());
        match self.messages.receive().await? {
            Some((ToSuccessor::TakeOver, _)) => {}
            Some(_) => bail!(UNEXPECTED),
            None => bail!(GONE),
        }
        let mut all = Inherited::default();
        for taken in self.taken {
            let (is_admin, service) = (taken.is_admin, taken.service.clone());
            let owned = taken.own();
            match is_admin {
                true => all.admin.push(owned.listening),
                false => all.listeners.push((service, owned)),
            }
        }
        Ok(all)
    }
}

impl Taken {
    /// Owns the listener: the file of its Unix socket is removed at the end.
    fn own(mut self) -> NamedListening {
        let mut unix = self.listening.listening.sockets.iter_mut();
        let file = unix.find_map(|opened| match opened {
            Opened::Unix { file, .. } => Some(file),
            _ => None,
        });
        if let (Some(file), Some(path)) = (file, &self.file) {
            match SocketFile::take_over(path) {
                Ok(owned) => *file = Some(owned),
                Err(error) => tracing::warn!("cannot take over the socket {path:?}: {error}"),
            }
        }
        self.listening
    }
}

/// Returns the listener, with copies of its sockets. Its file is not its own yet.
fn listening(
    source: &NamedSource,
    listener: &LentListener,
    sockets: &[OwnedFd],
) -> anyhow::Result<NamedListening> {
    let opened = sockets.iter().zip(&listener.inherited);
    let opened = opened.map(|(socket, inherited)| {
        let socket = socket.as_fd().try_clone_to_owned()?;
        Ok(Opened::from_fd(socket)?.shared(*inherited))
    });
    let opened = opened.collect::<anyhow::Result<_>>()?;
    Ok(NamedListening {
        source: source.clone(),
        listening: Listening::new(listener.name.clone(), opened),
    })
}

fn borrowed(source: &NamedSource, listener: LentListener, sockets: Vec<OwnedFd>) -> Lent {
    let about = listener.inherited.into_iter().map(|inherited| AboutSocket {
        inherited,
        port: source.port,
    });
    Lent {
        source: source.clone(),
        name: listener.name,
        file: listener.file.map(PathBuf::from),
        sockets: sockets.into_iter().zip(about).collect(),
    }
}
