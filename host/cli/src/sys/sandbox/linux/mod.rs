//! Linux: Landlock, capabilities and seccomp.

mod calls;
mod files;
mod privileges;
#[cfg(test)]
mod tests;

use super::{Missing, Needs};

pub fn confine_files(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    privileges::allow_no_new_ones()?;
    // While the thread has the capabilities that opening the directories requires.
    let missing = files::confine(needs)?;
    privileges::drop_capabilities(needs)?;
    Ok(missing)
}

pub fn confine_calls(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    calls::confine(needs).map(Vec::from_iter)
}
