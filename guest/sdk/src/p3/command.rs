//! Makes a component of a function: a program of WASI 0.3.

use super::bindings::command::wasi::cli::environment::get_arguments;
use crate::Outcome;

/// Makes a program of an `async` function: a component that exports `wasi:cli/run` of WASI 0.3.
///
/// The function takes the arguments without the program's name. It returns `()`, an
/// [`ExitCode`](std::process::ExitCode), or a `Result` whose error is printed to standard error. The program ends when
/// it returns: what was [spawned](crate::p3::spawn) does not go on. The crate type is `cdylib`. `evconn run` runs the
/// component.
///
/// ```no_run
/// use evconn_guest::p3::{Listener, spawn};
/// use futures::io::copy;
///
/// async fn run(_: Vec<String>) -> std::io::Result<()> {
///     let mut listener = Listener::bind(([127, 0, 0, 1], 9876))?;
///     while let Some(next) = listener.next().await {
///         match next {
///             Ok((connection, _)) => spawn(async {
///                 let (reader, mut writer) = connection.split();
///                 // An error concerns this connection alone.
///                 let _ = copy(reader, &mut writer).await;
///             }),
///             Err(error) => evconn_guest::eprintln!("{error}"),
///         }
///     }
///     Ok(())
/// }
///
/// evconn_guest::p3_command!(run);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! p3_command {
    ($main:path) => {
        struct EvconnCommand;

        impl $crate::p3::bindings::command::exports::wasi::cli::run::Guest for EvconnCommand {
            async fn run() -> ::core::result::Result<(), ()> {
                $crate::p3::command::run($main).await
            }
        }

        $crate::p3::bindings::command::export_p3_run!(
            EvconnCommand with_types_in $crate::p3::bindings::command
        );
    };
}

/// Runs a program's function.
///
/// # Errors
/// If the function fails, which is printed.
pub async fn run<T: Outcome>(main: impl AsyncFnOnce(Vec<String>) -> T) -> Result<(), ()> {
    crate::stdio::report_panics();
    let arguments = get_arguments().into_iter().skip(1).collect();
    main(arguments).await.into_result().map_err(|error| {
        if !error.is_empty() {
            crate::eprintln!("{error}");
        }
    })
}
