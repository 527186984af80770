//! The component that is served.

use crate::files::Input;
use evconn::{EntryPoint, Error, Host, Service, ServiceBuilder, WasiVersion, guests};
use std::iter;
use std::path::{Path, PathBuf};

/// The component that is served.
pub enum Component {
    /// One of the user's.
    Named {
        /// A file, or `-`.
        path: PathBuf,
        allow_precompiled: bool,
        /// The files of the filters in front of it.
        through: Vec<PathBuf>,
    },
    /// The echo service, which is built in.
    Echo,
}

/// The code of a component, with that of the filters in front of it. It can be loaded several times.
#[derive(Clone)]
pub struct Code {
    /// The component, and then its filters. Empty if the component is built in.
    inputs: Vec<Input>,
    /// Whether the component may be compiled code.
    allow_precompiled: bool,
}

impl Component {
    /// Returns whether it is read from standard input.
    #[cfg(unix)]
    pub fn is_standard_input(&self) -> bool {
        matches!(self, Self::Named { path, .. } if path == Path::new("-"))
    }

    /// Returns a name for it: that of its file, without the extension.
    pub fn name(&self) -> String {
        let named = match self {
            Self::Named { path, .. } => path.file_stem(),
            Self::Echo => None,
        };
        let name = named.map(|stem| stem.to_string_lossy().into_owned());
        let is_name = |name: &String| name.chars().any(char::is_alphanumeric);
        name.filter(is_name).unwrap_or_else(|| "evconn".to_owned())
    }

    /// Waits for the end of standard input if the component comes from there.
    pub fn open(&self) -> anyhow::Result<Code> {
        self.open_with(|number, path| match number {
            0 => Input::open(path),
            _ => Ok(Input::File(path.to_owned())),
        })
    }

    /// Opens it in a loader, where `open` returns the input with a number.
    #[cfg(unix)]
    pub fn open_again(&self, open: impl Fn(usize, &Path) -> Input) -> anyhow::Result<Code> {
        self.open_with(|number, path| Ok(open(number, path)))
    }

    fn open_with(
        &self,
        open: impl Fn(usize, &Path) -> anyhow::Result<Input>,
    ) -> anyhow::Result<Code> {
        let (paths, allow_precompiled) = match self {
            Self::Named {
                path,
                allow_precompiled,
                through,
            } => (
                iter::once(path).chain(through).collect(),
                *allow_precompiled,
            ),
            Self::Echo => (Vec::new(), false),
        };
        let opened = paths.iter().enumerate();
        let inputs = opened.map(|(number, path)| open(number, path));
        Ok(Code {
            inputs: inputs.collect::<anyhow::Result<_>>()?,
            allow_precompiled,
        })
    }
}

impl Code {
    /// Reads and compiles the component. Blocks.
    pub fn load(&self, host: &Host) -> anyhow::Result<Service> {
        let Some((app, filters)) = self.inputs.split_first() else {
            return Ok(Service::new(host, guests::ECHO)?);
        };
        let builder = filtered(host, filters)?;
        match self.allow_precompiled {
            true => load_precompiled(builder, app),
            false => app.load_with(
                builder,
                |builder, path| builder.load_file(path),
                ServiceBuilder::load,
            ),
        }
    }

    /// Returns the version of WASI that it seems to be built for. What cannot be read is reported when it is loaded.
    pub fn wasi(&self) -> WasiVersion {
        self.app().map_or(WasiVersion::V0_2, Input::wasi)
    }

    /// Returns where the component is read from, or `None` if it is built in.
    pub fn app(&self) -> Option<&Input> {
        self.inputs.first()
    }

    /// Returns the inputs of the loader that loads it.
    #[cfg(unix)]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Whether the component can change: not if it is built in.
    ///
    /// # Errors
    /// If it came from standard input.
    pub fn can_load_again(&self) -> anyhow::Result<bool> {
        match self.app() {
            None => Ok(false),
            Some(Input::File(_) | Input::Read(..)) => Ok(true),
            Some(Input::Stdin(_)) => {
                anyhow::bail!("standard input can be read only once: serve a file to reload it")
            }
        }
    }
}

/// Begins to load a service with these filters in front of it.
pub fn filtered(host: &Host, filters: &[Input]) -> anyhow::Result<ServiceBuilder> {
    filters
        .iter()
        .try_fold(Service::builder(host), |builder, filter| {
            filter.load_with(
                builder,
                |builder, path| builder.through_file(path),
                ServiceBuilder::through,
            )
        })
}

/// Sets the entry point that was chosen, if one was.
///
/// # Errors
/// If the component does not have it.
pub fn entered(service: Service, entry_point: Option<EntryPoint>) -> Result<Service, Error> {
    match entry_point {
        Some(entry_point) => service.with_entry_point(entry_point),
        None => Ok(service),
    }
}

#[expect(
    unsafe_code,
    reason = "compiled code cannot be checked: the flag that allows it says so"
)]
fn load_precompiled(builder: ServiceBuilder, input: &Input) -> anyhow::Result<Service> {
    input.load_with(
        builder,
        // SAFETY: whoever gave --allow-precompiled vouches for the file, as its help says.
        |builder, path| unsafe { builder.load_precompiled_file(path) },
        // SAFETY: likewise for standard input.
        |builder, bytes| unsafe { builder.load_precompiled(bytes) },
    )
}
