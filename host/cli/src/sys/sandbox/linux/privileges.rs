//! Capabilities, and programs that would add privileges (capabilities(7)).

use super::Needs;
use anyhow::Context;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Ensures that no program that this thread or its children execute has more privileges than they have. Landlock and
/// seccomp require it.
pub fn allow_no_new_ones() -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true)
        .context("cannot forbid new privileges (PR_SET_NO_NEW_PRIVS)")
}

/// Drops all capabilities but those that `needs` requires. Adds none that this thread does not have.
pub fn drop_capabilities(needs: &Needs) -> anyhow::Result<()> {
    let had = rustix::thread::capabilities(None).context("cannot read the capabilities")?;
    let kept = had.permitted & needed(needs);
    // This empties the ambient set as well, which is a subset of the inheritable one.
    let sets = CapabilitySets {
        effective: had.effective & kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).context("cannot drop capabilities")
}

/// Returns the capabilities with which grants work as they do without the sandbox: a server that root has started reads
/// other users' files in granted directories, and binds privileged ports.
fn needed(needs: &Needs) -> CapabilitySet {
    let mut needed = CapabilitySet::empty();
    for directory in &needs.directories {
        needed |= match directory.writable {
            true => CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER,
            false => CapabilitySet::DAC_READ_SEARCH,
        };
    }
    if needs.network {
        needed |= CapabilitySet::NET_BIND_SERVICE;
    }
    needed
}
