//! The component that is served.

use crate::files::Input;
use evconn::{EntryPoint, Error, Host, Service, WasiVersion, guests};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;

/// The component that is served.
pub enum Component {
    /// One of the user's: a file, or `-`.
    Named {
        path: PathBuf,
        allow_precompiled: bool,
    },
    /// The echo service, which is built in.
    Echo,
}

/// The code of a component. It can be loaded several times.
#[derive(Clone)]
pub enum Code {
    Component(Input),
    /// Either a component or compiled code.
    Precompiled(Input),
    Echo,
}

impl Component {
    /// Waits for the end of standard input if the component comes from there.
    pub fn open(&self) -> anyhow::Result<Code> {
        self.open_with(Input::open)
    }

    /// Opens it in a loader. `bytes` are what was read for it, because it cannot.
    #[cfg(unix)]
    pub fn open_again(&self, bytes: Option<Arc<[u8]>>) -> anyhow::Result<Code> {
        self.open_with(|path| Ok(Input::given(path, bytes)))
    }

    fn open_with(&self, open: impl FnOnce(&Path) -> anyhow::Result<Input>) -> anyhow::Result<Code> {
        Ok(match self {
            Self::Echo => Code::Echo,
            Self::Named {
                path,
                allow_precompiled: false,
            } => Code::Component(open(path)?),
            Self::Named {
                path,
                allow_precompiled: true,
            } => Code::Precompiled(open(path)?),
        })
    }
}

impl Code {
    /// Reads and compiles the component. Blocks.
    pub fn load(&self, host: &Host) -> anyhow::Result<Service> {
        match self {
            Self::Component(input) => input.load(
                |path| Service::from_file(host, path),
                |bytes| Service::new(host, bytes),
            ),
            Self::Precompiled(input) => load_precompiled(host, input),
            Self::Echo => Ok(Service::new(host, guests::ECHO)?),
        }
    }

    /// Returns the version of WASI that it seems to be built for. What cannot be read is reported when it is loaded.
    pub fn wasi(&self) -> WasiVersion {
        self.input().map_or(WasiVersion::V0_2, Input::wasi)
    }

    /// Returns where it is read from, or `None` if it is built in.
    pub fn input(&self) -> Option<&Input> {
        match self {
            Self::Component(input) | Self::Precompiled(input) => Some(input),
            Self::Echo => None,
        }
    }

    /// Returns the inputs of the loader that loads it.
    #[cfg(unix)]
    pub fn inputs(&self) -> &[Input] {
        self.input().map_or(&[], std::slice::from_ref)
    }

    /// Whether the component can change: not if it is built in.
    ///
    /// # Errors
    /// If it came from standard input.
    pub fn can_load_again(&self) -> anyhow::Result<bool> {
        match self.input() {
            None => Ok(false),
            Some(Input::File(_) | Input::Read(..)) => Ok(true),
            Some(Input::Stdin(_)) => {
                anyhow::bail!("standard input can be read only once: serve a file to reload it")
            }
        }
    }
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
fn load_precompiled(host: &Host, input: &Input) -> anyhow::Result<Service> {
    input.load(
        // SAFETY: whoever gave --allow-precompiled vouches for the file, as its help says.
        |path| unsafe { Service::from_precompiled_file(host, path) },
        // SAFETY: likewise for standard input.
        |bytes| unsafe { Service::from_precompiled(host, bytes) },
    )
}
