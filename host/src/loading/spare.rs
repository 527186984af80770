//! Spare memory: a guest that allocates a little need not ask the kernel for it.
//!
//! A memory that grows is made accessible page by page, by mprotect(2), and what the last instance in
//! its place had of it is taken away again: each connection whose guest allocates pays for both, and all
//! threads wait meanwhile. So a module that grows its memory begins with more of it, which it does not
//! know of: `memory.size` is what it would be, and the first `memory.grow`s are answered out of the spare
//! part. That costs no memory before it is touched.
//!
//! Where it ends: what is not understood is left as it is.

use std::borrow::Cow;
use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, Component, ConstExpr, Function, FunctionSection, GlobalSection,
    GlobalType, Instruction, MemorySection, Module, RawSection, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, FunctionSectionReader, GlobalSectionReader, MemorySectionReader, MemoryType,
    Operator, Parser, Payload, TypeRef, TypeSectionReader,
};

/// How much more a memory begins with, in pages of 64 KiB: enough for a buffer of 64 KiB and more, and no
/// more than what is kept for the next instance.
const PAGES: u32 = 2;

/// The most pages that a memory can have, and the size of one.
const MOST_PAGES: u64 = 1 << 16;
const PAGE: u64 = 64 << 10;

/// Larger components take longer for other things than for growing their memory, which is by much.
const LARGEST: usize = 4 << 20;

/// How deep components may be in each other. Beyond that they are left as they are: each level is read
/// once more, and takes its part of the stack.
const DEEPEST: u32 = 8;

type Error = reencode::Error<CutOff>;

/// A section goes on beyond the end.
#[derive(Debug, thiserror::Error)]
#[error("it is cut off")]
struct CutOff;

/// The component, with spare memory where that helps. None of its memories begins with more than
/// `max_memory` bytes for that.
pub(super) fn with_spare_memory(component: &[u8], max_memory: usize) -> Cow<'_, [u8]> {
    if component.len() > LARGEST {
        return Cow::Borrowed(component);
    }
    let most_pages = MOST_PAGES.min(max_memory as u64 / PAGE);
    match rewrite(component, most_pages, DEEPEST) {
        Ok(rewritten) => Cow::Owned(rewritten),
        // What is wrong with it is said by who compiles it.
        Err(error) => {
            tracing::debug!("left without spare memory: {error}");
            Cow::Borrowed(component)
        }
    }
}

/// Copy a component section by section, with other modules.
fn rewrite(component: &[u8], most_pages: u64, deepest: u32) -> Result<Vec<u8>, Error> {
    let mut rewritten = Component::new();
    // Of what is inside of modules and components, their own turn takes care.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        if depth == 0
            && let Some((id, range)) = payload.as_section()
        {
            let data = component.get(range).ok_or(Error::UserError(CutOff))?;
            let data = section(&payload, data, most_pages, deepest)?;
            rewritten.section(&RawSection { id, data: &data });
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    Ok(rewritten.finish())
}

/// What is to be in a section.
fn section<'a>(
    payload: &Payload<'_>,
    data: &'a [u8],
    most_pages: u64,
    deepest: u32,
) -> Result<Cow<'a, [u8]>, Error> {
    match payload {
        Payload::ModuleSection { .. } => match Plan::of(data, most_pages)? {
            Some(mut plan) => plan.apply(data).map(Cow::Owned),
            None => Ok(Cow::Borrowed(data)),
        },
        Payload::ComponentSection { .. } if deepest > 0 => {
            rewrite(data, most_pages, deepest - 1).map(Cow::Owned)
        }
        _ => Ok(Cow::Borrowed(data)),
    }
}

/// What a module is to be given. The indices are those of what is added.
struct Plan {
    /// The first of two types.
    types: u32,
    /// The first of two functions.
    functions: u32,
    /// How many pages are left of the spare ones.
    left: u32,
}

