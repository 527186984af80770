//! Binaries that take a loader to its limits. They are made here, byte by byte: encoders and text formats have limits,
//! too.

use crate::loading::echo_with;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A number, as binaries have it.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &number(content.len())[..], content].concat()
}

fn name(text: &str) -> Vec<u8> {
    [&number(text.len())[..], text.as_bytes()].concat()
}

/// A list of the same item.
fn repeated(item: &[u8], count: usize) -> Vec<u8> {
    [number(count), item.repeat(count)].concat()
}

/// The echo service with one more core module, whose only function has this type and this code.
fn with_function(type_: &[u8], code: &[u8]) -> Vec<u8> {
    let body = [&[0], code, b"\x0b"].concat();
    with_module(&[
        section(1, &[b"\x01", type_].concat()),
        section(3, b"\x01\0"),
        section(10, &[&b"\x01"[..], &number(body.len()), &body].concat()),
    ])
}

fn with_module(sections: &[Vec<u8>]) -> Vec<u8> {
    let module = [MODULE, &sections.concat()].concat();
    [evconn::guests::ECHO, &section(1, &module)].concat()
}

/// Types of components (0x41) or of instances (0x42), each declared in the one around it.
pub fn nested_types(kind: u8, depth: usize) -> Vec<u8> {
    let mut types = vec![1];
    for _ in 0..depth {
        types.extend([kind, 1, 1]);
    }
    types.extend([kind, 0]);
    [COMPONENT, &section(7, &types)].concat()
}

/// An instance that is exported under a name that is as long as a name may be.
pub fn long_name() -> Vec<u8> {
    let export = [b"\x01\0", &name(&"x".repeat(99_000))[..], b"\x05\0\0"].concat();
    [COMPONENT, &section(5, b"\x01\x01\0"), &section(11, &export)].concat()
}

/// A module whose exports have the same name, which the validator quotes: it would clear a terminal.
pub fn name_that_a_terminal_obeys() -> Vec<u8> {
    let export = [&name("\u{1b}[2J\nINFO all is well")[..], b"\0\0"].concat();
    with_module(&[
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(7, &repeated(&export, 2)),
        section(10, b"\x01\x02\0\x0b"),
    ])
}

/// A function that branches this often.
pub fn giant_function(branches: usize) -> Vec<u8> {
    with_function(
        b"\x60\x01\x7f\0",
        &b"\x02\x40\x20\0\x0d\0\x0b".repeat(branches),
    )
}

/// A jump to one of more targets than the compiler supports.
pub fn giant_jump_table() -> Vec<u8> {
    const TARGETS: usize = 1_800_000;
    let code = [
        &b"\x02\x40\x20\0\x0e"[..],
        &repeated(b"\0", TARGETS),
        b"\0\x0b",
    ]
    .concat();
    with_function(b"\x60\x01\x7f\0", &code)
}

/// Function types with this many parameters, each different.
pub fn wide_types(count: usize) -> Vec<u8> {
    const PARAMETERS: usize = 1_000;
    let type_ = |number_: usize| {
        let kinds = (0..PARAMETERS).map(|bit| 0x7f - (number_ >> (bit % 20) & 1) as u8);
        let results = repeated(b"\x7f", PARAMETERS);
        let parameters: Vec<u8> = kinds.collect();
        [&b"\x60"[..], &number(PARAMETERS), &parameters, &results].concat()
    };
    let types: Vec<u8> = (0..count).flat_map(type_).collect();
    with_module(&[section(1, &[number(count), types].concat())])
}

/// More parentheses than any parser nests.
pub fn text_of_parentheses() -> Vec<u8> {
    b"(".repeat(1_000_000)
}

pub fn nested_text() -> Vec<u8> {
    let depth = 100_000;
    format!(
        "(component {}{})",
        "(type (component ".repeat(depth),
        "))".repeat(depth)
    )
    .into()
}

/// The echo service with more initial memory than it may have.
pub fn large_memory() -> Vec<u8> {
    echo_with("(core module $m (memory 65536)) (core instance (instantiate $m))").into()
}
