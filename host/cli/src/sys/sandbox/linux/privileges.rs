//! Capabilities, and programs that would bring new ones (capabilities(7)).

use super::Needs;
use crate::sys::sandbox::Network;
use anyhow::Context;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// No program that this thread or its children execute has more privileges than they have. Landlock and seccomp
/// require it.
pub fn allow_no_new_ones() -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true)
        .context("cannot renounce new privileges (PR_SET_NO_NEW_PRIVS)")
}

/// Drops all capabilities but those that `needs` takes, if this thread has them at all.
pub fn drop_capabilities(needs: &Needs) -> anyhow::Result<()> {
    let had = rustix::thread::capabilities(None).context("cannot read the capabilities")?;
    let kept = had.permitted & needed(needs);
    // This empties the ambient set, too: it is a subset of the inheritable one.
    let sets = CapabilitySets {
        effective: had.effective & kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).context("cannot drop capabilities")
}

/// A grant works as it does without the sandbox: a server that was started by root reads other users' files in
/// the directories that it was given, and binds privileged ports.
fn needed(needs: &Needs) -> CapabilitySet {
    let mut needed = CapabilitySet::empty();
    for directory in &needs.directories {
        needed |= match directory.writable {
            true => CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER,
            false => CapabilitySet::DAC_READ_SEARCH,
        };
    }
    if needs.network > Network::None {
        needed |= CapabilitySet::NET_BIND_SERVICE;
    }
    needed
}
