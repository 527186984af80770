//! The privileges that a worker gives up.

use crate::server::Plan;
use crate::sys::sandbox::{Missing, Needs, confine_calls, confine_files};

/// The privileges of a worker: what it needs, or all of its user's if it has no sandbox.
pub struct Privileges {
    needs: Option<Needs>,
    tells_missing: bool,
}

impl Privileges {
    pub fn of(plan: &Plan, tells_missing: bool) -> Self {
        let has_sandbox = plan.server.processes.has_sandbox();
        Self {
            needs: has_sandbox.then(|| plan.server.privileges()),
            tells_missing,
        }
    }

    /// Gives up files and capabilities, while the process has one thread. Returns the parts of the sandbox that the
    /// system lacks.
    pub fn confine_files(&self) -> anyhow::Result<Vec<Missing>> {
        self.needs.as_ref().map_or(Ok(Vec::new()), confine_files)
    }

    /// Gives up the system calls that serving does not require.
    pub fn confine_calls(&self) -> anyhow::Result<()> {
        if let Some(needs) = &self.needs {
            self.log(&confine_calls(needs)?);
        }
        Ok(())
    }

    /// Logs the parts of the sandbox that the system lacks.
    pub fn log(&self, missing: &[Missing]) {
        if self.tells_missing {
            missing
                .iter()
                .for_each(|missing| tracing::warn!("{missing}"));
        }
    }
}
