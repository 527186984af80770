//! The sections of a component that have its line tables.

use std::ops::Range;
use wasmparser::{Encoding, Parser, Payload};

/// The most bytes of line tables that are kept: reading as many takes some 20 ms.
const LARGEST: usize = 4 << 20;

/// The line tables of a module.
#[derive(Default)]
pub(super) struct Module {
    /// The range of its code section in the component.
    pub code: Range<usize>,
    /// The section `.debug_line`.
    pub tables: Box<[u8]>,
    /// `.debug_line_str` and `.debug_str`, with the paths of DWARF 5.
    pub line_strings: Box<[u8]>,
    pub strings: Box<[u8]>,
}

/// Returns the modules that have line tables, unless these are too large to be kept.
pub(super) fn with_tables(component: &[u8]) -> Box<[Module]> {
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
