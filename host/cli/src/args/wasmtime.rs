//! What wasmtime's command has other names for: who is used to these is told what it is here.

use clap::Args;

/// To be flattened into the arguments of each command that runs components.
#[derive(Args, Debug)]
pub struct HabitArgs {
    /// What wasmtime's WASI may do.
    #[arg(short = 'S', long = "wasi", value_name = "SETTING", hide = true, value_delimiter = ',', value_parser = wasi)]
    wasi: Vec<Wasi>,
    /// How wasmtime runs WebAssembly.
    #[arg(short = 'W', long = "wasm", value_name = "SETTING", hide = true, value_delimiter = ',', value_parser = wasm)]
    _wasm: Vec<String>,
    /// Where `wasmtime serve` listens.
    #[arg(long, value_name = "ADDRESS", hide = true, value_parser = address)]
    _addr: Vec<String>,
}

/// What is the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wasi {
    InheritNetwork,
    /// It is so anyway.
    Default,
}

impl HabitArgs {
    pub fn inherit_network(&self) -> bool {
        self.wasi.contains(&Wasi::InheritNetwork)
    }
}

fn wasi(text: &str) -> Result<Wasi, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "y"));
    let instead = match (name, matches!(value, "y" | "yes" | "true")) {
        ("inherit-network", true) => return Ok(Wasi::InheritNetwork),
        ("inherit-network", false) | ("cli" | "common", true) => return Ok(Wasi::Default),
        ("tcp" | "udp" | "network-error-code", _) => {
            "sockets are granted by their addresses, with --listen, --allow-connect, --allow-udp and \
             --listen-udp, or all of them with --inherit-network"
        }
        ("allow-ip-name-lookup", _) => {
            "a name is resolved that --allow-connect HOST:PORT grants, and any with --inherit-network"
        }
        ("inherit-env", _) => "variables are granted one by one, with --env NAME",
        ("listenfd" | "tcplisten", _) => "it is --listen",
        ("http", _) => "evconn serves TCP: for wasi:http there is `wasmtime serve`",
        _ => "what evconn grants is in the help, below \"Grants\"",
    };
    Err(instead.to_owned())
}

fn wasm(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "BYTES"));
    Err(match name {
        "max-memory-size" => format!("it is --max-memory {value}"),
        "timeout" => "of a service, it is --timeout SECONDS or --cpu-timeout SECONDS".to_owned(),
        _ => "what evconn limits is in the help, below \"Limits\"".to_owned(),
    })
}

fn address(text: &str) -> Result<String, String> {
    Err(format!("it is --listen {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_taken() {
        for text in ["inherit-network", "inherit-network=y"] {
            assert_eq!(wasi(text), Ok(Wasi::InheritNetwork));
        }
        for text in ["cli", "cli=y", "common", "inherit-network=n"] {
            assert_eq!(wasi(text), Ok(Wasi::Default));
        }
    }

    #[test]
    fn of_what_is_not_it_is_said_what_it_is() {
        for (text, flag) in [
            ("tcp", "--listen"),
            ("udp=y", "--allow-udp"),
            ("inherit-env", "--env NAME"),
            ("allow-ip-name-lookup", "--allow-connect"),
            ("tcplisten=127.0.0.1:80", "--listen"),
            ("http", "wasmtime serve"),
            ("nonsense", "Grants"),
        ] {
            let problem = wasi(text).expect_err("not here");
            assert!(problem.contains(flag), "{text}: {problem}");
        }
        let memory = wasm("max-memory-size=1000").expect_err("not here");
        assert_eq!(memory, "it is --max-memory 1000");
        assert_eq!(address(":80").expect_err("not here"), "it is --listen :80");
    }
}
