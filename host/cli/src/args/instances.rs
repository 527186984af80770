//! The flags for instances: which connections share one, and how many there are.

use super::values::{CountLimit, count, count_limit, seconds};
use clap::Args;
use evconn::{InstancePolicy, Limits};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// The flags for instances, and the threads that run them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Instances")]
pub struct InstanceArgs {
    /// Connections per instance [default: 1]
    ///
    /// Maximum number of connections that an instance serves in all. `none` is no limit, which is the default with
    /// --concurrency or --instances. More than 1 is faster. What is in the guest's memory then passes from one peer to the next: use it
    /// only for services that you trust to keep peers apart. An instance that traps or exits is not used
    /// again.
    #[arg(long, value_name = "N", value_parser = count_limit, allow_negative_numbers = true)]
    reuse: Option<CountLimit>,
    /// Maximum number of connections that an instance has at a time
    ///
    /// More than 1 requires a program or a handler of WASI 0.3. If the instance fails, all of them are reset. The
    /// defaults of --max-memory, --max-handles, --max-descriptors and --max-unsent grow with it.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count, allow_negative_numbers = true)]
    concurrency: NonZeroU32,
    /// Maximum number of instances [default: as many as the connections require]
    ///
    /// With 1, all connections meet in one instance: `--instances 1 --concurrency 1000` is for a chat server, for
    /// example. Further connections wait in the accept queue. There are no more worker processes than instances.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    instances: Option<NonZeroU32>,
    /// Number of instances that are made ahead of their connections
    ///
    /// The instance of a handler is made, and a program is run until it accepts its first connection. They take the
    /// memory of as many connections. The server does not start before the first one is ready.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    warm: u32,
    /// Time that an idle instance is kept for the next connection [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    idle_instance_timeout: Option<Duration>,
    /// Number of threads of each process that serve connections [default: 1, or one per core with
    /// --processes 0]
    ///
    /// A connection stays with one thread.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

/// One of the processes that serve, which get equal parts of what is for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its number, from 0 on.
    pub number: usize,
    /// How many processes there are.
    pub of: usize,
}

impl Part {
    /// The only process.
    pub const ALL: Self = Self { number: 0, of: 1 };

    /// Returns its part of a number: of 3, the first of two processes has 2, and the second one has 1.
    fn part_of(self, count: usize) -> usize {
        let of = self.of.max(1);
        count / of + usize::from(self.number < count % of)
    }
}

impl InstanceArgs {
    /// Returns the number of threads of each process, if it was given.
    pub fn workers(&self) -> Option<u16> {
        self.workers
    }

    /// Returns the maximum number of instances, if there is one.
    pub fn most(&self) -> Option<NonZeroU32> {
        self.instances
    }

    /// Returns how many connections an instance may have at a time.
    pub fn concurrency(&self) -> NonZeroU32 {
        self.concurrency
    }

    /// Returns the policy of a process.
    pub fn policy(&self, part: Part) -> InstancePolicy {
        let instances = self.instances.map(|all| part.part_of(all.get() as usize));
        InstancePolicy {
            reuse: self.reuse(),
            concurrency: self.concurrency,
            max_instances: instances.and_then(NonZeroUsize::new),
            warm: part.part_of(self.warm as usize),
            idle_timeout: self
                .idle_instance_timeout
                .unwrap_or(InstancePolicy::DEFAULT_IDLE_TIMEOUT),
        }
    }

    fn reuse(&self) -> Option<NonZeroU32> {
        let shares = self.concurrency.get() > 1 || self.instances.is_some();
        match self.reuse {
            None if shares => None,
            None => Some(NonZeroU32::MIN),
            Some(CountLimit(most)) => u32::try_from(most).ok().and_then(NonZeroU32::new),
        }
    }

    /// Returns the maximum number of connections, of which `given` is that of the flag for it. Those that have an instance
    /// are no more than [`of_instances`](Self::of_instances).
    pub fn max_connections(&self, given: Option<u32>) -> usize {
        let default = Limits::default().max_connections;
        match (given, self.of_instances()) {
            (Some(given), _) => given as usize,
            (None, Some(most)) => most.min(u32::MAX as usize),
            (None, None) => default.max(self.concurrency.get() as usize),
        }
    }

    /// Returns how many connections all instances together have at a time, if that is limited.
    pub fn of_instances(&self) -> Option<usize> {
        self.policy(Part::ALL).max_connections()
    }

