//! The examples that end the help of each subcommand.

use std::fmt::Write;

/// A command line, and what it does.
pub type Example = (&'static str, &'static str);

const SERVE: &[Example] = &[
    (
        "evconn serve app.wasm --listen :9876",
        "Serve on port 9876 of every interface",
    ),
    (
        "evconn serve app.wasm --listen unix:/run/app.sock,mode=660",
        "Serve on a Unix socket",
    ),
    #[cfg(feature = "tls")]
    (
        "evconn serve app.wasm --listen :853 --tls-cert c.pem --tls-key k.pem",
        "Serve TLS",
    ),
    (
        "evconn serve app.wasm --listen :9876 --env LEVEL=info \\\n      --dir /srv/data::/data:ro --allow-connect db.example:5432",
        "Grant a variable, a directory and an upstream",
    ),
    (
        "evconn serve chat.wasm --listen :9876 --instances 1 --concurrency 1000",
        "Let all connections meet in one instance",
    ),
    (
        "evconn serve app.wasm --listen :9876 --max-memory 16M --timeout 60",
        "Limit each connection",
    ),
    (
        "evconn serve --config evconn.toml",
        "Serve several services",
    ),
];

const ECHO: &[Example] = &[
    ("evconn echo", "Echo on port 9876 of every IPv4 interface"),
    (
        "evconn echo 0 --address 127.0.0.1",
        "Echo on a free port of 127.0.0.1",
    ),
];

const RUN: &[Example] = &[
    (
        "evconn run --listen :9876 server.wasm",
        "Run a program that listens on port 9876",
    ),
    (
        "evconn run --dir . --env LEVEL=info tool.wasm --verbose notes.txt",
        "Run a program with arguments, the working directory and a variable",
    ),
];

const COMPOSE: &[Example] = &[(
    "evconn compose app.wasm -o app.composed.wasm",
    "Make a component that `wasmtime run` can run",
)];

const COMPILE: &[Example] = &[
    ("evconn compile app.wasm -o app.cwasm", "Compile a service"),
    (
        "evconn serve app.cwasm --listen :9876 --allow-precompiled",
        "Serve the compiled code",
    ),
];

const TOP: &[Example] = &[
    (
        "evconn top",
        "Show the server whose --admin is 127.0.0.1:9000",
    ),
    (
        "evconn top unix:/run/evconn/admin.sock",
        "Show one whose endpoint is a Unix socket",
    ),
    (
        "evconn top localhost:9000 --once",
        "Print one snapshot, for a script",
    ),
];

const WIT: &[Example] = &[
    ("evconn wit", "Print the package of WASI 0.2"),
    (
        "evconn wit --wasi 0.3 -o wit",
        "Write that of WASI 0.3 to the directory wit",
    ),
];

const COMPLETIONS: &[Example] = &[
    (
        "evconn completions bash > ~/.local/share/bash-completion/completions/evconn",
        "bash",
    ),
    (
        "evconn completions zsh > ~/.zfunc/_evconn",
        "zsh, with ~/.zfunc in fpath",
    ),
    (
        "evconn completions fish > ~/.config/fish/completions/evconn.fish",
        "fish",
    ),
    ("evconn completions powershell >> $PROFILE", "PowerShell"),
];

const CHECK: &[Example] = &[(
    "evconn check evconn.toml",
    "Check what `evconn serve --config evconn.toml` would serve",
)];

const CONFIG_SCHEMA: &[Example] = &[(
    "evconn config-schema > evconn.schema.json",
    "Write the schema to a file",
)];

const MAN: &[Example] = &[
    (
        "evconn man ~/.local/share/man/man1",
        "Install the pages for this user",
    ),
    ("evconn man | man -l -", "Read them without installing them"),
];

/// Returns the end of a subcommand's help.
pub fn examples_of(of: &str) -> String {
    let mut text = "Examples:".to_owned();
    for (line, what) in examples(of) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {what}:\n    {line}");
    }
    text
}

/// Returns the examples of a subcommand.
pub fn examples(of: &str) -> &'static [Example] {
    match of {
        "serve" => SERVE,
        "echo" => ECHO,
        "run" => RUN,
        "compose" => COMPOSE,
        "compile" => COMPILE,
        "top" => TOP,
        "wit" => WIT,
        "completions" => COMPLETIONS,
        "man" => MAN,
        "check" => CHECK,
        "config-schema" => CONFIG_SCHEMA,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn each_subcommand_has_examples_that_it_accepts() {
        let command = Cli::command();
        for subcommand in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = subcommand.get_name();
            assert!(!examples(name).is_empty(), "{name}");
            let help = subcommand.get_after_long_help().expect(name).to_string();
            for (line, _) in examples(name) {
                assert!(help.contains(line), "{name}: {help}");
                let words = line.split_whitespace().filter(|word| *word != "\\");
                let words = words.take_while(|word| !word.starts_with(['|', '>']));
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.err().expect("refused"));
            }
        }
    }
}
