//! Programs: command components, which export `wasi:cli/run`. If a program imports the listener, it is
//! composed with it.
//!
//! [`Grants`] decide what a program may use.

mod denials;

use super::Composer;
use crate::error::{LoadError, LoadProblem};
use crate::limits::Allowance;
use crate::link::wants_listener;
use crate::service::{self, Command, is_for_handles};
use crate::sockets::TcpView;
use crate::store::StoreState;
use crate::trap::SourceLines;
use crate::{Error, Grants, GuestTrap, Host, WasiVersion};
use denials::Denials;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, WasiCtx};

/// A compiled command component: a program with an event loop of its own, in a single instance.
///
/// It has this process's standard input, output and error, clocks and random numbers, and what its
/// [`Grants`] add. What it is denied is logged, with the grant that it lacks. Cloning is cheap: each
/// [`run`](Self::run) creates an instance.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{Grants, Host, Program};
///
/// let host = Host::new()?;
/// let grants = Grants::builder()
///     .arg("echo-command")
///     .arg("9876")
///     .listen("127.0.0.1:9876".parse()?)
///     .build()?;
/// let program = Program::from_file(&host, "echo-command.wasm")?.with_grants(grants);
/// let status = program.run().await?;
/// # let _: u8 = status;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Program {
    command: Command,
    grants: Grants,
    lines: SourceLines,
    /// The component that was compiled.
    component: Option<Arc<[u8]>>,
    max_memory: Option<usize>,
    max_handles: Option<usize>,
}

impl Program {
    /// Compiles a component: a binary or its text. If it imports the listener, it is composed with it
    /// first ([`Composer`]).
    ///
    /// # Errors
    /// [`Error::Load`] if the bytes are not a component, if it does not export `wasi:cli/run` of WASI
    /// 0.2 or 0.3, or if it imports what this host does not provide.
    pub fn new(host: &Host, component: &[u8]) -> Result<Self, Error> {
        Ok(Self::load(host, service::UNNAMED, component).map_err(LoadError::of_bytes)?)
    }

    /// Loads a file as [`Program::new`] does.
    ///
    /// # Errors
    /// As [`Program::new`], and if the file cannot be read.
    pub fn from_file(host: &Host, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let program = service::read(path).and_then(|bytes| Self::load(host, &name, &bytes));
        Ok(program.map_err(|problem| LoadError::of_file(path, problem))?)
    }

    fn load(host: &Host, name: &str, bytes: &[u8]) -> Result<Self, LoadProblem> {
        let binary = service::component(bytes)?;
        let linked = match wants_listener(&binary) {
            true => Composer::new().link(&binary)?.into_binary(),
            false => binary.into_owned(),
        };
        let program = Self::linked(service::command(host, name, &linked)?);
        Ok(Self {
            lines: SourceLines::of(&linked),
            component: Some(linked.into()),
            ..program
        })
    }

    fn linked(command: Command) -> Self {
        Self {
            command,
            grants: Grants::none(),
            lines: SourceLines::default(),
            component: None,
            max_memory: None,
            max_handles: None,
        }
    }

