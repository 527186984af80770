//! A program that does everything with TCP sockets that `wasi:sockets` 0.3 has a word on.
//!
//! Its arguments are the name of a case, a loopback address, and addresses of the host's if the
//! case wants any. It reports on stdout what came of it, one thing a line, and `tests/async_sockets` knows
//! what that has to be. Where the host is the other end, lines on stdin say when to go on.

mod addresses;
mod bind;
mod connect;
mod granted;
mod limits;
mod listen;
mod net;
mod options;
mod report;
mod run;
mod states;
mod streams;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package evconn:test;
            world program {
                include wasi:cli/command@0.3.0;
            }
        ",
        path: [
            "../../../wit/v0.3/deps/clocks.wit",
            "../../../wit/v0.3/deps/random.wit",
            "../../../wit/v0.3/deps/filesystem.wit",
            "../../../wit/v0.3/deps/sockets.wit",
            "../../../wit/v0.3/deps/cli.wit",
        ],
        world: "evconn:test/program",
        generate_all,
    });
}

use bindings::exports::wasi::cli::run::Guest;
use bindings::wasi::cli::environment::get_arguments;
use run::Run;
use std::pin::Pin;

/// A case, under the name of its module and its own.
type Case = (
    &'static str,
    fn(&Run) -> Pin<Box<dyn Future<Output = ()> + '_>>,
);

const THEMES: [(&str, &[Case]); 9] = [
    ("addresses", addresses::CASES),
    ("bind", bind::CASES),
    ("connect", connect::CASES),
    ("granted", granted::CASES),
    ("limits", limits::CASES),
    ("listen", listen::CASES),
    ("options", options::CASES),
    ("states", states::CASES),
    ("streams", streams::CASES),
];

/// The table of a module's cases: each is an asynchronous function, and has its name.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub const CASES: &[crate::Case] = &[$((stringify!($name), |run| Box::pin($name(run)))),*];
    };
}
pub(crate) use cases;

struct Sockets;

impl Guest for Sockets {
    async fn run() -> Result<(), ()> {
        let arguments = get_arguments();
        let [name, ip, addresses @ ..] = &arguments[..] else {
            return Err(());
        };
        let (theme, case) = name.split_once("::").ok_or(())?;
        let (_, cases) = THEMES.iter().find(|(name, _)| *name == theme).ok_or(())?;
        let (_, function) = cases.iter().find(|(name, _)| *name == case).ok_or(())?;
        let address = |text: &String| text.parse().map_err(|_| ());
        let addresses = addresses.iter().map(address).collect::<Result<_, _>>()?;
        let run = Run::new(ip.parse().map_err(|_| ())?, addresses);
        function(&run).await;
        run.end().await;
        Ok(())
    }
}

bindings::export!(Sockets with_types_in bindings);
