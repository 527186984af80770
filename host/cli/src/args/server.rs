//! The flags of a server, apart from what it serves and where it listens.

use super::accepting::{AcceptArgs, PeerArgs};
use super::access_log::AccessLogArgs;
use super::grants::ServiceGrantArgs;
use super::instances::{InstanceArgs, Part};
use super::limits::LimitArgs;
use super::processes::ProcessArgs;
use super::traces::TraceArgs;
use super::values::{seconds, some_seconds};
use crate::machine::Needs;
#[cfg(unix)]
use crate::sys::sandbox;
#[cfg(unix)]
use anyhow::bail;
use clap::Args;
#[cfg(unix)]
use evconn::sockets::Resolver;
use evconn::{
    CpuShare, GrantError, Grants, Host, HostBuilder, InstancePolicy, Limits, ServerBuilder,
    Shutdown,
};
#[cfg(unix)]
use evconn::{EntryPoint, Service};
use std::num::{NonZero, NonZeroU32};
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

#[derive(Args)]
pub struct ServerArgs {
    #[command(flatten)]
    pub life: LifeArgs,
    #[command(flatten)]
    accept: AcceptArgs,
    #[command(flatten)]
    peers: PeerArgs,
    #[command(flatten)]
    pub processes: ProcessArgs,
    #[command(flatten)]
    instances: InstanceArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    grants: ServiceGrantArgs,
    #[command(flatten)]
    pub access_log: AccessLogArgs,
    #[command(flatten)]
    pub traces: TraceArgs,
}

impl ServerArgs {
    /// Checks that the flags do not contradict each other, and says which of them has no effect.
    ///
    /// # Errors
    /// Why they cannot be used together, in one line.
    pub fn check(&self) -> Result<(), String> {
        self.instances.check(self.limits.max_connections())
    }

    /// Checks that a service can be served as the flags say.
    ///
    /// # Errors
    /// If its instances cannot have as many connections at a time.
    #[cfg(unix)]
    pub fn check_for(&self, service: &Service) -> anyhow::Result<()> {
        let asked = self.instances.concurrency();
        if !service.is_concurrent() && asked.get() > 1 {
            bail!(
                "--concurrency {asked} requires a program (wasi:cli/run) or a handler of WASI 0.3: an instance runs the handler of WASI 0.2 for \
                 one connection at a time; leave it out, and use --instances for more instances"
            );
        }
        if !Self::gives_up_instances(service) {
            self.warn_of_too_many_connections();
        }
        Ok(())
    }

    /// Returns whether connections of a service may continue without an instance: it is a handler of WASI 0.3.
    #[cfg(unix)]
    pub fn gives_up_instances(service: &Service) -> bool {
        service.entry_point() == EntryPoint::Handler && service.is_concurrent()
    }

    /// Says that all connections have an instance, if more were asked for.
    #[cfg(unix)]
    fn warn_of_too_many_connections(&self) {
        if let (Some(given), Some(most)) =
            (self.limits.max_connections(), self.instances.of_instances())
            && most < given as usize
        {
            tracing::warn!(
                "maximum number of connections lowered from {given} to {most}: --instances and --concurrency allow no more"
            );
        }
    }

    /// Returns the limits of a server whose connections all have an instance.
    #[cfg(unix)]
    pub fn with_instances(&self, limits: Limits) -> Limits {
        let most = self.instances.of_instances().unwrap_or(usize::MAX);
        Limits {
            max_connections: limits.max_connections.min(most),
            ..limits
        }
    }

    /// Returns the limits of the server, whose defaults depend on how many connections an instance has.
    pub fn limits(&self) -> Limits {
        Limits {
            accept_rate_per_peer: self.accept.rate_per_peer(),
            ..self.limits.limits(&self.instances)
        }
    }

    /// Returns the host of a process, which reserves what its instances require.
    pub fn host(&self, limits: &Limits, part: Part) -> HostBuilder {
        let policy = self.policy(part);
        let host = Host::builder().limits(limits).warm(policy.warm);
        match policy.max_instances {
            Some(most) => host.max_instances(most),
            None => host,
        }
    }

    /// Returns which connections share an instance of a process, and how many instances it has.
    pub fn policy(&self, part: Part) -> InstancePolicy {
        self.instances.policy(part)
    }

