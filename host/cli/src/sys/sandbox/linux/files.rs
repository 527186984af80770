//! Landlock: files, TCP, abstract Unix sockets and signals (landlock(7)). It restricts what is opened later.

use super::{Missing, Needs};
use crate::sys::sandbox::Directory;
use anyhow::{Context, anyhow};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags};
use std::path::Path;

/// The version whose rights are requested: the newest one that has been tested. An older kernel is asked for those that
/// it supports.
const VERSION: ABI = ABI::V7;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// The rights for what WASI has functions for: no devices, pipes or sockets.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
});

/// The files that the library, its engine and the standard library read: what the process has mapped, how many cores it
/// may use. They also work without these files.
const OF_THE_RUNTIME: &[&str] = &[
    "/proc/self/pagemap",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/self/maps",
    "/proc/self/statm",
    "/proc/sys/vm",
    "/proc/sys/net/ipv4/tcp_fastopen",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

pub fn confine(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    let rules = rules(needs)?;
    let status = rules.restrict_self().map_err(failure)?;
    Ok(missing(status.landlock, needs))
}

fn rules(needs: &Needs) -> anyhow::Result<RulesetCreated> {
    let mut rules = ruleset(needs).map_err(failure)?;
    for directory in &needs.directories {
        rules = add(rules, directory)
            .with_context(|| format!("cannot confine workers to {:?}", directory.path.display()))?;
    }
    // No system has all of them.
    let system = OF_THE_RUNTIME.iter().map(Path::new);
    for path in system.filter(|path| path.exists()) {
        let path = path.to_owned();
        let writable = false;
        rules = add(rules, &Directory { path, writable })?;
    }
    Ok(rules)
}

/// Returns a rule set that restricts everything, before anything is allowed.
fn ruleset(needs: &Needs) -> Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?;
    match needs.network {
        true => ruleset,
        false => ruleset.handle_access(AccessNet::from_all(VERSION))?,
    }
    .create()
}

fn add(rules: RulesetCreated, directory: &Directory) -> anyhow::Result<RulesetCreated> {
    let path = rustix::fs::open(
        &directory.path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut access = match directory.writable {
        true => READ | WRITE,
        false => READ,
    };
    if !directory.path.is_dir() {
        access &= AccessFs::from_file(VERSION);
    }
    rules
        .add_rule(PathBeneath::new(path, access))
        .map_err(failure)
}

/// Its text has the operating system's error, which the chain of errors has again.
fn failure(error: RulesetError) -> anyhow::Error {
    anyhow!("cannot confine workers by Landlock: {error}")
}

/// Returns what is not restricted although it was requested.
fn missing(status: LandlockStatus, needs: &Needs) -> Vec<Missing> {
    let version = match status {
        LandlockStatus::NotImplemented => {
            return vec![Missing::Landlock("this kernel or container has none")];
        }
        LandlockStatus::NotEnabled => {
            let why = "this kernel was started without it (parameter lsm=)";
            return vec![Missing::Landlock(why)];
        }
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
    };
    let network = !needs.network;
    let parts = [
        (ABI::V3, true, "keep workers from truncating files"),
        (ABI::V4, network, "keep workers from connecting and binding"),
        (
            ABI::V6,
            true,
            "keep workers from signalling other processes",
        ),
    ];
    let parts = parts.into_iter();
    let missing = parts.filter(|(since, wanted, _)| *wanted && version < *since);
    missing
        .map(|(_, _, what)| Missing::LandlockPart(what))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(status: LandlockStatus, network: bool) -> Vec<String> {
        let needs = Needs {
            network,
            ..Needs::default()
        };
        let missing = missing(status, &needs).into_iter();
        missing.map(|missing| missing.to_string()).collect()
    }

    #[test]
    fn a_kernel_without_landlock_is_a_line() {
        for (status, why) in [
            (
                LandlockStatus::NotImplemented,
                "this kernel or container has none",
            ),
            (
                LandlockStatus::NotEnabled,
                "this kernel was started without it (parameter lsm=)",
            ),
        ] {
            let line = format!("workers are not confined by Landlock: {why}");
            assert_eq!(lines(status, false), [line]);
        }
    }

    #[test]
    fn what_an_old_landlock_does_not_restrict_is_a_line_each() {
        let of = |version, network| {
            let status = LandlockStatus::Available {
                effective_abi: version,
                kernel_abi: None,
            };
            lines(status, network)
        };
        let too_old = "the Landlock of this kernel is too old to keep workers from ";
        let signalling = &*format!("{too_old}signalling other processes");
        let connecting = &*format!("{too_old}connecting and binding");
        let truncating = &*format!("{too_old}truncating files");
        assert!(of(ABI::V6, false).is_empty());
        assert_eq!(of(ABI::V4, false), [signalling]);
        assert_eq!(of(ABI::V3, true), [signalling]);
        let all = [truncating, connecting, signalling];
        assert_eq!(of(ABI::V2, false), all);
    }
}
