//! Finds the source line of an instruction in DWARF's line tables, for all modules of a component.
//!
//! The guest's tables are not trusted. So they are read as a stream when a trap needs them, without
//! recursion, and only what was requested is kept.

use crate::open_file;
use gimli::{AttributeValue, DebugLine, DebugLineOffset, DebugLineStr, DebugStr, EndianSlice};
use gimli::{IncompleteLineProgram, LineProgramHeader, LineRow, LineRows, LittleEndian};
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use wasmparser::{Encoding, Parser, Payload};

/// The most bytes of line tables that are kept: reading as many takes some 20 ms.
const LARGEST: usize = 4 << 20;

/// The largest component that is read for its line tables, in bytes, when a trap needs them: the connections of the same
/// thread wait meanwhile, some 10 ms.
const LARGEST_COMPONENT: u64 = 32 << 20;

/// The most bytes of a path that are kept.
const PATH: usize = 1 << 10;

/// The size of an address, in bytes: WebAssembly has 32-bit addresses here.
const ADDRESS_SIZE: u8 = 4;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The line tables of a component. Cloning is cheap. By default, and for a component without debug
/// information, there are none.
#[derive(Clone, Default)]
pub(crate) struct SourceLines(Option<Arc<Source>>);

/// Where the line tables come from.
enum Source {
    Modules(Box<[Module]>),
    /// A component, which is read when the first trap needs it.
    File {
        file: File,
        modules: OnceLock<Box<[Module]>>,
    },
}

/// The line tables of a module.
#[derive(Default)]
struct Module {
    /// The range of its code section in the component.
    code: Range<usize>,
    /// The section `.debug_line`.
    tables: Box<[u8]>,
    /// `.debug_line_str` and `.debug_str`, with the paths of DWARF 5.
    line_strings: Box<[u8]>,
    strings: Box<[u8]>,
}

/// The sections with strings.
#[derive(Clone, Copy)]
struct Strings<'a> {
    of_lines: DebugLineStr<Slice<'a>>,
    of_all: DebugStr<Slice<'a>>,
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
    /// Reads the line tables of a component's binary. If it is invalid there are none: compiling it
    /// reports the error.
    pub fn of(component: &[u8]) -> Self {
        let modules = with_tables(component);
        match modules.is_empty() {
            true => Self::default(),
            false => Self(Some(Arc::new(Source::Modules(modules)))),
        }
    }

    /// Returns the line tables of a component's binary, which is read when the first trap needs them.
    pub fn of_file(component: File) -> Self {
        Self(Some(Arc::new(Source::File {
            file: component,
            modules: OnceLock::new(),
        })))
    }

    /// Returns the source positions of the instructions at these offsets in the component.
    pub(super) fn places(&self, offsets: &[Option<usize>]) -> Vec<Option<Place>> {
        let mut places = vec![None; offsets.len()];
        for module in self.0.iter().flat_map(|source| source.modules()) {
            let address = |offset: &Option<usize>| {
                let offset = offset.filter(|offset| module.code.contains(offset))?;
                Some((offset - module.code.start) as u64)
            };
            let mut search = Search::new(offsets.iter().map(address).collect(), &mut places);
            if search.is_unfinished() {
                // Errors are in the guest's tables: what was found before them is kept.
                let _ = search.read(module);
            }
        }
        places
    }
}

impl fmt::Debug for SourceLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            None => f.write_str("SourceLines(none)"),
            Some(Source::Modules(modules)) => {
                write!(f, "SourceLines(of {} modules)", modules.len())
            }
            Some(Source::File { .. }) => f.write_str("SourceLines(of a file)"),
        }
    }
}

