//! The pass over the sections of a component and of its nested components.

use super::Size;
use wasmparser::{
    ComponentAlias, ComponentAliasSectionReader, ComponentExportSectionReader,
    ComponentExternalKind, ComponentImportSectionReader, ComponentInstance,
    ComponentInstanceSectionReader, ComponentOuterAliasKind, ComponentTypeRef, Encoding, Instance,
    InstanceSectionReader, MemorySectionReader, Payload, TableSectionReader,
};

/// Maximum depth of nested components. Each composed component adds one or two levels.
pub(super) const MAX_DEPTH: usize = 100;

/// Maximum number of components and core modules in a file. A component in Rust has about ten. Compiling
/// takes about 100 KiB for each, even for an empty one.
const MAX_PARTS: u64 = 1_000;

/// Maximum number of definitions, each counted as often as it is instantiated. A component in Rust has
/// some hundreds. Functions that other components call cost the most, since an adapter is compiled for
/// each.
const MAX_DEFINITIONS: u64 = 100_000;

/// The default page size of a memory, as a power of two.
const PAGE_BITS: u32 = 16;

/// Why the pass stops.
pub(super) enum Stop {
    /// A section is invalid.
    Unreadable,
    /// A limit is exceeded.
    TooComplex(String),
}

impl From<wasmparser::Error> for Stop {
    fn from(_: wasmparser::Error) -> Self {
        Self::Unreadable
    }
}

/// The component that is being read and those around it, the outermost first.
#[derive(Default)]
pub(super) struct Walk {
    open: Vec<Level>,
    parts: u64,
    size: Size,
}

/// A component or a core module, as far as it has been read.
struct Level {
    encoding: Encoding,
    size: Size,
    /// The components that it can refer to by index. None: known only at instantiation.
    components: Vec<Option<Size>>,
    modules: Vec<Option<Size>>,
}

impl Walk {
    /// Returns the size of the component, as far as it has been read.
    pub fn size(&self) -> Size {
        self.open.first().map_or(self.size, |level| level.size)
    }

    pub fn step(&mut self, payload: &Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(*encoding),
            Payload::End(_) => {
                self.end();
                Ok(())
            }
            Payload::ComponentAliasSection(aliases) => self.alias(aliases),
            _ => match self.open.last_mut() {
                Some(level) => level.section(payload),
                None => Err(Stop::Unreadable),
            },
        }
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), Stop> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Stop::TooComplex(format!(
                "it has more than {MAX_PARTS} components and core modules in it"
            )));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(Stop::TooComplex(format!(
                "its components are nested more than {MAX_DEPTH} levels deep"
            )));
        }
        self.open.push(Level {
            encoding,
            size: Size::default(),
            components: Vec::new(),
            modules: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) {
        let Some(ended) = self.open.pop() else { return };
        match (self.open.last_mut(), ended.encoding) {
            (None, _) => self.size = ended.size,
            (Some(around), Encoding::Component) => around.components.push(Some(ended.size)),
            (Some(around), Encoding::Module) => around.modules.push(Some(ended.size)),
        }
    }

    fn alias(&mut self, aliases: &ComponentAliasSectionReader<'_>) -> Result<(), Stop> {
        for alias in aliases.clone() {
            let alias = self.resolve(&alias?)?;
            let level = self.open.last_mut().ok_or(Stop::Unreadable)?;
            level.add(Size::definitions(1))?;
            match alias {
                Alias::Component(size) => level.components.push(size),
                Alias::Module(size) => level.modules.push(size),
                Alias::Other => {}
            }
        }
        Ok(())
    }

    fn resolve(&self, alias: &ComponentAlias<'_>) -> Result<Alias, Stop> {
        Ok(match *alias {
            ComponentAlias::Outer { kind, count, index } => {
                let level = self.open.iter().nth_back(count as usize);
                let level = level.ok_or(Stop::Unreadable)?;
                match kind {
                    ComponentOuterAliasKind::Component => {
                        Alias::Component(of(&level.components, index)?)
                    }
                    ComponentOuterAliasKind::CoreModule => {
                        Alias::Module(of(&level.modules, index)?)
                    }
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => {
                        Alias::Other
                    }
                }
            }
            ComponentAlias::InstanceExport { kind, .. } => match kind {
                ComponentExternalKind::Component => Alias::Component(None),
                ComponentExternalKind::Module => Alias::Module(None),
                _ => Alias::Other,
            },
            ComponentAlias::CoreInstanceExport { .. } => Alias::Other,
        })
    }
}