    /// Maps compiled code, which [`serialize`](Self::serialize) has returned, from a file.
    ///
    /// `component` is the binary from which the code was compiled ([`component`](Self::component)), for the source
    /// lines of traps. It is read when the first trap needs it. Without it, traps have offsets only.
    ///
    /// # Errors
    /// [`LoadProblem::Incompatible`] if the code was compiled by another version, or for another processor or other
    /// settings than this host's.
    ///
    /// # Safety
    /// As [`Service::from_mapped`](crate::Service::from_mapped).
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn from_mapped(
        host: &Host,
        code: File,
        component: Option<File>,
    ) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        let command = unsafe { service::map_command(host, &code) }.map_err(LoadError::of_bytes)?;
        Ok(Self {
            lines: component.map_or_else(SourceLines::default, SourceLines::of_file),
            ..Self::linked(command)
        })
    }

    /// Returns the version of WASI that the program was built for.
    pub fn wasi(&self) -> WasiVersion {
        self.command.wasi()
    }

    /// Returns the compiled code, for [`from_mapped`](Self::from_mapped).
    ///
    /// # Errors
    /// [`Error::Engine`] if there is no memory for it.
    pub fn serialize(&self) -> Result<Vec<u8>, Error> {
        let code = self.command.component().serialize();
        code.map_err(|error| Error::Engine(error.into()))
    }

    /// Returns the component that was compiled: composed with the listener if it imports one. `None` if the program
    /// was mapped.
    pub fn component(&self) -> Option<&[u8]> {
        self.component.as_deref()
    }

    /// Sets what the program is granted in addition to clocks, random numbers and this process's standard
    /// streams: arguments (the first is its name, by convention), addresses to listen on and to connect
    /// to, directories. Defaults to nothing.
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Limits the program's linear memory, in bytes: all of its memories together. Growth beyond it fails
    /// in the program (`memory.grow` returns -1). Defaults to no limit but that of the memories
    /// themselves.
    pub fn with_max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Limits how many handles the program may have at a time: sockets, streams, pollables, errors, open
    /// files. One more is a trap. Defaults to no limit but that of this process's descriptors.
    pub fn with_max_handles(mut self, count: usize) -> Self {
        self.max_handles = Some(count);
        self
    }

    /// Runs the program to its end. Returns its exit status: 0 if it succeeded, and 1 if it failed. WASI
    /// has no others. A program of WASI 0.3 ends when its function `run` returns: its other tasks are ended.
    ///
    /// While the program waits, it occupies no thread. While it computes, it blocks the thread that polls
    /// this future until it waits again: run a program that may compute for long on a thread of its own.
    /// Dropping the future ends the program and closes whatever it has open.
    ///
    /// Connections that are open when the program ends are closed if its status is 0, and reset
    /// otherwise.
    ///
    /// # Errors
    /// [`Error::Program`] if it traps.
    pub async fn run(&self) -> Result<u8, Error> {
        let mut store = self.store();
        let ended = self.command.run(&mut store).await;
        let status = self.status(&mut store, ended);
        if !matches!(status, Ok(0)) {
            // Their peers are to know that they may not have received everything.
            store.data_mut().tcp().reset_all();
        }
        status
    }

    /// Returns the exit status, or why there is none.
    fn status(
        &self,
        store: &mut Store<StoreState>,
        ended: wasmtime::Result<Result<(), ()>>,
    ) -> Result<u8, Error> {
        match ended {
            Ok(Ok(())) => Ok(0),
            Ok(Err(())) => Ok(1),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                // The kernel truncates the status of a process in this way, too.
                Some(I32Exit(status)) => Ok(status.to_le_bytes()[0]),
                None => Err(Error::Program(self.explain(store, error))),
            },
        }
    }

    fn store(&self) -> Store<StoreState> {
        let mut builder = WasiCtx::builder();
        builder.inherit_stdio();
        let denials = Arc::<Denials>::default();
        let wasi = self.grants.finish(builder, denials.clone());
        let sockets = self.grants.sockets().clone().for_program(denials);
        let mut state = StoreState::new(wasi, sockets);
        if let Some(bytes) = self.max_memory {
            state.allowance = Allowance::of_memory(bytes);
        }
        if let Some(count) = self.max_handles {
            state.table.set_max_capacity(count);
        }
        let mut store = Store::new(self.command.component().engine(), state);
        store.limiter(|state| &mut state.allowance);
        store
    }

    /// Explains an error, with the limit that caused it, if one did.
    fn explain(&self, store: &mut Store<StoreState>, error: wasmtime::Error) -> GuestTrap {
        let refused = store.data_mut().allowance.take_refused();
        let limit = match (self.max_handles, refused) {
            (Some(count), _) if is_for_handles(&error) => Some(format!(
                "it has more than {count} handles: raise the limit with --max-handles"
            )),
            (_, Some(refused)) => Some(format!("{}, after {refused}", error.root_cause())),
            _ => None,
        };
        GuestTrap::new(error).within(&self.lines).due_to(limit)
    }
}
