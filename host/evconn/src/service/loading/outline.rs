//! The names that a component imports and exports, read from its binary without compiling it, or from
//! compiled code.
//!
//! The [`contract`](super::contract) decides which names are right.

use crate::WasiVersion;
use crate::interfaces::wasi_version;
use std::collections::HashSet;
use wasmparser::component_types::{ComponentEntityType, ComponentInstanceTypeId};
use wasmparser::types::Types;
use wasmparser::{Parser, Payload, ValidPayload, Validator, WasmFeatures};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// The imports and exports of a component.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub imports: Vec<Import>,
    pub exports: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Import {
    pub name: String,
    /// Whether the host has to provide something: an import of types alone, such as
    /// `evconn:tcp/connection`, only names them.
    pub has_functions: bool,
}

impl Outline {
    /// Returns the outline, or None if the component is invalid even with all features, in which case the
    /// compiler reports where.
    ///
    /// Function bodies are not validated.
    pub fn of_binary(binary: &[u8]) -> Option<Self> {
        let types = types(binary, WasmFeatures::all())?;
        let mut outline = Self::default();
        let mut functions = Functions::new(&types);
        for payload in top_level(binary) {
            match payload {
                Payload::ComponentImportSection(imports) => {
                    for import in imports.into_iter().flatten() {
                        outline.imports.push(functions.import(import.name.name));
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    let names = exports.into_iter().flatten().map(|export| export.name.name);
                    outline.exports.extend(names.map(str::to_owned));
                }
                _ => {}
            }
        }
        Some(outline)
    }

    /// Returns the version of WASI that the component was built for.
    pub fn wasi(&self) -> WasiVersion {
        wasi_version(self.exports.iter().map(String::as_str))
    }

    pub fn of_compiled(component: &Component) -> Self {
        let engine = component.engine();
        let of_component = component.component_type();
        let imports = of_component.imports(engine).map(|(name, import)| Import {
            name: name.to_owned(),
            has_functions: has_functions(engine, &import.ty),
        });
        let exports = of_component.exports(engine);
        Self {
            imports: imports.collect(),
            exports: exports.map(|(name, _)| name.to_owned()).collect(),
        }
    }
}

/// Returns the names of what a component exports, without validating it.
pub(super) fn exports(binary: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in top_level(binary) {
        if let Payload::ComponentExportSection(exports) = payload {
            let of_section = exports.into_iter().flatten();
            names.extend(of_section.map(|export| export.name.name.to_owned()));
        }
    }
    names
}

/// Returns the types of a component, if it is valid with these features. Function bodies are not
/// validated.
pub(super) fn types(binary: &[u8], features: WasmFeatures) -> Option<Types> {
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut types = None;
    for payload in parser.parse_all(binary) {
        // The types of the component itself come last.
        if let ValidPayload::End(of_component) = validator.payload(&payload.ok()?).ok()? {
            types = Some(of_component);
        }
    }
    types
}

/// Returns the component's own sections, without those of nested components.
fn top_level(binary: &[u8]) -> impl Iterator<Item = Payload<'_>> {
    let mut depth = 0_usize;
    let payloads = Parser::new(0).parse_all(binary).map_while(Result::ok);
    payloads.filter(move |payload| {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 1
    })
}

/// Finds out which imports contain functions.
struct Functions<'a> {
    types: &'a Types,
    /// Instances that contain none, or whose exports are being visited: types are shared, and a small
    /// file can refer to the same one millions of times.
    without: HashSet<ComponentInstanceTypeId>,
}

impl<'a> Functions<'a> {
    fn new(types: &'a Types) -> Self {
        Self {
            types,
            without: HashSet::new(),
        }
    }

    fn import(&mut self, name: &str) -> Import {
        let item = self.types.as_ref().component_item_for_import(name);
        Import {
            name: name.to_owned(),
            has_functions: item.is_some_and(|item| self.are_in(&item.ty)),
        }
    }

    /// Returns whether an item contains functions. Validation limits the nesting of types to 100 levels.
    fn are_in(&mut self, item: &ComponentEntityType) -> bool {
        match item {
            ComponentEntityType::Instance(id) => {
                let is_new = self.without.insert(*id);
                let exports = &self.types[*id].exports;
                let found = is_new && exports.values().any(|export| self.are_in(&export.ty));
                if found {
                    self.without.remove(id);
                }
                found
            }
            ComponentEntityType::Func(_)
            | ComponentEntityType::Module(_)
            | ComponentEntityType::Component(_)
            | ComponentEntityType::Value(_) => true,
            ComponentEntityType::Type { .. } => false,
        }
    }
}

/// Returns whether an item of compiled code contains functions.
fn has_functions(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .any(|(_, export)| has_functions(engine, &export.ty)),
        ComponentItem::ComponentFunc(_)
        | ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_) => true,
        ComponentItem::Type(_) | ComponentItem::Resource(_) => false,
    }
}