impl Plan {
    /// Nothing, if it does not grow its memory, or is not as simple as most are.
    fn of(module: &[u8], most_pages: u64) -> Result<Option<Self>, Error> {
        let mut plan = Self {
            types: 0,
            functions: 0,
            left: 0,
        };
        let mut found = Found::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    found.sections += 1;
                    for group in section {
                        plan.types += count(group?.types().len());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => plan.functions += 1,
                            TypeRef::Global(_) => plan.left += 1,
                            TypeRef::Memory(_) => found.is_uncommon = true,
                            TypeRef::Table(_) | TypeRef::Tag(_) => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    found.sections += 1;
                    // What it says, which need not be so.
                    plan.functions = plan.functions.saturating_add(section.count());
                }
                Payload::GlobalSection(section) => {
                    found.sections += 1;
                    plan.left = plan.left.saturating_add(section.count());
                }
                other => found.look_at(&other, most_pages)?,
            }
        }
        Ok(found.is_fit().then_some(plan))
    }

    fn apply(&mut self, module: &[u8]) -> Result<Vec<u8>, Error> {
        let mut rewritten = Module::new();
        self.parse_core_module(&mut rewritten, Parser::new(0), module)?;
        Ok(rewritten.finish())
    }

    fn size(&self) -> Instruction<'static> {
        Instruction::Call(self.functions)
    }

    fn grow(&self) -> Instruction<'static> {
        Instruction::Call(self.functions + 1)
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What decides whether a module can be given anything.
#[derive(Default)]
struct Found {
    grows: bool,
    has_memory: bool,
    /// It is better left alone.
    is_uncommon: bool,
    /// How many it has of those that are added to.
    sections: u32,
}

impl Found {
    fn look_at(&mut self, payload: &Payload<'_>, most_pages: u64) -> Result<(), Error> {
        match payload {
            Payload::MemorySection(section) => {
                self.has_memory = section.count() == 1;
                for memory in section.clone() {
                    self.is_uncommon |= !has_room(memory?, most_pages);
                }
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader()? {
                    self.grows |= matches!(operator?, Operator::MemoryGrow { .. });
                }
            }
            // It names places in the code, which are going to be others.
            Payload::CustomSection(section) => {
                self.is_uncommon |= section.name().starts_with("metadata.code");
            }
            _ => {}
        }
        Ok(())
    }

    fn is_fit(&self) -> bool {
        self.grows && self.has_memory && !self.is_uncommon && self.sections == 3
    }
}

/// Whether a memory is of the common kind, and can begin with more.
fn has_room(memory: MemoryType, most_pages: u64) -> bool {
    let begins_with = memory.initial.saturating_add(u64::from(PAGES));
    !memory.memory64
        && !memory.shared
        && memory.page_size_log2.is_none()
        && begins_with <= most_pages.min(memory.maximum.unwrap_or(MOST_PAGES))
}

impl Reencode for Plan {
    type Error = CutOff;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], [ValType::I32]);
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.types).function(self.types + 1);
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        for memory in section {
            let mut memory = self.memory_type(memory?)?;
            memory.minimum += u64::from(PAGES);
            memories.memory(memory);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_global_section(self, globals, section)?;
        let left = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(left, &ConstExpr::i32_const(PAGES.cast_signed()));
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        code.function(&size(self.left));
        code.function(&grow(self.left));
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        match operator {
            Operator::MemorySize { .. } => Ok(self.size()),
            Operator::MemoryGrow { .. } => Ok(self.grow()),
            other => utils::instruction(self, other),
        }
    }
}

/// `memory.size`, as the module knows it.
fn size(left: u32) -> Function {
    let mut function = Function::new([]);
    function
        .instructions()
        .memory_size(0)
        .global_get(left)
        .i32_sub()
        .end();
    function
}

