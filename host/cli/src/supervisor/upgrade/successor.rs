//! The process that is to take the place of this one.

use crate::args::NamedSource;
use crate::control::{
    Channel, FromSuccessor, LentListener, LentTickets, Receiver, Sender, ToSuccessor,
};
use crate::supervisor::life::Loan;
use crate::supervisor::start::Lent;
use crate::sys::child::{Child, describe};
use crate::sys::descriptors::MAX_DESCRIPTORS;
use crate::sys::program::Program;
use anyhow::{Context, anyhow, bail};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long it may take to start.
const START: Duration = Duration::from_secs(90);

/// How long it may take to end by itself after it has failed, or is not needed any more.
const END: Duration = Duration::from_secs(2);

/// Maximum number of sockets of a listener: one for IPv6 and one for IPv4.
const SOCKETS: usize = 2;

/// The new process, which is killed if this is dropped.
pub struct Successor {
    child: Child,
    control: Sender<ToSuccessor>,
    messages: Receiver<FromSuccessor>,
    deadline: Instant,
    /// The listeners that were lent, in order.
    lent: Vec<Borrowed>,
}

/// A listener that was lent: whose it is, and its source.
#[derive(Clone, PartialEq, Eq)]
pub struct Borrowed {
    service: Option<String>,
    is_admin: bool,
    source: String,
}

impl Successor {
    /// Executes the program again, and lends it the listening sockets of each service.
    pub fn start(
        program: &Program,
        loans: Vec<(Option<String>, Loan)>,
        admin: Vec<Lent>,
    ) -> anyhow::Result<Self> {
        let (here, there) = Channel::pair().context("cannot create a control socket")?;
        let child = program.start_again(there)?;
        let (control, messages) = here.split().context("cannot use the control socket")?;
        let mut successor = Self {
            child,
            control,
            messages,
            deadline: Instant::now() + START,
            lent: Vec::new(),
        };
        successor.lend(loans, admin)?;
        Ok(successor)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Whether listeners of this service were lent.
    pub fn borrows_from(&self, service: Option<&str>) -> bool {
        let mut lent = self.lent.iter().filter(|lent| !lent.is_admin);
        lent.any(|lent| lent.service.as_deref() == service)
    }

    fn lend(&mut self, loans: Vec<(Option<String>, Loan)>, admin: Vec<Lent>) -> anyhow::Result<()> {
        let admin = admin.into_iter().map(|lent| message(None, true, lent));
        let mut all: Vec<_> = admin.collect();
        for (service, Loan { listeners, tickets }) in loans {
            let listeners = listeners.into_iter();
            all.extend(listeners.map(|lent| message(service.clone(), false, lent)));
            if let Some(tickets) = tickets {
                let tickets = LentTickets {
                    service,
                    keys: tickets.keys,
                    age: tickets.age,
                };
                self.tell(&ToSuccessor::Tickets(tickets), Vec::new())?;
            }
        }
        let mut all = all.into_iter().peekable();
        while all.peek().is_some() {
            let (listeners, sockets): (Vec<_>, Vec<_>) =
                all.by_ref().take(MAX_DESCRIPTORS / SOCKETS).unzip();
            self.lent.extend(listeners.iter().map(Borrowed::of));
            let sockets = sockets.into_iter().flatten().collect();
            self.tell(&ToSuccessor::Listeners(listeners), sockets)?;
        }
        self.tell(&ToSuccessor::Start, Vec::new())
    }

    fn tell(&self, message: &ToSuccessor, descriptors: Vec<OwnedFd>) -> anyhow::Result<()> {
        let sent = self.control.send(message, descriptors);
        sent.map_err(|_| anyhow!("cannot send it the listening sockets"))
    }

    /// Waits until its workers accept connections. Returns the listeners that it has taken. The future is cancel-safe.
    ///
    /// # Errors
    /// Why it cannot take the place of this process.
    pub async fn ready(&mut self) -> anyhow::Result<Vec<Borrowed>> {
        let Ok(received) = timeout_at(self.deadline, self.messages.receive()).await else {
            bail!("the new process was not ready within {START:?}, and was killed");
        };
        match received.context("the new process has sent an invalid message")? {
            Some((FromSuccessor::Ready(taken), _)) => {
                let lent = |number: usize| self.lent.get(number).cloned();
                Ok(taken.into_iter().filter_map(lent).collect())
            }
            Some((FromSuccessor::Failed(why), _)) => bail!("the new process has failed: {why}"),
            None => {
                // Its descriptors are closed before it has ended.
                let ended = timeout(END, self.child.ended()).await;
                match ended {
                    Ok(Ok(status)) => bail!("the new process {}", describe(status)),
                    Ok(Err(error)) => bail!("the new process is gone: {error}"),
                    Err(_) => bail!("the new process has closed its standard input"),
                }
            }
        }
    }

    /// Ends it: it is not needed. One that does not notice is killed.
    pub async fn end(self) {
        let Self {
            mut child,
            control,
            messages,
            ..
        } = self;
        // It sees the end of the control socket, and removes what it has created.
        drop((control, messages));
        // Whatever happens, it is killed if it has not ended.
        let _ = timeout(END, child.ended()).await;
    }

    /// Leaves it the sockets. From now on, it goes on whatever happens to this process.
    pub async fn take_over(&mut self) {
        // If it is gone already, that is noticed later.
        let _ = self.control.send(&ToSuccessor::TakeOver, Vec::new());
        self.control.flush().await;
        self.child.release();
    }

    /// Waits until it ends, for as long as this process finishes its connections, and logs that.
    pub async fn watch(mut self) {
        let id = self.id();
        let how = match self.child.ended().await {
            Ok(status) if status.success() => {
                return tracing::info!("process {id}, which has replaced this one, has ended");
            }
            Ok(status) => describe(status),
            Err(error) => format!("is gone: {error}"),
        };
        tracing::error!("process {id}, which has replaced this one, {how}");
    }
}

impl Borrowed {
    /// Returns that of a service.
    pub fn new(service: Option<&str>, source: &NamedSource) -> Self {
        Self {
            service: service.map(str::to_owned),
            is_admin: false,
            source: source.to_string(),
        }
    }

    fn of(listener: &LentListener) -> Self {
        Self {
            service: listener.service.clone(),
            is_admin: listener.is_admin,
            source: listener.source.clone(),
        }
    }

    /// Whether it is the admin endpoint's.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }
}

fn message(service: Option<String>, is_admin: bool, lent: Lent) -> (LentListener, Vec<OwnedFd>) {
    let about = lent.sockets.iter().map(|(_, about)| about.inherited);
    let listener = LentListener {
        service,
        is_admin,
        source: lent.source.to_string(),
        name: lent.name,
        file: lent.file.map(OsString::from),
        inherited: about.collect(),
    };
    let sockets = lent.sockets.into_iter().map(|(socket, _)| socket);
    (listener, sockets.collect())
}
