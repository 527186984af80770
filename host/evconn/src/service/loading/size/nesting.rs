//! How deeply the types of a component are nested in each other.
//!
//! The parser reads a type that is declared within another one by recursion, before anything limits their depth: some
//! hundred KiB of nested types would overflow the stack, which ends the process. So they are counted here first,
//! without recursion.

use super::walk::MAX_DEPTH;
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternName, ComponentImport, ComponentType,
    ComponentTypeRef, CoreType, Result,
};

/// The first byte of the type of a component, and of an instance, which contain declarations.
const WITH_DECLARATIONS: [u8; 2] = [0x41, 0x42];

/// Returns whether the types of a section are nested more deeply than any component needs, as far as they can be
/// read. The parser reports the rest.
pub(super) fn is_too_deep(section: &[u8]) -> bool {
    deepest(section).unwrap_or_else(|depth| depth) > MAX_DEPTH
}

/// Returns the depth at which types are nested, up to one more than is allowed. The error is the depth of what cannot
/// be read.
fn deepest(section: &[u8]) -> std::result::Result<usize, usize> {
    let mut reader = BinaryReader::new(section, 0);
    let mut deepest = 0;
    // How many items are left of the section, and of each list of declarations in it.
    let mut open = vec![reader.read_var_u32().map_err(|_| 0_usize)?];
    while let Some(left) = open.last_mut() {
        let Some(less) = left.checked_sub(1) else {
            open.pop();
            continue;
        };
        *left = less;
        let depth = open.len();
        if let Some(count) = item(&mut reader, depth > 1).map_err(|_| deepest)? {
            open.push(count);
            deepest = deepest.max(depth);
            if deepest > MAX_DEPTH {
                break;
            }
        }
    }
    Ok(deepest)
}

/// Reads a type, or a declaration. Returns how many declarations follow that are part of it.
fn item(reader: &mut BinaryReader<'_>, is_declaration: bool) -> Result<Option<u32>> {
    let kind = match is_declaration {
        true => reader.read_u8()?,
        false => 0x01,
    };
    match kind {
        0x00 => reader.read::<CoreType<'_>>().map(drop)?,
        0x01 => return type_(reader),
        0x02 => reader.read::<ComponentAlias<'_>>().map(drop)?,
        0x03 => reader.read::<ComponentImport<'_>>().map(drop)?,
        // An export. The parser refuses any other kind.
        _ => {
            reader.read::<ComponentExternName<'_>>()?;
            reader.read::<ComponentTypeRef>()?;
        }
    }
    Ok(None)
}

fn type_(reader: &mut BinaryReader<'_>) -> Result<Option<u32>> {
    let mut whole = reader.clone();
    if WITH_DECLARATIONS.contains(&reader.read_u8()?) {
        return reader.read_var_u32().map(Some);
    }
    whole.read::<ComponentType<'_>>()?;
    *reader = whole;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section with a type in a type, and so on.
    fn nested(kind: u8, depth: usize) -> Vec<u8> {
        let mut section = vec![1];
        for _ in 1..depth {
            section.extend([kind, 1, 1]);
        }
        section.extend([kind, 0]);
        section
    }

    #[test]
    fn types_may_be_nested_as_deeply_as_is_useful() {
        for kind in WITH_DECLARATIONS {
            assert!(!is_too_deep(&nested(kind, MAX_DEPTH)));
            assert!(is_too_deep(&nested(kind, MAX_DEPTH + 1)));
            assert!(is_too_deep(&nested(kind, 1_000_000)));
        }
    }

    #[test]
    fn types_beside_each_other_are_not_nested() {
        let wide = "(type (instance (export \"a\" (type (sub resource)))))".repeat(2 * MAX_DEPTH);
        let binary = wat::parse_str(format!("(component {wide})")).expect("a component");
        for payload in wasmparser::Parser::new(0).parse_all(&binary) {
            if let wasmparser::Payload::ComponentTypeSection(types) = payload.expect("valid") {
                assert_eq!(deepest(&binary[types.range()]), Ok(1));
            }
        }
    }

    #[test]
    fn all_kinds_of_declarations_are_read() {
        let text = r#"(component (type (component
            (core type $m (module (type $t (func)) (import "a" "b" (func (type $t))) (export "c" (memory 1))))
            (type $list (list (tuple string u8)))
            (import "a" (func (param "x" $list) (result (result $list))))
            (type $inner (instance
                (type $r (record (field "a" u8)))
                (export "r" (type $e (eq $r)))
                (export "f" (func (param "x" $e)))))
            (import "b" (instance $b (type $inner)))
            (alias export $b "r" (type $q))
            (export "g" (func (param "x" $q))))))"#;
        let binary = wat::parse_str(text).expect("a component");
        let mut found = 0;
        for payload in wasmparser::Parser::new(0).parse_all(&binary) {
            if let wasmparser::Payload::ComponentTypeSection(types) = payload.expect("valid") {
                found = found.max(deepest(&binary[types.range()]).expect("readable"));
            }
        }
        assert_eq!(found, 2);
    }
}
