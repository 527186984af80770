//! `evconn completions`: what a shell completes of evconn's command line.

use crate::help::examples_of;
use crate::{Cli, files};
use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_complete::{Shell, generate};

/// Print the completions of a shell
///
/// They are for subcommands, flags and their values. The shell reads them from a file, which has to be written anew after an update of evconn.
#[derive(Args)]
#[command(after_long_help = examples_of("completions"))]
pub struct Completions {
    /// Shell that reads them
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        generate(
            self.shell,
            &mut visible(&Cli::command()),
            "evconn",
            &mut script,
        );
        let script = String::from_utf8(script).context("the completions are not Unicode")?;
        files::print(&script)
    }
}

/// Returns a command as the help shows it: the generators have no regard for what is hidden.
fn visible(command: &Command) -> Command {
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .version(command.get_version().unwrap_or_default().to_owned())
        .args(args.cloned())
        .subcommands(subcommands.map(visible))
}
