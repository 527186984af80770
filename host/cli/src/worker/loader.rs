//! The loader: does what a command does with a component, for a process that must not do it itself: compiles it, or
//! reads its compiled code from the cache, or composes it. The outcome is sent to that process.

use super::{first_message, no_command};
use crate::args::ServerArgs;
use crate::control::{FromLoader, Load, Loaded, Target};
use crate::files::{Input, contents};
use crate::log;
use crate::server::{Code, Plan, entered};
use crate::sys::allocator::exit_when_out_of_memory;
use crate::sys::child::{limit_further_memory, set_name, take_no_notice_of_faults, write_no_core};
use crate::sys::memory;
use anyhow::{Context, anyhow};
use evconn::{EntryPoint, Host, HostBuilder, Limits, WasiVersion};
use std::ffi::OsString;
use std::io;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

/// The first bytes of a binary. A component in text form has no source lines.
const MAGIC: &[u8] = b"\0asm";

/// What a command has its loader do.
pub trait Work {
    /// Does it. Returns the outcome with its descriptors.
    ///
    /// # Errors
    /// The reason why the component cannot be used, in one line.
    fn load(&self, order: Order) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)>;

    /// Returns the name of the service that is loaded, if there are several.
    fn service(&self) -> Option<&str> {
        None
    }
}

/// Parses the command line of a command.
pub type Parse = fn(&[OsString]) -> anyhow::Result<(Box<dyn Work>, log::Format)>;

/// What a loader is given besides the command line.
pub struct Order {
    inputs: Inputs,
    /// Maximum number of instances at a time of a process that serves.
    pub instances: usize,
    memory: u64,
}

impl Order {
    /// Returns an input by its number, before this process has limits.
    pub fn input(&self, number: usize, path: &Path) -> Input {
        self.inputs.get(number, path)
    }

    /// Builds the host, and limits the memory of this process from then on: what the host reserves for instances does
    /// not count.
    pub fn begin(self, host: HostBuilder) -> anyhow::Result<(Host, Inputs)> {
        Ok((host.build()?, self.begin_without_host()?))
    }

    /// Limits the memory of this process.
    pub fn begin_without_host(self) -> anyhow::Result<Inputs> {
        limit_further_memory(self.memory)?;
        Ok(self.inputs)
    }
}

/// The inputs of the command line: the bytes of each that a loader cannot read itself.
pub struct Inputs(Vec<Option<Arc<[u8]>>>);

impl Inputs {
    /// Returns an input by its number.
    pub fn get(&self, number: usize, path: &Path) -> Input {
        Input::given(path, self.0.get(number).cloned().flatten())
    }
}

/// Does what the command line of the process that has started this one says.
pub fn run(parse: Parse) -> ExitCode {
    set_name(c"evconn-loader");
    exit_when_out_of_memory();
    // Without that, a crash takes longer.
    let _ = write_no_core();
    take_no_notice_of_faults();
    let Some((channel, (load, files))) = first_message::<Load>() else {
        return no_command();
    };
    let (answer, files) = match guarded(|| loaded(parse, load, files)) {
        Ok(outcome) => outcome,
        Err(error) => (FromLoader::Failed(explain(&error)), Vec::new()),
    };
    // The log precedes the outcome.
    log::flush();
    match channel.send(&answer, files) {
        Ok(()) => ExitCode::SUCCESS,
        // The other process is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs work of which a panic is an error in one line: the compiler is large, and a component may be hostile.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (sender, panics) = mpsc::channel();
    std::panic::set_hook(Box::new(move |panic| {
        // The receiver is there for as long as this program compiles.
        let _ = sender.send(panic.to_string().replace('\n', " "));
    }));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let panic = panics.try_recv().unwrap_or_default();
    outcome.unwrap_or_else(|_| Err(anyhow!("the compiler has failed{SCARCE}: {panic}")))
}

/// What may be the reason if the system refuses memory or a thread.
const SCARCE: &str =
    " (memory, which --compile-memory limits, or threads, which `ulimit -u` limits, may be scarce)";

/// Returns the reason of a failure, in one line.
fn explain(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    // wasmtime passes the system's errors on as text only.
    let mut of_scarcity = [libc::EAGAIN, libc::ENOMEM]
        .map(io::Error::from_raw_os_error)
        .into_iter();
    match of_scarcity.any(|error| text.contains(&error.to_string())) {
        true => text + SCARCE,
        false => text,
    }
}

fn loaded(
    parse: Parse,
    load: Load,
    files: Vec<OwnedFd>,
) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
    let (work, format) = parse(&load.arguments)?;
    log::start_in_child(format, load.is_terminal, work.service().map(str::to_owned));
    let mut files = files.into_iter();
    let inputs = load.given.iter().map(|is_given| {
        let file = is_given.then(|| files.next()).flatten();
        file.map(contents).transpose()
    });
    let inputs = inputs.map(|bytes| bytes.map(|bytes| bytes.map(Arc::from)));
    work.load(Order {
        inputs: Inputs(inputs.collect::<io::Result<_>>()?),
        instances: load.instances,
        memory: load.memory,
    })
}

