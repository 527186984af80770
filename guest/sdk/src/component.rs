//! Macros that make a component of a function: a command or a service.

use crate::Connection;
use crate::bindings::imports::evconn::tcp::connection as wit;
use std::fmt::Display;
use std::process::ExitCode;

/// Makes a command of a function: a component that exports `wasi:cli/run`.
///
/// The function takes the arguments without the program's name. It returns `()`, an [`ExitCode`], or a `Result`
/// whose error is printed to standard error. `wasi:cli/run` distinguishes success and failure, and no other
/// codes. The message of a panic is printed to standard error, too.
///
/// The crate type is `cdylib`. For `wasm32-wasip2`, a `bin` with the standard `main` works as well.
///
/// ```no_run
/// use evconn_guest::{EventBase, Listener};
///
/// fn run(arguments: Vec<String>) -> Result<(), String> {
///     let [address] = &arguments[..] else {
///         return Err("expected one argument, an address".to_owned());
///     };
///     let address: std::net::SocketAddr = address.parse().map_err(|_| "not an address")?;
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

/// Makes a service of a function: a component that exports `evconn:tcp/handler`.
///
/// The function takes a blocking connection, and returns `()` or a `Result` whose error is written to the host's
/// log. The message of a panic is printed to standard error; the panic resets this connection and affects no
/// other.
///
/// The crate type is `cdylib`. `evconn serve` runs the component.
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

/// A return type of the function of a [`command!`](crate::command!) or a [`service!`](crate::service!).
///
/// ```
/// use evconn_guest::Outcome;
///
/// assert_eq!(().into_result(), Ok(()));
/// assert_eq!(Err::<(), _>("no").into_result(), Err("no".to_owned()));
/// ```
pub trait Outcome {
    /// Converts the outcome to a `Result`.
    ///
    /// # Errors
    /// Returns the error's message. It is empty for an [`ExitCode`].
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

/// Returns whether `main` has succeeded.
#[doc(hidden)]
pub fn run<T: Outcome>(main: impl FnOnce(Vec<String>) -> T) -> bool {
    crate::stdio::report_panics();
    let mut arguments = wasi::cli::environment::get_arguments();
    if !arguments.is_empty() {
        let _name = arguments.remove(0);
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
