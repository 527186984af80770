//! Tips about arguments that evconn does not have, but that other commands have for the same thing.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use evconn::ListenSource;
use std::ffi::OsString;
use std::path::Path;

/// What others call something that evconn has.
struct Tip {
    names: &'static [&'static str],
    /// The field without which a subcommand does not give the tip.
    field: &'static str,
    text: &'static str,
}

const TIPS: &[Tip] = &[
    Tip {
        names: &["--unix", "--socket", "--unix-socket"],
        field: "sources",
        text: "use --listen unix:PATH",
    },
    Tip {
        names: ADDRESS,
        field: "sources",
        text: "use --listen :PORT or --listen ADDRESS:PORT",
    },
    Tip {
        names: ADDRESS,
        field: "listen",
        text: "use --listen :PORT or --listen ADDRESS:PORT",
    },
    Tip {
        names: &[
            "--tls",
            "--ssl",
            "--https",
            "--cert",
            "--certificate",
            "--tls-certificate",
            "--key",
        ],
        field: "tls_cert",
        text: "use --tls-cert FILE and --tls-key FILE",
    },
    Tip {
        names: &["--http"],
        field: "sources",
        text: "evconn serves TCP: use `wasmtime serve` for wasi:http",
    },
    Tip {
        names: &["--threads", "-t", "--jobs", "-j"],
        field: "workers",
        text: "use --processes N for worker processes, or --workers N for threads of each",
    },
    Tip {
        names: &["--mapdir", "--mount", "--volume", "--preopen"],
        field: "dir",
        text: "use --dir HOST::GUEST, or --dir HOST::GUEST:ro for reading only",
    },
    Tip {
        names: &["-e", "--environment", "--setenv"],
        field: "env",
        text: "use --env NAME=VALUE",
    },
    Tip {
        names: &["--allow-net", "--net", "--network", "--upstream"],
        field: "allow_connect",
        text: "use --allow-connect HOST:PORT, or --inherit-network for all of the network",
    },
    Tip {
        names: &["-m", "--mem", "--memory", "--memory-limit"],
        field: "max_memory",
        text: "use --max-memory BYTES",
    },
    Tip {
        names: &["--connections", "--max-clients", "--maxconn"],
        field: "max_connections",
        text: "use --max-connections N",
    },
    Tip {
        names: &["-v", "--verbose", "--debug", "-q", "--quiet", "--log-level"],
        field: "log_format",
        text: "set the environment variable RUST_LOG to debug, info, warn or error",
    },
];

const ADDRESS: &[&str] = &[
    "--port",
    "-p",
    "--addr",
    "--address",
    "--bind",
    "-b",
    "--host",
    "-l",
];

