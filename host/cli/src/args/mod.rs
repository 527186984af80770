//! Groups of flags that commands have in common, and what the library gets of them.

mod accepting;
mod access_log;
mod admin;
mod cache;
mod compile;
mod grants;
mod ingress;
mod instances;
mod limits;
mod listen;
mod processes;
mod server;
mod tcp;
mod traces;
mod values;
mod wasmtime;

pub use access_log::AccessLogArgs;
pub use admin::AdminArgs;
pub use cache::CacheArgs;
pub use compile::CompileArgs;
pub use grants::GrantArgs;
pub use ingress::IngressArgs;
pub use instances::Part;
pub use listen::{ListenArgs, NamedListening, NamedSource};
pub use processes::ProcessArgs;
pub use server::ServerArgs;
pub use traces::TraceArgs;
pub use values::{bytes, count, seconds};

use clap::{Args, Command};

/// Returns what a group of flags is if none of them is given. Its defaults are those in the help.
pub fn defaults<T: Args>() -> T {
    let command = T::augment_args(Command::new("defaults").no_binary_name(true));
    let matches = command.get_matches_from([""; 0]);
    T::from_arg_matches(&matches).expect("every flag of the group is optional")
}
