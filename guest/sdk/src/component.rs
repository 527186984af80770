//! How a function becomes a component: a command, or a service.

use crate::Connection;
use crate::bindings::imports::evconn::tcp::connection as wit;
use std::fmt::Display;
use std::process::ExitCode;

/// Make a command of a function: a component that exports `wasi:cli/run`.
///
/// The function takes the arguments, without the program's name, and returns nothing, an
/// [`ExitCode`], or a `Result` whose error is printed to standard error. WASI knows success and
/// failure, and no other code. A panic is printed there, too.
///
/// The crate is a `cdylib`. For `wasm32-wasip2` a `bin` with the standard `main` does as well.
///
/// ```no_run
/// use evconn_guest::{EventBase, Listener};
///
/// fn run(arguments: Vec<String>) -> Result<(), String> {
///     let [address] = &arguments[..] else {
///         return Err("it takes one argument, an address".to_owned());
///     };
///     let address: std::net::SocketAddr = address.parse().map_err(|_| "no address")?;
///     let base = EventBase::new();
///     let listener = Listener::builder().bind(&base, address);
///     let _listener = listener.map_err(|error| format!("{address}: {error}"))?;
///     base.dispatch();
///     Ok(())
/// }
///
/// evconn_guest::command!(run);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! command {
    ($main:path) => {
        struct EvconnCommand;

        impl $crate::wasi::exports::cli::run::Guest for EvconnCommand {
            fn run() -> ::core::result::Result<(), ()> {
                match $crate::component::run($main) {
                    true => ::core::result::Result::Ok(()),
                    false => ::core::result::Result::Err(()),
                }
            }
        }

        $crate::wasi::cli::command::export!(EvconnCommand with_types_in $crate::wasi);
    };
}

/// Make a service of a function: a component that exports `evconn:tcp/handler`.
///
/// The function takes a connection, which is blocking, and returns nothing, or a `Result` whose
/// error is for the host's log. A panic is printed to standard error, and ends this connection.
///
/// The crate is a `cdylib`. `evconn serve` runs the component.
///
/// ```no_run
/// use evconn_guest::Connection;
/// use std::io::{self, Read, Write};
///
/// fn serve(mut connection: Connection) -> io::Result<()> {
///     let mut name = String::new();
///     connection.read_to_string(&mut name)?;
///     write!(connection, "Hello, {name}!")
/// }
///
/// evconn_guest::service!(serve);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! service {
    ($serve:path) => {
        struct EvconnService;

        impl $crate::bindings::handler::exports::evconn::tcp::handler::Guest for EvconnService {
            fn handle(
                connection: $crate::component::WitConnection,
            ) -> ::core::result::Result<(), ::std::string::String> {
                $crate::component::serve($serve, connection)
            }
        }

        $crate::bindings::handler::export_handler!(
            EvconnService with_types_in $crate::bindings::handler
        );
    };
}

/// What the function of a [`command!`](crate::command!) or a [`service!`](crate::service!) may return.
///
/// ```
/// use evconn_guest::Outcome;
///
/// assert_eq!(().into_result(), Ok(()));
/// assert_eq!(Err::<(), _>("no").into_result(), Err("no".to_owned()));
/// ```
pub trait Outcome {
    /// Success, or what was wrong: nothing, if it was said already.
    ///
    /// # Errors
    /// What was wrong.
    fn into_result(self) -> Result<(), String>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl Outcome for ExitCode {
    fn into_result(self) -> Result<(), String> {
        match self == Self::SUCCESS {
            true => Ok(()),
            false => Err(String::new()),
        }
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

#[doc(hidden)]
pub use wit::Connection as WitConnection;

/// Whether it was a success.
#[doc(hidden)]
pub fn run<T: Outcome>(main: impl FnOnce(Vec<String>) -> T) -> bool {
    crate::stdio::report_panics();
    let mut arguments = wasi::cli::environment::get_arguments();
    if !arguments.is_empty() {
        // The program's name.
        arguments.remove(0);
    }
    match main(arguments).into_result() {
        Ok(()) => true,
        Err(error) => {
            if !error.is_empty() {
                crate::eprintln!("{error}");
            }
            false
        }
    }
}

#[doc(hidden)]
pub fn serve<T: Outcome>(
    serve: impl FnOnce(Connection) -> T,
    connection: WitConnection,
) -> Result<(), String> {
    crate::stdio::report_panics();
    serve(Connection::of_service(connection)).into_result()
}
