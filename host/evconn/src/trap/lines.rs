//! Finds the source line of an instruction in DWARF's line tables, for all modules of a component.
//!
//! The guest's tables are not trusted. So they are read as a stream, without recursion, and what is kept of them is
//! bounded. They are read once, when the first trap needs them: into an [`Index`], in which each trap is looked up.

mod index;
mod tables;

use crate::open_file;
use index::Index;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tables::{Module, with_tables};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// The largest component that is read for its line tables, in bytes.
const LARGEST_COMPONENT: u64 = 32 << 20;

/// The line tables of a component. Cloning is cheap. By default, and for a component without debug
/// information, there are none.
#[derive(Clone, Default)]
pub(crate) struct SourceLines(Option<Arc<Source>>);

struct Source {
    tables: Tables,
    index: OnceCell<Index>,
}

/// Where the line tables come from.
enum Tables {
    Modules(Box<[Module]>),
    /// A component.
    File(File),
}

/// A position in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: String,
    pub line: u64,
    /// 0 if unknown.
    pub column: u64,
}

impl SourceLines {
    /// Takes the line tables of a component's binary. If it is invalid there are none: compiling it
    /// reports the error.
    pub fn of(component: &[u8]) -> Self {
        let modules = with_tables(component);
        match modules.is_empty() {
            true => Self::default(),
            false => Self::new(Tables::Modules(modules)),
        }
    }

    /// Returns the line tables of a component's binary, which is read when the first trap needs them.
    pub fn of_file(component: File) -> Self {
        Self::new(Tables::File(component))
    }

    fn new(tables: Tables) -> Self {
        Self(Some(Arc::new(Source {
            tables,
            index: OnceCell::new(),
        })))
    }

    /// Reads the line tables on a thread for blocking calls, unless they have been read: it takes up to some 100 ms.
    pub async fn prepare(&self) {
        let Some(source) = &self.0 else {
            return;
        };
        let read = || {
            let source = Arc::clone(source);
            let read = spawn_blocking(move || source.tables.read());
            async {
                read.await.unwrap_or_else(|error| {
                    tracing::warn!("traps are logged without source lines: {error}");
                    Index::default()
                })
            }
        };
        source.index.get_or_init(read).await;
    }

    /// Returns the source positions of the instructions at these offsets in the component. Reads the line tables,
    /// unless they have been read.
    pub(super) fn places(&self, offsets: &[Option<usize>]) -> Vec<Option<Place>> {
        let index = self.0.as_ref().and_then(|source| source.index());
        let place = |offset: &Option<usize>| index?.place((*offset)?);
        offsets.iter().map(place).collect()
    }

    #[cfg(test)]
    fn are_read(&self) -> bool {
        let source = self.0.as_ref();
        source.is_some_and(|source| source.index.initialized())
    }
}

impl fmt::Debug for SourceLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref().map(|source| &source.tables) {
            None => f.write_str("SourceLines(none)"),
            Some(Tables::Modules(modules)) => {
                write!(f, "SourceLines(of {} modules)", modules.len())
            }
            Some(Tables::File(_)) => f.write_str("SourceLines(of a file)"),
        }
    }
}

impl Source {
    /// Returns the index, or None while another thread makes it.
    fn index(&self) -> Option<&Index> {
        if !self.index.initialized() {
            // Another thread may have been faster.
            let _ = self.index.set(self.tables.read());
        }
        self.index.get()
    }
}

impl Tables {
    fn read(&self) -> Index {
        match self {
            Self::Modules(modules) => Index::of(modules),
            Self::File(file) => match read(file) {
                Ok(component) => Index::of(&with_tables(&component)),
                Err(error) => {
                    tracing::warn!(
                        "traps are logged without source lines: cannot read the component: {error}"
                    );
                    Index::default()
                }
            },
        }
    }
}

/// Reads a component, unless it is too large.
fn read(file: &File) -> io::Result<Vec<u8>> {
    match file.metadata()?.len() {
        ..=LARGEST_COMPONENT => open_file::read(file),
        size => Err(io::Error::other(format!(
            "it has {size} bytes, more than {LARGEST_COMPONENT}"
        ))),
    }
}

#[cfg(test)]
mod tests;
