//! Upgrades: the processes that take the place of a server, which are no children of the test.

use super::eventually;
use super::process::Evconn;
use super::workers::{Process, WORKER};
use rustix::process::{Pid, Signal};

/// A process that has taken the place of a server. It ends with its test.
pub struct Successor(Process);

impl Successor {
    /// Asks the process that serves for an upgrade, and waits until another one has taken its place. `count` upgrades
    /// were there before.
    pub fn of(evconn: &Evconn, serving: Pid, count: usize) -> Self {
        rustix::process::kill_process(serving, Signal::USR2).expect("signalled");
        Self::after(evconn, count)
    }

    /// Waits for the one that takes over after `count` others have.
    pub fn after(evconn: &Evconn, count: usize) -> Self {
        let process = eventually("another process takes over", || {
            let log = evconn.log_so_far();
            let id = ids(&log, " serves from now on").nth(count);
            id.map(|id| Process::of(id).unwrap_or_else(|| panic!("it is gone:\n{log}")))
        });
        Self(process)
    }

    /// Waits for the process of an upgrade that has begun.
    pub fn starting(evconn: &Evconn) -> Self {
        let begun = evconn.logged(" is starting");
        let id = ids(&begun, " is starting").last().expect("an id");
        Self(Process::of(id).expect("it runs"))
    }

    pub fn process(&self) -> &Process {
        &self.0
    }

    /// Whether it has ended. What has become its parent need not have noticed.
    pub fn is_over(&self) -> bool {
        !self.0.exists() || self.0.is_zombie()
    }

    /// Waits until it has ended by itself, with its workers.
    pub fn ends(&self) {
        let mut family = self.0.children();
        family.retain(|process| process.name() == WORKER);
        eventually("the new process ends", || self.is_over().then_some(()));
        for process in family {
            eventually("its workers end", || {
                (!process.exists() || process.is_zombie()).then_some(())
            });
        }
    }

    /// Shuts it down.
    pub fn stop(self) {
        self.0.signal(Signal::TERM);
        self.ends();
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // Its workers end with it.
        self.0.signal(Signal::KILL);
    }
}

/// The ids in the lines of upgrades that end or go on so.
fn ids<'a>(log: &'a str, what: &'a str) -> impl Iterator<Item = Pid> + 'a {
    log.lines().filter_map(move |line| {
        let (_, rest) = line.split_once("upgrade: process ")?;
        let (id, rest) = rest.split_once(' ')?;
        let is_it = rest.starts_with(what.trim_start());
        Pid::from_raw(id.parse().ok().filter(|_| is_it)?)
    })
}