impl Source {
    fn modules(&self) -> &[Module] {
        match self {
            Self::Modules(modules) => modules,
            Self::File { file, modules } => modules.get_or_init(|| {
                read(file).map_or_else(
                    |error| {
                        tracing::warn!(
                            "traps are logged without source lines: cannot read the component: {error}"
                        );
                        Box::default()
                    },
                    |component| with_tables(&component),
                )
            }),
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

/// Returns the modules that have line tables, unless these are too large to be kept.
fn with_tables(component: &[u8]) -> Box<[Module]> {
    let mut modules = modules(component);
    modules.retain(|module| !module.tables.is_empty());
    let size: usize = modules.iter().map(|module| module.tables.len()).sum();
    if size > LARGEST {
        tracing::debug!(
            "traps are logged without source lines: {size} bytes of line tables are too many"
        );
        return Box::default();
    }
    modules.into()
}

fn modules(component: &[u8]) -> Vec<Module> {
    let mut modules = Vec::new();
    let payloads = Parser::new(0).parse_all(component);
    for payload in payloads.map_while(Result::ok) {
        match (payload, modules.last_mut()) {
            (
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                },
                _,
            ) => {
                modules.push(Module::default());
            }
            (Payload::CodeSectionStart { range, .. }, Some(module)) => module.code = range,
            (Payload::CustomSection(section), Some(module)) => match section.name() {
                ".debug_line" => module.tables = section.data().into(),
                ".debug_line_str" => module.line_strings = limited(section.data()),
                ".debug_str" => module.strings = limited(section.data()),
                _ => {}
            },
            _ => {}
        }
    }
    modules
}

/// Returns a copy of a section, unless it is too large to be kept.
fn limited(section: &[u8]) -> Box<[u8]> {
    match section.len() {
        0..=LARGEST => section.into(),
        _ => Box::default(),
    }
}

/// A search for the rows of some addresses.
struct Search<'a> {
    addresses: Vec<Option<u64>>,
    /// The lowest and the highest of them.
    bounds: Option<(u64, u64)>,
    places: &'a mut [Option<Place>],
}

/// A row applies to the addresses from its own up to the next row's.
struct Row {
    address: u64,
    file: u64,
    line: u64,
    column: u64,
}

impl<'a> Search<'a> {
    fn new(addresses: Vec<Option<u64>>, places: &'a mut [Option<Place>]) -> Self {
        let known = || addresses.iter().flatten().copied();
        Self {
            bounds: known().min().zip(known().max()),
            addresses,
            places,
        }
    }

    fn is_unfinished(&self) -> bool {
        self.bounds.is_some()
    }

    /// Reads the line tables of a module, one after the other.
    fn read(&mut self, module: &Module) -> gimli::Result<()> {
        let tables = DebugLine::new(&module.tables, LittleEndian);
        let strings = Strings {
            of_lines: DebugLineStr::new(&module.line_strings, LittleEndian),
            of_all: DebugStr::new(&module.strings, LittleEndian),
        };
        let mut offset = 0;
        while offset < module.tables.len() {
            let program = tables.program(DebugLineOffset(offset), ADDRESS_SIZE, None, None)?;
            let header = program.header();
            let length = header.unit_length() + usize::from(header.format().initial_length_size());
            self.read_table(program.rows(), strings)?;
            offset += length.max(1);
        }
        Ok(())
    }

    fn read_table<'s>(
        &mut self,
        mut rows: LineRows<Slice<'s>, IncompleteLineProgram<Slice<'s>>>,
        strings: Strings<'s>,
    ) -> gimli::Result<()> {
        let mut last: Option<Row> = None;
        while let Some((header, row)) = rows.next_row()? {
            if let Some(last) = last {
                self.record(&last, row.address(), header, strings);
            }
            last = (!row.end_sequence()).then(|| Row::of(row));
        }
        Ok(())
    }

    /// Records the position of each address within this row.
    fn record<'s>(
        &mut self,
        row: &Row,
        end: u64,
        header: &LineProgramHeader<Slice<'s>>,
        strings: Strings<'s>,
    ) {
        let Some((first, last)) = self.bounds else {
            return;
        };
        if end <= first || last < row.address {
            return;
        }
        for (address, place) in self.addresses.iter().zip(self.places.iter_mut()) {
            if address.is_some_and(|address| (row.address..end).contains(&address))
                && place.is_none()
            {
                *place = row.place(header, strings);
            }
        }
    }
}

impl Row {
    fn of(row: &LineRow) -> Self {
        Self {
            address: row.address(),
            file: row.file_index(),
            line: row.line().map_or(0, Into::into),
            column: match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.into(),
            },
        }
    }

    /// Returns the position, or None if the row belongs to no line.
    fn place<'s>(
        &self,
        header: &LineProgramHeader<Slice<'s>>,
        strings: Strings<'s>,
    ) -> Option<Place> {
        let file = header.file(self.file).filter(|_| self.line > 0)?;
        let mut path = String::new();
        let directory = file.directory(header).and_then(|it| text(it, strings));
        let name = text(file.path_name(), strings)?;
        if let Some(directory) = directory.filter(|it| !it.is_empty() && !name.starts_with('/')) {
            path = directory + "/";
        }
        Some(Place {
            file: path + &name,
            line: self.line,
            column: self.column,
        })
    }
}

fn text<'s>(value: AttributeValue<Slice<'s>>, strings: Strings<'s>) -> Option<String> {
    let text = match value {
        AttributeValue::String(text) => text,
        AttributeValue::DebugLineStrRef(offset) => strings.of_lines.get_str(offset).ok()?,
        AttributeValue::DebugStrRef(offset) => strings.of_all.get_str(offset).ok()?,
        _ => return None,
    };
    let start = text.slice().get(..PATH).unwrap_or(text.slice());
    Some(String::from_utf8_lossy(start).into_owned())
}