impl Work for Plan {
    fn service(&self) -> Option<&str> {
        self.name()
    }

    fn load(&self, order: Order) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
        // As in the processes that serve: whether there is address space for a pool depends on the size of the pool.
        let limits = Limits {
            max_connections: order.instances,
            ..self.server.limits()
        };
        let code = self
            .component
            .open_again(|number, path| order.input(number, path))?;
        let host = Host::builder().limits(&limits).cache(self.cache.cache());
        let host = host.workers(NonZero::<usize>::MIN).wasi(code.wasi());
        let (host, _) = order.begin(host)?;
        let service = code.load(&host)?;
        if self.entry_point.is_none() && service.entry_points().len() > 1 {
            tracing::info!(
                "the component exports a handler, which is called, and wasi:cli/run: --entry-point run has it served \
                 as a program"
            );
        }
        let service = entered(service, self.entry_point)?;
        self.server.check_for(&service)?;
        if self.listen.names_ports() && service.entry_point() != EntryPoint::Run {
            tracing::warn!(
                "a port in front of a listen source has no effect: the component is no program, which would bind it"
            );
        }
        let binary = match service.composition() {
            Some(composition) => composition.to_vec(),
            None => binary(&code)?,
        };
        let kind = Kind {
            memories: service.memories(),
            wasi: service.wasi(),
            gives_up_instances: ServerArgs::gives_up_instances(&service),
        };
        compiled(&host, &service.serialize()?, kind, &binary)
    }
}

/// What the processes that run compiled code have to know of it.
#[derive(Default)]
pub struct Kind {
    /// How many memories an instance has, if it serves.
    pub memories: usize,
    pub wasi: WasiVersion,
    /// Whether a connection may continue without an instance.
    pub gives_up_instances: bool,
}

/// Returns compiled code as an outcome. `binary` is the component, for the source lines of its traps.
pub fn compiled(
    host: &Host,
    code: &[u8],
    kind: Kind,
    binary: &[u8],
) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
    let mut files: Vec<OwnedFd> = vec![
        memory::file("code", code)?.into(),
        memory::file("listener", &host.listener_code()?)?.into(),
    ];
    let has_binary = binary.starts_with(MAGIC);
    if has_binary {
        files.push(memory::file("component", binary)?.into());
    }
    let loaded = Loaded {
        memories: kind.memories,
        has_binary,
        target: Target {
            pooled: host.has_pool(),
            is_wasi_0_3: kind.wasi == WasiVersion::V0_3,
            gives_up_instances: kind.gives_up_instances,
        },
    };
    Ok((FromLoader::Loaded(loaded), files))
}

/// Returns the binary of a component, if it is one.
fn binary(code: &Code) -> anyhow::Result<Vec<u8>> {
    Ok(match code.app() {
        Some(Input::Stdin(bytes) | Input::Read(_, bytes)) => bytes.to_vec(),
        // If the file is replaced at this moment, only the source lines of traps are wrong.
        Some(Input::File(path)) => {
            std::fs::read(path).with_context(|| format!("cannot read {} again", path.display()))?
        }
        None => Vec::new(),
    })
}