    /// Returns the number of worker processes, or `None` if this process serves itself. Each has an instance at least.
    pub fn processes(&self) -> Option<NonZero<u16>> {
        let given = self.processes.count()?;
        let most = self.instances.most().map(|most| most.get());
        let most = most.and_then(|most| NonZero::new(u16::try_from(most).unwrap_or(u16::MAX)));
        Some(most.map_or(given, |most| given.min(most)))
    }

    /// Returns the number of threads of each process that serve connections.
    pub fn workers(&self) -> NonZero<usize> {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let given = self
            .instances
            .workers()
            .and_then(|count| NonZero::new(count.into()));
        given.unwrap_or_else(|| match self.processes() {
            None => cores(),
            Some(_) => NonZero::<usize>::MIN,
        })
    }

    /// Returns the share of each core that connections get which have used a lot of CPU time.
    pub fn cpu_share(&self) -> CpuShare {
        self.limits.cpu_share()
    }

    /// Returns the number of processes that serve connections.
    pub fn processes_that_serve(&self) -> usize {
        self.processes().map_or(1, |count| count.get().into())
    }

    /// The length of the accept queue of each listening socket.
    pub fn backlog(&self) -> NonZeroU32 {
        self.accept.backlog()
    }

    /// The number of connections accepted per second, if it is limited.
    pub fn accept_rate(&self) -> Option<NonZeroU32> {
        self.accept.rate()
    }

    /// Opens the granted directories.
    ///
    /// # Errors
    /// If one of them cannot be opened.
    pub fn grants(&self) -> Result<Grants, GrantError> {
        self.grants.builder().build()
    }

    /// Does the same in a worker, whose supervisor looks up names.
    #[cfg(unix)]
    pub fn grants_with(&self, resolver: Arc<dyn Resolver>) -> Result<Grants, GrantError> {
        self.grants.builder().resolver(resolver).build()
    }

    /// Returns the privileges that a worker with these flags needs.
    #[cfg(unix)]
    pub fn privileges(&self) -> sandbox::Needs {
        let directories = self.grants.directories();
        sandbox::Needs {
            directories: directories
                .map(|(path, writable)| sandbox::Directory {
                    path: path.to_owned(),
                    writable,
                })
                .collect(),
            network: self.grants.has_network(),
        }
    }

    /// What a server with these flags needs of the machine.
    pub fn needs(&self, limits: &Limits, sources: usize, memories_each: usize) -> Needs {
        Needs {
            processes: self.processes_that_serve(),
            max_connections: limits.max_connections,
            max_instances: self.instances.most().map(|most| most.get() as usize),
            descriptors_each: match self.opens_descriptors() {
                true => limits.max_descriptors.min(2),
                false => 1,
            },
            memories_each,
            listeners: sources,
            workers: self.workers().get(),
        }
    }

    /// Whether the service can open descriptors besides its connection's.
    fn opens_descriptors(&self) -> bool {
        self.grants.has_network() || self.grants.directories().next().is_some()
    }

    /// Sets what concerns a process that serves: limits of the whole server, such as the accept rate, and when
    /// it ends, are not among it.
    ///
    /// # Errors
    /// If a network of peers is not one.
    pub fn configure(&self, builder: ServerBuilder, part: Part) -> anyhow::Result<ServerBuilder> {
        let builder = self.access_log.apply(self.accept.apply(builder));
        Ok(builder
            .peers(self.peers.filter()?)
            .instances(self.policy(part)))
    }
}

/// The flags for graceful shutdown.
#[derive(Args)]
#[command(next_help_heading = "Shutdown")]
pub struct LifeArgs {
    /// Time for open connections to finish after the first signal
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub grace: Duration,
    /// Time to go on accepting after the first signal, for a load balancer to notice
    #[arg(long, default_value = "0", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub drain_delay: Duration,
    /// Shut down when no connection has been open for this time [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, allow_negative_numbers = true)]
    pub shutdown_after_idle: Option<Duration>,
}

impl LifeArgs {
    pub fn apply(&self, shutdown: Shutdown) -> Shutdown {
        shutdown.grace(self.grace).drain_delay(self.drain_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_flags_the_limits_are_the_library_s() {
        let server: ServerArgs = crate::args::defaults();
        assert_eq!(
            format!("{:?}", server.limits()),
            format!("{:?}", Limits::default())
        );
        assert_eq!(server.life.grace, Shutdown::DEFAULT_GRACE);
    }
}