    /// Checks that the flags do not contradict each other. `max_connections` is what the flag for it says, if it was
    /// given.
    ///
    /// # Errors
    /// Why they cannot be used together, in one line.
    pub fn check(&self, max_connections: Option<u32>) -> Result<(), String> {
        let Self {
            concurrency, warm, ..
        } = self;
        if let Some(reuse) = self.reuse()
            && reuse < *concurrency
        {
            return Err(format!(
                "--concurrency {concurrency} contradicts --reuse {reuse}: an instance that serves {reuse} in all has no \
                 more at a time; raise --reuse, or leave it out"
            ));
        }
        if let Some(instances) = self.instances
            && *warm > instances.get()
        {
            return Err(format!(
                "--warm {warm} contradicts --instances {instances}: instances that are made ahead are among them"
            ));
        }
        let connections = self.max_connections(max_connections);
        if *warm as usize > connections {
            return Err(format!(
                "--warm {warm} is more than the {connections} connections that there are at a time \
                 (--max-connections): the rest would never be used"
            ));
        }
        if self.idle_instance_timeout.is_some() && self.reuse() == Some(NonZeroU32::MIN) {
            return Err(
                "--idle-instance-timeout has no effect: no instance is kept without --reuse, --concurrency or \
                 --instances"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn args(flags: &str) -> InstanceArgs {
        let command = InstanceArgs::augment_args(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(flags.split_whitespace());
        clap::FromArgMatches::from_arg_matches(&matches.expect("flags")).expect("flags")
    }

    fn policy(flags: &str) -> InstancePolicy {
        args(flags).policy(Part::ALL)
    }

    #[test]
    fn reuse_has_no_limit_where_instances_are_shared() {
        assert_eq!(policy(""), InstancePolicy::FRESH);
        let reuse = |flags| policy(flags).reuse.map(NonZeroU32::get);
        assert_eq!(reuse("--reuse 5"), Some(5));
        assert_eq!(reuse("--reuse none"), None);
        assert_eq!(reuse("--concurrency 1"), Some(1));
        for flags in ["--concurrency 2", "--instances 3"] {
            assert_eq!(reuse(flags), None, "{flags}");
        }
        assert_eq!(reuse("--concurrency 2 --reuse 9"), Some(9));
        assert_eq!(reuse("--instances 3 --reuse 9"), Some(9));
    }

    #[test]
    fn instances_and_those_made_ahead_are_split_exactly() {
        let args = args("--instances 5 --concurrency 10 --warm 4");
        let parts: Vec<_> = (0..3)
            .map(|number| args.policy(Part { number, of: 3 }))
            .map(|policy| (policy.max_instances.map(NonZeroUsize::get), policy.warm))
            .collect();
        assert_eq!(parts, [(Some(2), 2), (Some(2), 1), (Some(1), 1)]);
        let first = args.policy(Part { number: 0, of: 2 });
        assert_eq!(first.max_connections(), Some(30));
    }

    #[test]
    fn connections_are_as_many_as_instances_have() {
        let most = |flags, given| args(flags).max_connections(given);
        assert_eq!(most("", None), 1_000);
        assert_eq!(most("", Some(7)), 7);
        assert_eq!(most("--concurrency 5000", None), 5_000);
        assert_eq!(most("--concurrency 5000", Some(7)), 7);
        assert_eq!(most("--instances 3", None), 3);
        assert_eq!(most("--instances 1 --concurrency 5000", None), 5_000);
        assert_eq!(most("--instances 1 --concurrency 5000", Some(7)), 7);
        let flags = "--instances 1 --concurrency 10";
        assert_eq!(most(flags, Some(700)), 700, "some have no instance");
        assert_eq!(args(flags).of_instances(), Some(10));
        let many = "--instances 4294967295 --concurrency 4294967295";
        assert_eq!(most(many, None), u32::MAX as usize);
    }

    #[test]
    fn contradictions_are_one_line() {
        for (flags, said) in [
            ("--reuse 1 --concurrency 5", "raise --reuse"),
            ("--warm 4 --instances 3", "contradicts --instances 3"),
            ("--warm 1001", "more than the 1000 connections"),
            ("--idle-instance-timeout 5", "has no effect"),
            ("--idle-instance-timeout 5 --reuse 1", "has no effect"),
        ] {
            let text = args(flags).check(None).expect_err(flags);
            assert!(text.contains(said) && text.lines().count() == 1, "{text}");
        }
        for flags in [
            "",
            "--reuse 5 --concurrency 5",
            "--reuse none --concurrency 5",
            "--warm 3 --instances 3",
            "--warm 1000",
            "--idle-instance-timeout 5 --instances 1",
        ] {
            args(flags).check(None).expect(flags);
        }
        args("--warm 9").check(Some(8)).expect_err("too many");
    }
}
