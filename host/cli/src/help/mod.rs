//! What the command line says about itself: the flags that `-h` shows, the examples that end `--help`, and tips about
//! arguments that are not evconn's.
//!
//! The texts of flags and subcommands are the doc comments of their fields and structs.

mod examples;
mod tips;

pub use examples::{examples, examples_of};
pub use tips::with_tip;

use clap::Command;
use std::ffi::OsString;

/// The flags that `-h` shows of a subcommand: those that most people use. Other subcommands have few flags, and `-h`
/// shows all of them.
const COMMON: [(&str, &[&str]); 5] = [
    (
        "serve",
        &[
            "sources",
            "tls_cert",
            "tls_key",
            "processes",
            "reuse",
            "max_connections",
            "max_memory",
            "timeout",
            "idle_timeout",
            "env",
            "dir",
            "allow_connect",
        ],
    ),
    (
        "echo",
        &[
            "address",
            "sources",
            "tls_cert",
            "tls_key",
            "grace",
            "processes",
        ],
    ),
    (
        "run",
        &["listen", "max_memory", "env", "dir", "allow_connect"],
    ),
    ("compose", &["output", "through"]),
    ("compile", &["output", "through"]),
];

/// Returns whether a command line asks for the short help. `-h` may as well be an argument of a program.
pub fn is_short(arguments: &[OsString]) -> bool {
    let mut texts = arguments.iter().filter_map(|argument| argument.to_str());
    texts.any(|text| text.starts_with("-h"))
}

/// Returns a command whose short help shows the common flags in one section, so that it fits on a screen.
pub fn shortened(command: Command) -> Command {
    command
        .mut_arg("log_format", |arg| arg.hide_short_help(true))
        .after_help(
            "`evconn COMMAND -h` shows the flags that most people use, `--help` all of them.",
        )
        .mut_subcommands(|subcommand| {
            let name = subcommand.get_name();
            match COMMON.iter().find(|(of, _)| *of == name) {
                Some((_, flags)) => shows_only(subcommand, flags),
                None => subcommand,
            }
        })
}

fn shows_only(command: Command, flags: &[&str]) -> Command {
    let all = format!(
        "`evconn {} --help` shows all flags, by section, with examples.",
        command.get_name()
    );
    command.after_help(all).mut_args(|arg| {
        let is_shown = arg.is_positional() || flags.contains(&arg.get_id().as_str());
        arg.hide_short_help(!is_shown).help_heading(None::<&str>)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_flags_that_are_shown_exist() {
        let command = Cli::command();
        for (name, flags) in COMMON {
            let subcommand = command.find_subcommand(name).expect(name);
            let has = |flag: &str| subcommand.get_arguments().any(|arg| arg.get_id() == flag);
            for flag in flags.iter().filter(|flag| !flag.starts_with("tls_")) {
                assert!(has(flag), "{name}: {flag}");
            }
            assert_eq!(
                has("tls_cert"),
                cfg!(feature = "tls") && ["serve", "echo"].contains(&name)
            );
        }
    }

    #[test]
    fn the_short_help_is_asked_for_with_h() {
        let is_short = |words: &str| {
            let words: Vec<_> = words.split(' ').map(OsString::from).collect();
            is_short(&words)
        };
        assert!(is_short("evconn serve -h") && is_short("evconn -h"));
        assert!(!is_short("evconn serve --help") && !is_short("evconn help serve"));
    }
}