/// Adds what evconn calls it to an error about an argument.
pub fn with_tip(mut error: Error, command: &Command, arguments: &[OsString]) -> Error {
    let tip = match error.kind() {
        ErrorKind::UnknownArgument => {
            let argument = context(&error, ContextKind::InvalidArg);
            let Some(subcommand) = subcommand_before(&argument, command, arguments) else {
                return error;
            };
            // How to pass it as a value, which is not what was meant.
            error.remove(ContextKind::Suggested);
            of_argument(subcommand, &argument)
        }
        ErrorKind::InvalidSubcommand => of_file(&context(&error, ContextKind::InvalidSubcommand)),
        _ => None,
    };
    if let Some(tip) = tip {
        error.remove(ContextKind::SuggestedArg);
        // It may name another flag.
        error.remove(ContextKind::Usage);
        let tips = vec![StyledStr::from(tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

fn context(error: &Error, kind: ContextKind) -> String {
    let value = error.get(kind).map(ToString::to_string);
    value.unwrap_or_default()
}

/// Returns the subcommand that an argument was given to.
fn subcommand_before<'a>(
    argument: &str,
    command: &'a Command,
    arguments: &[OsString],
) -> Option<&'a Command> {
    let texts = arguments.iter().skip(1).filter_map(|text| text.to_str());
    let mut before = texts.take_while(|text| !text.starts_with(argument));
    before.find_map(|text| command.find_subcommand(text))
}

fn of_argument(subcommand: &Command, argument: &str) -> Option<String> {
    let has = |field: &str| subcommand.get_arguments().any(|arg| arg.get_id() == field);
    if !argument.starts_with('-') {
        return of_value(argument).filter(|_| has("sources"));
    }
    let is_meant = |tip: &&Tip| tip.names.contains(&argument) && has(tip.field);
    let tip = TIPS.iter().find(is_meant)?;
    Some(tip.text.to_owned())
}

/// Returns the tip about a value without a flag: an address or a port.
fn of_value(value: &str) -> Option<String> {
    let source = match value.parse::<u16>() {
        Ok(port) => format!(":{port}"),
        Err(_) => value
            .parse::<ListenSource>()
            .ok()
            .map(|_| value.to_owned())?,
    };
    Some(format!("use --listen {source}"))
}

/// Returns the tip about a component where a subcommand is expected.
fn of_file(name: &str) -> Option<String> {
    let extension = Path::new(name).extension()?;
    let is_component = ["wasm", "wat", "cwasm"]
        .iter()
        .any(|known| extension == *known);
    is_component.then(|| {
        format!("use `evconn serve {name} --listen :PORT` for a server, `evconn run {name}` for a program")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    fn said(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let mut command = Cli::command();
        let parsed = command.try_get_matches_from_mut(&words);
        let error = parsed.expect_err("no flag of evconn");
        with_tip(error, &command, &words).to_string()
    }

    #[test]
    fn no_tip_is_about_what_a_subcommand_has() {
        let mut command = Cli::command();
        command.build();
        let subcommands = || command.get_subcommands().filter(|sub| !sub.is_hide_set());
        for tip in TIPS {
            let has = |field: &str| {
                subcommands().any(|sub| sub.get_arguments().any(|arg| arg.get_id() == field))
            };
            let is_there = has(tip.field) || !cfg!(feature = "tls") && tip.field == "tls_cert";
            assert!(is_there, "{}", tip.field);
        }
        for word in TIPS.iter().flat_map(|tip| tip.text.split([' ', ','])) {
            let is_flag = word.starts_with("--");
            let mut args = subcommands().flat_map(Command::get_arguments);
            let is_known = args.any(|arg| arg.get_long() == word.strip_prefix("--"));
            let is_tls = word.starts_with("--tls-") && !cfg!(feature = "tls");
            assert!(!is_flag || is_known || is_tls, "{word}");
        }
    }

    #[test]
    fn other_names_of_a_flag_lead_to_it() {
        for (line, tip) in [
            ("serve a.wasm --port 80", "use --listen :PORT"),
            ("serve a.wasm -p80", "use --listen :PORT"),
            ("run --bind=:80 a.wasm", "use --listen :PORT"),
            ("serve a.wasm --unix /run/a", "use --listen unix:PATH"),
            ("serve a.wasm --http", "`wasmtime serve`"),
            ("serve a.wasm --threads 4", "--processes N"),
            ("echo --port 80", "use --listen :80"),
            ("run -e A=b a.wasm", "use --env NAME=VALUE"),
            ("serve a.wasm --verbose", "RUST_LOG"),
            ("serve a.wasm :80", "use --listen :80"),
            ("serve a.wasm 80", "use --listen :80"),
            ("app.wasm --listen :80", "evconn serve app.wasm --listen"),
            ("--listen :80 serve app.wasm", "'serve --listen' exists"),
            ("serve a.wasm --max-conections 5", "'--max-connections'"),
            ("run --max-memry 5 a.wasm", "'--max-memory'"),
            ("sevre", "'serve'"),
        ] {
            let said = said(&format!("evconn {line}"));
            assert!(said.contains("tip: "), "{said}");
            assert!(said.contains(tip), "{line}: {said}");
        }
        #[cfg(feature = "tls")]
        assert!(said("evconn serve a.wasm --tls").contains("--tls-cert FILE and --tls-key"));
    }

    #[test]
    fn what_is_like_nothing_has_no_tip() {
        for line in ["serve a.wasm --bogus", "compile --port 80 a.wasm", "bogus"] {
            let said = said(&format!("evconn {line}"));
            assert!(!said.contains("tip:"), "{said}");
        }
    }
}