/// `memory.grow`, as the module knows it.
fn grow(left: u32) -> Function {
    const BY: u32 = 0;
    let mut function = Function::new([]);
    function
        .instructions()
        .local_get(BY)
        .global_get(left)
        .i32_le_u()
        .if_(BlockType::Result(ValType::I32))
        // There is as much left. What it was before is the answer.
        .memory_size(0)
        .global_get(left)
        .i32_sub()
        .global_get(left)
        .local_get(BY)
        .i32_sub()
        .global_set(left)
        .else_()
        .local_get(BY)
        .global_get(left)
        .i32_sub()
        .memory_grow(0)
        .local_tee(BY)
        .i32_const(-1)
        .i32_eq()
        .if_(BlockType::Result(ValType::I32))
        .i32_const(-1)
        .else_()
        .local_get(BY)
        .global_get(left)
        .i32_sub()
        .i32_const(0)
        .global_set(left)
        .end()
        .end()
        .end();
    function
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wasmtime::{Engine, Instance, Store};

    /// A memory as it is in its own module.
    struct Guest {
        store: Store<()>,
        instance: Instance,
    }

    impl Guest {
        fn new(module: &[u8]) -> Self {
            let engine = Engine::default();
            let module = wasmtime::Module::from_binary(&engine, module).expect("a valid module");
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
            Self { store, instance }
        }

        fn call(&mut self, name: &str, argument: i32) -> Option<i32> {
            let function = self
                .instance
                .get_typed_func::<i32, i32>(&mut self.store, name);
            let function = function.expect("it exports it");
            function.call(&mut self.store, argument).ok()
        }

        fn pages(&mut self) -> u64 {
            let memory = self.instance.get_memory(&mut self.store, "memory");
            memory.expect("it exports it").size(&self.store)
        }
    }

    fn module(memory: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
                (type (func (param i32) (result i32)))
                (global (mut i32) (i32.const 7))
                {memory}
                (func (export "grow") (type 0) (memory.grow (local.get 0)))
                (func (export "size") (type 0) (i32.add (memory.size) (local.get 0)))
                (func (export "last") (type 0)
                    (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))
                        (local.get 0))
                    (i32.load8_u (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))))
                (data (i32.const 8) "some"))"#
        );
        wat::parse_str(text).expect("a module")
    }

    fn with_spare(module: &[u8]) -> Option<Vec<u8>> {
        let plan = Plan::of(module, MOST_PAGES).expect("it is understood");
        plan.map(|mut plan| plan.apply(module).expect("it is rewritten"))
    }

    proptest! {
        #[test]
        fn a_module_notices_nothing(
            maximum in prop::option::of(3_u32..12),
            steps in prop::collection::vec((-1_i32..6, 0_i32..256), 0..12),
        ) {
            let maximum = maximum.map_or_else(String::new, |maximum| maximum.to_string());
            let original = module(&format!(r#"(memory (export "memory") 1 {maximum})"#));
            let mut other = Guest::new(&with_spare(&original).expect("it can have it"));
            let mut original = Guest::new(&original);
            prop_assert_eq!(other.pages(), 1 + u64::from(PAGES));
            for (pages, byte) in steps {
                for (name, argument) in [("grow", pages), ("size", pages), ("last", byte)] {
                    prop_assert_eq!(other.call(name, argument), original.call(name, argument));
                }
                prop_assert!(other.pages() <= original.pages().max(1 + u64::from(PAGES)));
            }
        }
    }

    #[test]
    fn what_is_not_common_is_left_as_it_is() {
        for memory in [
            r#"(import "m" "m" (memory 1))"#,
            "(memory i64 1) (func (drop (memory.grow (i64.const 0))))",
            "(memory 1 2)",
            "(memory 65535)",
            "(memory 1) (memory 1)",
        ] {
            let text = match memory.contains("i64") {
                true => format!("(module (global i32 (i32.const 0)) {memory})"),
                false => format!(
                    "(module {memory} (global i32 (i32.const 0))
                        (func (drop (memory.grow (i32.const 1)))))"
                ),
            };
            let module = wat::parse_str(text).expect("a module");
            assert_eq!(with_spare(&module), None, "{memory}");
        }
        let never_grows = "(module (memory 1) (global i32 (i32.const 0)) (func))";
        let never_grows = wat::parse_str(never_grows).expect("a module");
        assert_eq!(with_spare(&never_grows), None);
    }

    #[test]
    fn modules_are_found_wherever_they_are() {
        let grows = "(core module $m (memory (export \"memory\") 1) (global i32 (i32.const 0))
            (func (export \"f\") (drop (memory.grow (i32.const 1)))))";
        let text = format!(
            "(component {grows} (component {grows} (core instance (instantiate $m)))
                (core instance $i (instantiate $m)) (func (export \"f\") (canon lift (core func $i \"f\"))))"
        );
        let original = wat::parse_str(text).expect("a component");
        let other = with_spare_memory(&original, 3 << 16);
        let printed = wasmprinter::print_bytes(&other).expect("it can be printed");
        assert_eq!(printed.matches("i32.const 2").count(), 2, "{printed}");
        assert_eq!(printed.matches("(memory (;0;) 3)").count(), 2, "{printed}");
        let engine = Engine::default();
        wasmtime::component::Component::from_binary(&engine, &other).expect("it is valid");

        let limited = with_spare_memory(&original, (3 << 16) - 1);
        assert_eq!(limited, original, "there is no room for it");
    }

    proptest! {
        #[test]
        fn nothing_that_it_is_given_is_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut component = crate::guests::ECHO.to_vec();
            for (place, byte) in changes {
                let place = place.index(component.len());
                component[place] = byte;
            }
            with_spare_memory(&component, usize::MAX);
        }
    }

    #[test]
    fn components_may_be_very_deep_in_each_other() {
        let header = *b"\0asm\x0d\0\x01\0";
        let mut component = header.to_vec();
        for _ in 0..5_000 {
            let mut outer = Component::new();
            let data = &component;
            outer.section(&RawSection { id: 4, data });
            component = outer.finish();
        }
        assert_eq!(with_spare_memory(&component, usize::MAX), component);
    }

    #[test]
    fn what_cannot_be_read_is_left_to_others() {
        let truncated = &b"\0asm\x0d\0\x01\0\x01\x20"[..];
        assert_eq!(with_spare_memory(truncated, usize::MAX), truncated);
    }
}
