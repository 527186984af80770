//! The stack of a trapped guest, in lines for the log.
//!
//! The names of functions and files are the guest's text: they are escaped and cut off.

use super::lines::{Place, SourceLines};
use std::fmt::{self, Write};
use wasmtime::{FrameInfo, WasmBacktrace};

/// The most characters that are shown of a name.
const NAME: usize = 200;

/// The longest name that is demangled, in bytes: a guest's name can have 100,000.
const MANGLED: usize = 4 << 10;

/// A guest's stack at the trap: a line for each function, the innermost first. The engine's settings
/// limit their number.
pub(super) struct Backtrace<'a> {
    frames: &'a [FrameInfo],
    places: Vec<Option<Place>>,
}

impl<'a> Backtrace<'a> {
    pub fn new(trace: &'a WasmBacktrace, lines: &SourceLines) -> Self {
        let frames = trace.frames();
        let offsets: Vec<_> = frames.iter().map(FrameInfo::module_offset).collect();
        Self {
            frames,
            places: lines.places(&offsets),
        }
    }
}

impl fmt::Display for Backtrace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (frame, place)) in self.frames.iter().zip(&self.places).enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{number}: ")?;
            write_function(f, frame)?;
            match (place, frame.module_offset()) {
                (Some(place), _) => write_place(f, place)?,
                (None, Some(offset)) => write!(f, " at {offset:#x}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// Writes the function's name from the name section. Names in Rust are demangled; those in C++ are left
/// for `c++filt`.
fn write_function(f: &mut fmt::Formatter<'_>, frame: &FrameInfo) -> fmt::Result {
    let Some(name) = frame.func_name() else {
        return write!(f, "function {}", frame.func_index());
    };
    let demangled = match name.len() {
        ..=MANGLED => rustc_demangle::try_demangle(name).ok(),
        _ => None,
    };
    match demangled {
        // Without the hash.
        Some(name) => write!(f, "{}", Shown(format_args!("{name:#}"))),
        None => write!(f, "{}", Shown(name)),
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    write!(f, " at {}:{}", Shown(&place.file), place.line)?;
    match place.column {
        0 => Ok(()),
        column => write!(f, ":{column}"),
    }
}

/// A guest's text, escaped and cut off. Nothing beyond the cut is formatted: a demangled name can be far
/// longer than the mangled one.
struct Shown<T>(T);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = ShortenedText { f, left: NAME };
        match (write!(cut, "{}", self.0), cut.left) {
            // The error was returned to end formatting at the cut.
            (Err(_), 0) => f.write_char('…'),
            (result, _) => result,
        }
    }
}

struct ShortenedText<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl Write for ShortenedText<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            write!(self.f, "{}", c.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::GuestTrap;
    use super::*;
    use wasmtime::{Engine, Instance, Module, Store};

    /// Returns what is shown of a trap in a module.
    fn traps(binary: &[u8]) -> String {
        traps_within(binary, &SourceLines::of(binary))
    }

    fn traps_within(binary: &[u8], lines: &SourceLines) -> String {
        let engine = Engine::default();
        let module = Module::new(&engine, binary).expect("a module");
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
        let function = instance.get_typed_func::<(), ()>(&mut store, "f");
        let trap = function
            .expect("f")
            .call(&mut store, ())
            .expect_err("a trap");
        let trap = GuestTrap::new(trap).within(lines);
        trap.backtrace().expect("there is one")
    }

    fn of(wat: &str) -> String {
        traps(&with_dwarf(wat))
    }

    fn with_dwarf(wat: &str) -> Vec<u8> {
        let binary = wat::Parser::new()
            .generate_dwarf(wat::GenerateDwarf::Full)
            .parse_str(Some("dir/it.wat".as_ref()), wat);
        binary.expect("it can be parsed")
    }

    /// Returns the same for a module without debug information.
    fn of_stripped(wat: &str) -> String {
        traps(&wat::parse_str(wat).expect("it can be parsed"))
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_read_at_the_first_trap_and_not_again() {
        let scratch = crate::scratch::Scratch::private();
        let path = scratch.join("it.wasm");
        std::fs::write(&path, "").expect("written");
        let lines = SourceLines::of_file(std::fs::File::open(&path).expect("opened"));
        let binary = with_dwarf("(module\n(func $f (export \"f\")\nunreachable))");
        std::fs::write(&path, &binary).expect("written");
        assert_eq!(traps_within(&binary, &lines), "0: f at dir/it.wat:3:1");
        std::fs::write(&path, "").expect("written");
        assert_eq!(
            traps_within(&binary, &lines.clone()),
            "0: f at dir/it.wat:3:1"
        );
    }

    /// The file has no blocks: only reading it would take memory.
    #[cfg(unix)]
    #[test]
    fn a_huge_file_is_not_read() {
        let scratch = crate::scratch::Scratch::private();
        let path = scratch.join("it.wasm");
        let binary = with_dwarf("(module\n(func $f (export \"f\")\nunreachable))");
        std::fs::write(&path, &binary).expect("written");
        let file = std::fs::File::options().read(true).write(true).open(&path);
        let file = file.expect("opened");
        file.set_len(1 << 40).expect("a sparse file");
        let shown = traps_within(&binary, &SourceLines::of_file(file));
        assert!(shown.starts_with("0: f at 0x"), "{shown}");
    }

    #[test]
    fn each_function_is_a_line_with_its_place() {
        let wat = "(module\n(func $inner\nunreachable)\n(func $outer (export \"f\")\ncall $inner))";
        assert_eq!(
            of(wat),
            "0: inner at dir/it.wat:3:1\n1: outer at dir/it.wat:5:1"
        );
    }

    #[test]
    fn without_debug_information_it_is_the_offset() {
        let wat = "(module (func $_ZN4some4name17h0123456789abcdefE (export \"f\") unreachable))";
        let shown = of_stripped(wat);
        let offset = shown.strip_prefix("0: some::name at 0x").expect(&shown);
        assert!(u64::from_str_radix(offset, 16).is_ok(), "{shown}");
        let nameless = of_stripped("(module (func unreachable) (func (export \"f\") call 0))");
        assert!(nameless.starts_with("0: function 0 at 0x"), "{nameless}");
    }

    #[test]
    fn the_guests_text_cannot_look_like_more_of_the_log() {
        let wat = r#"(module (func $"a\n1: \1b[31mb" (export "f") unreachable))"#;
        for shown in [of_stripped(wat), of(wat)] {
            assert!(shown.starts_with(r"0: a\n1: \u{1b}[31mb at "), "{shown}");
            assert_eq!(shown.lines().count(), 1, "{shown}");
        }
        let name = "ü".repeat(10_000);
        let shown = of_stripped(&format!(
            "(module (func ${name:?} (export \"f\") unreachable))"
        ));
        let start = format!("0: {}… at 0x", "ü".repeat(NAME));
        assert!(shown.starts_with(&start), "{shown}");
    }

    /// Tries each prefix of the tables, and each table with one byte changed.
    #[test]
    fn broken_line_tables_are_no_matter() {
        let wat = "(module (func (export \"f\")\nunreachable))";
        let binary = wat::Parser::new()
            .generate_dwarf(wat::GenerateDwarf::Full)
            .parse_str(None, wat)
            .expect("it can be parsed");
        let code = wat::parse_str(wat).expect("it can be parsed").len();
        for at in code..binary.len() {
            for (end, flipped) in [(at, 0), (binary.len(), 0xff), (binary.len(), 1)] {
                let mut broken = binary[..end].to_vec();
                if let Some(byte) = broken.get_mut(at) {
                    *byte ^= flipped;
                }
                let lines = SourceLines::of(&broken);
                lines.places(&[Some(0), None, Some(code - 2), Some(usize::MAX)]);
            }
        }
    }
}
