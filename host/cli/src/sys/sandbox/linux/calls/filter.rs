//! Turns the list of calls into seccomp filters, and installs them.

use super::table::{Call, Condition, GROUPS, Value};
use super::{Missing, Needs};
use anyhow::{Context, anyhow};
use rustix::io::Errno;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// The allowed calls, each with rules for its arguments. A call without rules is allowed with any arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filters for all threads. Returns the missing part if the system does not support them.
pub fn confine(needs: &Needs) -> anyhow::Result<Option<Missing>> {
    let filters = without_clone3().and_then(|first| Ok([first, allowed(needs)?]));
    let filters = filters.context("cannot create the filter of system calls")?;
    // The second one forbids installing more.
    for filter in &filters {
        if let Err(error) = seccompiler::apply_filter_all_threads(filter) {
            return missing(error).map(Some);
        }
    }
    Ok(None)
}

/// Returns the missing part if the system has no seccomp, or a container forbids it.
///
/// # Errors
/// Any other error.
fn missing(error: Error) -> anyhow::Result<Missing> {
    let refused = |error: &io::Error| {
        let known = [Errno::NOSYS, Errno::INVAL, Errno::PERM, Errno::ACCESS];
        Errno::from_io_error(error).is_some_and(|error| known.contains(&error))
    };
    match error {
        Error::Seccomp(error) | Error::Prctl(error) if refused(&error) => Ok(Missing::Calls(
            format!("this kernel or container does not allow it ({error})"),
        )),
        // Its text has the operating system's error, which the chain of errors has again.
        error => Err(anyhow!(
            "cannot filter the system calls of workers: {error}"
        )),
    }
}

/// Returns a filter that answers clone3 as a kernel without it does: its flags are in memory, which a filter cannot
/// read. The C library then calls clone.
fn without_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, unknown, ARCHITECTURE)?.try_into()
}

fn allowed(needs: &Needs) -> Result<BpfProgram, BackendError> {
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules(needs)?, denied, SeccompAction::Allow, ARCHITECTURE)?.try_into()
}

fn rules(needs: &Needs) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    let groups = GROUPS.iter().filter(|group| (group.needed)(needs));
    for call in groups.flat_map(|group| group.calls) {
        add(&mut rules, call)?;
    }
    Ok(rules)
}

/// Adds a call. It may have been added before, with other arguments.
fn add(rules: &mut Rules, call: &Call) -> Result<(), BackendError> {
    let alternatives = alternatives(call.only)?;
    match rules.entry(call.number) {
        Entry::Vacant(new) => {
            new.insert(alternatives);
        }
        // One of them allows any arguments, which includes the other.
        Entry::Occupied(mut known) if known.get().is_empty() || alternatives.is_empty() => {
            known.get_mut().clear();
        }
        Entry::Occupied(mut known) => known.get_mut().extend(alternatives),
    }
    Ok(())
}

/// Returns a rule for each combination of the arguments' values.
fn alternatives(conditions: &[Condition]) -> Result<Vec<SeccompRule>, BackendError> {
    let mut combinations: Vec<Vec<SeccompCondition>> = vec![Vec::new()];
    for condition in conditions {
        let values = values(condition)?;
        let with = |known: &Vec<_>| {
            let known = known.clone();
            let each = values.clone().into_iter();
            each.map(move |value| [known.clone(), vec![value]].concat())
        };
        combinations = combinations.iter().flat_map(with).collect();
    }
    let given = combinations.into_iter().filter(|rule| !rule.is_empty());
    given.map(SeccompRule::new).collect()
}

fn values(condition: &Condition) -> Result<Vec<SeccompCondition>, BackendError> {
    let index = condition.argument;
    let equal = |value| SeccompCondition::new(index, Dword, SeccompCmpOp::Eq, value);
    let masked =
        |mask, value| SeccompCondition::new(index, Qword, SeccompCmpOp::MaskedEq(mask), value);
    match condition.value {
        Value::OneOf(values) => values.iter().copied().map(equal).collect(),
        Value::Has(bits) => Ok(vec![masked(bits, bits)?]),
        Value::HasNot(bits) => Ok(vec![masked(bits, 0)?]),
        Value::ThisProcess => Ok(vec![equal(std::process::id().into())?]),
    }
}