/// What an alias adds to the index spaces.
enum Alias {
    Component(Option<Size>),
    Module(Option<Size>),
    Other,
}

fn of(sizes: &[Option<Size>], index: u32) -> Result<Option<Size>, Stop> {
    sizes.get(index as usize).copied().ok_or(Stop::Unreadable)
}

impl Level {
    fn section(&mut self, payload: &Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::ComponentImportSection(imports) => self.import(imports),
            Payload::ComponentExportSection(exports) => self.export(exports),
            Payload::ComponentInstanceSection(instances) => self.instantiate(instances),
            Payload::InstanceSection(instances) => self.instantiate_core(instances),
            Payload::MemorySection(memories) => self.memories(memories),
            Payload::TableSection(tables) => self.tables(tables),
            Payload::ComponentTypeSection(types) => self.definitions(types.count()),
            Payload::CoreTypeSection(types) => self.definitions(types.count()),
            Payload::ComponentCanonicalSection(functions) => self.definitions(functions.count()),
            _ => Ok(()),
        }
    }

    fn add(&mut self, size: Size) -> Result<(), Stop> {
        self.size.add(size);
        match self.size.definitions > MAX_DEFINITIONS {
            true => Err(Stop::TooComplex(format!(
                "it instantiates its components so often that it has more than {MAX_DEFINITIONS} \
                 definitions"
            ))),
            false => Ok(()),
        }
    }

    fn definitions(&mut self, count: u32) -> Result<(), Stop> {
        self.add(Size::definitions(count.into()))
    }

    fn import(&mut self, imports: &ComponentImportSectionReader<'_>) -> Result<(), Stop> {
        for import in imports.clone() {
            match import?.ty {
                ComponentTypeRef::Component(_) => self.components.push(None),
                ComponentTypeRef::Module(_) => self.modules.push(None),
                _ => {}
            }
        }
        self.definitions(imports.count())
    }

    /// Adds an exported item, which gets an index of its own.
    fn export(&mut self, exports: &ComponentExportSectionReader<'_>) -> Result<(), Stop> {
        for export in exports.clone() {
            let export = export?;
            match export.kind {
                ComponentExternalKind::Component => {
                    self.components.push(of(&self.components, export.index)?);
                }
                ComponentExternalKind::Module => {
                    self.modules.push(of(&self.modules, export.index)?);
                }
                _ => {}
            }
        }
        self.definitions(exports.count())
    }

    fn instantiate(&mut self, instances: &ComponentInstanceSectionReader<'_>) -> Result<(), Stop> {
        for instance in instances.clone() {
            self.definitions(1)?;
            if let ComponentInstance::Instantiate {
                component_index, ..
            } = instance?
            {
                let size = of(&self.components, component_index)?;
                self.add(size.ok_or_else(unknown)?)?;
            }
        }
        Ok(())
    }

    /// Adds instances of core modules. The memories of a module that is known only at instantiation are
    /// counted when they are created.
    fn instantiate_core(&mut self, instances: &InstanceSectionReader<'_>) -> Result<(), Stop> {
        for instance in instances.clone() {
            self.definitions(1)?;
            if let Instance::Instantiate { module_index, .. } = instance? {
                self.add(of(&self.modules, module_index)?.unwrap_or_default())?;
                self.size.core_instances = self.size.core_instances.saturating_add(1);
            }
        }
        Ok(())
    }

    fn memories(&mut self, memories: &MemorySectionReader<'_>) -> Result<(), Stop> {
        for memory in memories.clone() {
            let memory = memory?;
            let page = 1_u64
                .checked_shl(memory.page_size_log2.unwrap_or(PAGE_BITS))
                .ok_or(Stop::Unreadable)?;
            self.size.add(Size {
                memories: 1,
                memory: memory.initial.saturating_mul(page),
                ..Size::default()
            });
        }
        Ok(())
    }

    fn tables(&mut self, tables: &TableSectionReader<'_>) -> Result<(), Stop> {
        for table in tables.clone() {
            self.size.add(Size {
                tables: 1,
                table_elements: table?.ty.initial,
                ..Size::default()
            });
        }
        Ok(())
    }
}

/// Returns the error for a component whose number of instances would be known only by instantiating it.
fn unknown() -> Stop {
    Stop::TooComplex(
        "it instantiates a component that it imports or gets from an instance; only those that are \
         defined in it are supported"
            .to_owned(),
    )
}
