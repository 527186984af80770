//! Recognizes what a file contains.

use super::size::Size;
use crate::error::{LoadProblem, shortened};
use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use wasmtime::{Engine, Precompiled};

/// Something from which a service can be made.
pub(super) enum Content<'a> {
    /// A component's binary, if need be converted from text.
    Component(Cow<'a, [u8]>),
    /// A component that was compiled for some engine.
    Compiled,
}

const MAGIC: &[u8] = b"\0asm";
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Where an ELF file names its system, and the number there of compiled WebAssembly.
const ELF_SYSTEM: usize = 7;
const WASMTIME: u8 = 200;

const BUILD: &str = "build it for wasm32-wasip2";
const UNPACK: &str = "unpack it first";

/// What begins a file of another kind that is likely to be given, what it is, and what to do.
const OTHERS: [(&[u8], &str, &str); 12] = [
    (b"MZ", "an executable for Windows (PE)", BUILD),
    (b"\xcf\xfa\xed\xfe", MACH_O, BUILD),
    (b"\xce\xfa\xed\xfe", MACH_O, BUILD),
    (b"\xca\xfe\xba\xbe", MACH_O, BUILD),
    (b"#!", "a script", BUILD),
    (b"!<arch>\n", "a static library", BUILD),
    (b"BC\xc0\xde", "LLVM bitcode", BUILD),
    (b"package ", "WIT, which describes components", BUILD),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"\x1f\x8b", "compressed with gzip", UNPACK),
    (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK),
];
const MACH_O: &str = "an executable for macOS (Mach-O)";

/// The length of the header, with the magic number, the version and the layer, and the offset of the
/// layer, which tells a component from a core module.
const HEADER: usize = 8;
const LAYER: usize = 6;

impl<'a> Content<'a> {
    /// Recognizes the content. Common mistakes get a shorter message than the parsers would give.
    pub fn of(bytes: &'a [u8]) -> Result<Self, LoadProblem> {
        if bytes.is_empty() {
            return Err(LoadProblem::Empty);
        }
        if bytes.starts_with(MAGIC) {
            return component(Cow::Borrowed(bytes));
        }
        match Engine::detect_precompiled(bytes) {
            Some(Precompiled::Component) => return Ok(Self::Compiled),
            Some(Precompiled::Module) => return Err(LoadProblem::PrecompiledModule),
            None => {}
        }
        match std::str::from_utf8(bytes).map(without_mark) {
            Ok(text) if is_parenthesized(text) => component(Cow::Owned(binary(text)?)),
            Ok(_) | Err(_) => Err(other(bytes)),
        }
    }
}

/// Returns what a file is that is no WebAssembly.
fn other(bytes: &[u8]) -> LoadProblem {
    let is_elf = bytes.starts_with(ELF_MAGIC);
    if is_elf && bytes.get(ELF_SYSTEM).is_some_and(|of| *of != WASMTIME) {
        let kind = "an executable or a library (ELF)";
        let advice = BUILD;
        return LoadProblem::OtherKind { kind, advice };
    }
    let others = OTHERS.iter();
    let mut others = others.filter(|(magic, ..)| bytes.starts_with(magic));
    match others.next() {
        Some(&(_, kind, advice)) => LoadProblem::OtherKind { kind, advice },
        None => LoadProblem::NotWebAssembly { is_elf },
    }
}

/// The most bytes of a file that are read: a device may have no end.
const MAX_FILE: u64 = 1 << 30;

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LoadProblem> {
    read_with_metadata(path).map(|(bytes, _)| bytes)
}

/// Reads a file and its metadata from one descriptor, so that they belong together.
pub(super) fn read_with_metadata(path: &Path) -> Result<(Vec<u8>, Metadata), LoadProblem> {
    let read = read_some(path, MAX_FILE + 1).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadProblem::Missing,
        io::ErrorKind::IsADirectory => LoadProblem::Directory,
        _ => LoadProblem::Unreadable(error),
    })?;
    match read.0.len() as u64 {
        ..=MAX_FILE => Ok(read),
        _ => Err(LoadProblem::TooLong),
    }
}

fn read_some(path: &Path, most: u64) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = metadata.len().min(most);
    let mut bytes = Vec::new();
    // One byte more than the file has, so that the end is found without growing the buffer.
    bytes.try_reserve_exact(size as usize + 1)?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

fn component(binary: Cow<'_, [u8]>) -> Result<Content<'_>, LoadProblem> {
    if binary.len() < HEADER {
        return Err(LoadProblem::Invalid("its header is cut off".to_owned()));
    }
    match binary[LAYER] {
        0 => Err(LoadProblem::CoreModule),
        _ => {
            Size::of(&binary)?;
            Ok(Content::Component(binary))
        }
    }
}

/// Removes the byte order mark with which editors on Windows begin a file.
fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// Returns whether this may be WebAssembly text: it begins with a parenthesis or a comment.
fn is_parenthesized(text: &str) -> bool {
    let start = text.trim_start();
    start.starts_with('(') || start.starts_with(";;")
}

fn binary(text: &str) -> Result<Vec<u8>, LoadProblem> {
    wat::parse_str(text)
        .map_err(|error| LoadProblem::Text(shortened(&position_first(&error.to_string()))))
}

/// Returns the parser's message, which shows the source line with a mark below, as a single line.
fn position_first(error: &str) -> String {
    let mut lines = error.lines();
    let message = lines.next().unwrap_or_default();
    let position = lines.find_map(|line| {
        let (_file, position) = line.trim().strip_prefix("-->")?.split_once(':')?;
        position.split_once(':')
    });
    match position {
        Some((line, column)) => format!("line {line}, column {column}: {message}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        match Content::of(bytes) {
            Ok(_) => panic!("{bytes:?} is taken for a component"),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        for (bytes, what) in [
            (&b""[..], "it is empty"),
            (b"hello\n", "neither a component, nor the text of one"),
            (b"\xff\xfe\0\0", "neither a component, nor the text of one"),
            (b"\x7fELF\x02\x01\x01", "nor code that evconn compiled"),
            (b"\x7fELF\x02\x01\x01\xc8", "nor code that evconn compiled"),
            (b"\x7fELF\x02\x01\x01\0", "(ELF), and no component: build"),
            (b"MZ\x90", "(PE), and no component: build it for wasm32"),
            (b"\xcf\xfa\xed\xfe", "(Mach-O), and no component: build"),
            (
                b"\x1f\x8b\x08",
                "compressed with gzip, and no component: unpack",
            ),
            (b"package a:b;\n", "it is WIT"),
            (b"\0asm", "its header is cut off"),
            (b"\0asm\x0d\0\x01", "its header is cut off"),
            (b"\0asm\x01\0\0\0", "it is a core module"),
            (b"(module)", "it is a core module"),
            (b"(component\n  (nonsense))", "line 2, column 4: "),
            (b"(", "line 1, column 2: "),
        ] {
            let problem = problem(bytes);
            assert!(problem.contains(what), "{problem:?} for {bytes:?}");
            assert!(!problem.contains('\n'), "{problem:?}");
        }
    }

    #[test]
    fn text_is_taken_with_what_may_come_before_it() {
        for text in [
            "(component)",
            "\n\t(component)",
            ";; mine\n(component)",
            "\u{feff}(component)",
        ] {
            assert!(Content::of(text.as_bytes()).is_ok(), "{text:?}");
        }
        assert!(Content::of(b"\0asm\x0d\0\x01\0").is_ok());
    }
}
