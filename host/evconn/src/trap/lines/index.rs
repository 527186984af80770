//! The rows of line tables, in the order of their addresses.

use super::Place;
use super::tables::Module;
use gimli::{AttributeValue, DebugLine, DebugLineOffset, DebugLineStr, DebugStr, EndianSlice};
use gimli::{IncompleteLineProgram, LineProgramHeader, LineRow, LineRows, LittleEndian};
use std::collections::HashMap;
use std::ops::Range;

/// The most rows that are kept, of 20 bytes each: 4 MiB of line tables can have four times as many.
const MOST_ROWS: usize = 1 << 20;

/// The most bytes of all paths that are kept, and of each.
const PATHS: usize = 4 << 20;
const PATH: usize = 1 << 10;

/// How many rows are tried that begin before an address: those of functions that the linker has removed can overlap
/// others.
const OVERLAPS: usize = 64;

/// The size of an address, in bytes: WebAssembly has 32-bit addresses here.
const ADDRESS_SIZE: u8 = 4;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The rows of all modules of a component.
#[derive(Default)]
pub(super) struct Index {
    /// In the order of their starts.
    rows: Vec<Row>,
    files: Vec<Box<str>>,
}

/// What the instructions belong to from one offset in the component up to another.
struct Row {
    start: u32,
    end: u32,
    /// The index of its file.
    file: u32,
    line: u32,
    /// 0 if unknown.
    column: u32,
}

impl Index {
    pub fn of(modules: &[Module]) -> Self {
        let mut reader = Reader::default();
        for module in modules {
            // Errors are in the guest's tables: what was found before them is kept.
            let _ = reader.read(module);
        }
        let mut index = reader.index;
        index.rows.sort_by_key(|row| row.start);
        index
    }

    /// Returns the source position of the instruction at this offset in the component.
    pub fn place(&self, offset: usize) -> Option<Place> {
        let offset = u32::try_from(offset).ok()?;
        let begun = self.rows.partition_point(|row| row.start <= offset);
        let mut candidates = self.rows[..begun].iter().rev().take(OVERLAPS);
        let row = candidates.find(|row| offset < row.end)?;
        Some(Place {
            file: self.files.get(row.file as usize)?.to_string(),
            line: row.line.into(),
            column: row.column.into(),
        })
    }
}

/// The sections with strings.
#[derive(Clone, Copy)]
struct Strings<'a> {
    of_lines: DebugLineStr<Slice<'a>>,
    of_all: DebugStr<Slice<'a>>,
}

/// Reads line tables into an index.
#[derive(Default)]
struct Reader {
    index: Index,
    /// The indexes of the files.
    known: HashMap<Box<str>, u32>,
    /// The bytes of their paths.
    paths: usize,
}

/// The indexes of the files of a table, by their numbers there.
type Files = HashMap<u64, Option<u32>>;

impl Reader {
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
            self.read_table(program.rows(), strings, &module.code)?;
            offset += length.max(1);
        }
        Ok(())
    }

    fn read_table<'s>(
        &mut self,
        mut rows: LineRows<Slice<'s>, IncompleteLineProgram<Slice<'s>>>,
        strings: Strings<'s>,
        code: &Range<usize>,
    ) -> gimli::Result<()> {
        let mut files = Files::new();
        let mut last: Option<LineRow> = None;
        while let Some((header, row)) = rows.next_row()? {
            if let Some(last) = last
                && let Some(range) = within(code, last.address(), row.address())
            {
                self.record(&last, range, header, strings, &mut files);
            }
            last = (!row.end_sequence()).then_some(*row);
        }
        Ok(())
    }

    /// Records a row, unless it belongs to no line.
    fn record<'s>(
        &mut self,
        row: &LineRow,
        range: Range<u32>,
        header: &LineProgramHeader<Slice<'s>>,
        strings: Strings<'s>,
        files: &mut Files,
    ) {
        let number = row.file_index();
        let file = files
            .entry(number)
            .or_insert_with(|| self.file(&path(number, header, strings)?));
        if let (Some(file), Some(line)) = (*file, row.line())
            && self.index.rows.len() < MOST_ROWS
        {
            self.index.rows.push(Row {
                start: range.start,
                end: range.end,
                file,
                line: small(line.get()),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => small(column.get()),
                },
            });
        }
    }

    /// Returns the index of a file, unless the paths are too long to be kept.
    fn file(&mut self, path: &str) -> Option<u32> {
        if let Some(file) = self.known.get(path) {
            return Some(*file);
        }
        let paths = self.paths + path.len();
        if paths > PATHS {
            return None;
        }
        self.paths = paths;
        let file = small(self.index.files.len() as u64);
        self.index.files.push(path.into());
        self.known.insert(path.into(), file);
        Some(file)
    }
}

/// Returns the offsets in the component of a range of addresses, unless it is empty or not in the code.
fn within(code: &Range<usize>, start: u64, end: u64) -> Option<Range<u32>> {
    let most = code.end.saturating_sub(code.start) as u64;
    let offset = |address: u64| u32::try_from(code.start as u64 + address.min(most)).ok();
    let range = offset(start)?..offset(end)?;
    (!range.is_empty()).then_some(range)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns the path of a file.
fn path<'s>(
    number: u64,
    header: &LineProgramHeader<Slice<'s>>,
    strings: Strings<'s>,
) -> Option<String> {
    let file = header.file(number)?;
    let name = text(file.path_name(), strings)?;
    let directory = file.directory(header).and_then(|it| text(it, strings));
    Some(match directory {
        Some(directory) if !directory.is_empty() && !name.starts_with('/') => {
            format!("{directory}/{name}")
        }
        _ => name,
    })
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
