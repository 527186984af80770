//! A program that does everything with TCP sockets that wasi-sockets has a word on.
//!
//! Its arguments are the name of a case, a loopback address, and addresses of the host's if the
//! case wants any. It reports on stdout what came of it, one thing a line, and `tests/sockets` knows
//! what that has to be. Where the host is the other end, lines on stdin say when to go on.

mod addresses;
mod bind;
mod connect;
mod granted;
mod limits;
mod listen;
mod net;
mod options;
mod polling;
mod report;
mod shutdown;
mod states;
mod streams;
mod traps;

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "evconn:tcp/command",
        generate_all,
        pub_export_macro: true,
    });
}

use bindings::exports::wasi::cli::run::Guest;
use bindings::wasi::cli::environment::get_arguments;
use net::Run;

/// A case, under the name of its module and its own.
type Case = (&'static str, fn(&Run));

const THEMES: [(&str, &[Case]); 12] = [
    ("addresses", addresses::CASES),
    ("bind", bind::CASES),
    ("connect", connect::CASES),
    ("granted", granted::CASES),
    ("limits", limits::CASES),
    ("listen", listen::CASES),
    ("options", options::CASES),
    ("polling", polling::CASES),
    ("shutdown", shutdown::CASES),
    ("states", states::CASES),
    ("streams", streams::CASES),
    ("traps", traps::CASES),
];

/// The table of a module's cases: each is a function, and has its name.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub const CASES: &[crate::Case] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use cases;

struct Sockets;

impl Guest for Sockets {
    fn run() -> Result<(), ()> {
        let arguments = get_arguments();
        let [name, ip, addresses @ ..] = &arguments[..] else {
            return Err(());
        };
        let case = find(name).ok_or(())?;
        let address = |text: &String| text.parse().map_err(|_| ());
        case(&Run {
            ip: ip.parse().map_err(|_| ())?,
            addresses: addresses.iter().map(address).collect::<Result<_, _>>()?,
        });
        Ok(())
    }
}

fn find(name: &str) -> Option<fn(&Run)> {
    let (theme, case) = name.split_once("::")?;
    let (_, cases) = THEMES.iter().find(|(name, _)| *name == theme)?;
    let (_, function) = cases.iter().find(|(name, _)| *name == case)?;
    Some(*function)
}

bindings::export!(Sockets with_types_in bindings);
