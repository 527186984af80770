//! Flags of wasmtime's command: those that mean the same here are accepted, and for the others the error names
//! evconn's flag.

use clap::Args;

#[derive(Args, Debug)]
pub struct WasmtimeArgs {
    /// wasmtime's settings of WASI.
    #[arg(short = 'S', long = "wasi", value_name = "SETTING", hide = true, value_delimiter = ',', value_parser = wasi)]
    wasi: Vec<Wasi>,
    /// wasmtime's settings of WebAssembly.
    #[arg(short = 'W', long = "wasm", value_name = "SETTING", hide = true, value_delimiter = ',', value_parser = wasm)]
    _wasm: Vec<String>,
}

/// A setting that means the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wasi {
    InheritNetwork,
    /// The default.
    Default,
}

impl WasmtimeArgs {
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
            "grant sockets by address with --listen, --allow-connect, --allow-udp and --listen-udp, or all \
             of them with --inherit-network"
        }
        ("allow-ip-name-lookup", _) => {
            "grant the lookup of a name with --allow-connect HOST:PORT, or of all with --inherit-network"
        }
        ("inherit-env", _) => "grant variables one by one with --env NAME",
        ("listenfd" | "tcplisten", _) => "use --listen",
        ("http", _) => "evconn serves TCP: use `wasmtime serve` for wasi:http",
        _ => "see \"Grants\" in the help",
    };
    Err(instead.to_owned())
}

fn wasm(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "BYTES"));
    Err(match name {
        "max-memory-size" => format!("use --max-memory {value}"),
        "timeout" => "use --timeout SECONDS or --cpu-timeout SECONDS of `evconn serve`".to_owned(),
        _ => "see \"Limits\" in the help".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_the_same_are_accepted() {
        for text in ["inherit-network", "inherit-network=y"] {
            assert_eq!(wasi(text), Ok(Wasi::InheritNetwork));
        }
        for text in ["cli", "cli=y", "common", "inherit-network=n"] {
            assert_eq!(wasi(text), Ok(Wasi::Default));
        }
    }

    #[test]
    fn the_error_for_another_setting_names_the_flag() {
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
        assert_eq!(memory, "use --max-memory 1000");
    }
}
