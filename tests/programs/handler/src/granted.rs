//! What a service reaches beyond its connection, if it is granted.

use crate::wasi::cli::environment::{get_arguments, get_environment};
use crate::wasi::cli::{stderr, stdout};
use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DirectoryEntryStream, ErrorCode, OpenFlags, PathFlags,
};
use crate::wasi::io::streams::OutputStream;

/// The variables, in the order in which they come.
pub fn environment() -> String {
    let pairs = get_environment().into_iter();
    lines(pairs.map(|(name, value)| format!("{name}={value}")))
}

pub fn arguments() -> String {
    lines(get_arguments())
}

/// Print to standard output; to standard error if `error` is set.
pub fn print(error: bool, text: &str) {
    let stream = match error {
        true => stderr::get_stderr(),
        false => stdout::get_stdout(),
    };
    write(&stream, text.as_bytes());
}

/// Print that many lines, of which each has its number.
pub fn flood(lines: u32) {
    let stream = stdout::get_stdout();
    for number in 1..=lines {
        write(&stream, format!("line {number}\n").as_bytes());
    }
}

/// Print so many bytes in one call, without asking how many may be written.
pub fn print_at_once(count: usize) {
    let bytes = vec![b'x'; count];
    let written = stdout::get_stdout().write(&bytes);
    written.expect("to print does not fail");
}

/// What std does about a panic where it knows of a standard error.
pub fn panic(message: &str) -> ! {
    let text = format!("\nthread 'main' panicked at src/lib.rs:1:1:\n{message}\n");
    print(true, &text);
    std::process::abort()
}

fn write(stream: &OutputStream, bytes: &[u8]) {
    for chunk in bytes.chunks(4096) {
        stream
            .blocking_write_and_flush(chunk)
            .expect("to print does not fail");
    }
}

/// The names in a directory, sorted; or why not.
pub fn list(path: &str) -> String {
    let names = find(path).and_then(|(root, path)| {
        let flags = OpenFlags::DIRECTORY;
        let directory = open(&root, &path, flags, DescriptorFlags::READ)?;
        names(&directory.read_directory()?)
    });
    match names {
        Ok(names) => lines([names.join(" ")]),
        Err(code) => lines([code.name()]),
    }
}

fn names(entries: &DirectoryEntryStream) -> Result<Vec<String>, ErrorCode> {
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry()? {
        names.push(entry.name);
    }
    names.sort();
    Ok(names)
}

/// What is in a file; or why not.
pub fn read(path: &str) -> String {
    let bytes = find(path).and_then(|(root, path)| {
        let file = open(&root, &path, OpenFlags::empty(), DescriptorFlags::READ)?;
        Ok(file.read(1 << 16, 0)?.0)
    });
    match bytes {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(code) => lines([code.name()]),
    }
}

/// A file, open for reading; or why not.
pub fn open_file(path: &str) -> Result<Descriptor, String> {
    let opened = find(path)
        .and_then(|(root, path)| open(&root, &path, OpenFlags::empty(), DescriptorFlags::READ));
    opened.map_err(|code| code.name().to_owned())
}

/// What is in a directory, to be read; or why not.
pub fn open_listing(path: &str) -> Result<DirectoryEntryStream, String> {
    let entries = find(path).and_then(|(root, path)| {
        let flags = OpenFlags::DIRECTORY;
        open(&root, &path, flags, DescriptorFlags::READ)?.read_directory()
    });
    entries.map_err(|code| code.name().to_owned())
}

/// What is at a path, after opening it; or why not.
pub fn type_of(path: &str, (open_flags, flags): (OpenFlags, DescriptorFlags)) -> String {
    let opened =
        find(path).and_then(|(root, path)| open(&root, &path, open_flags, flags)?.get_type());
    match opened {
        Ok(type_) => lines([format!("{type_:?}")]),
        Err(code) => lines([code.name()]),
    }
}

/// Make a file, or overwrite it.
pub fn overwrite(path: &str, text: &str) -> String {
    let written = find(path).and_then(|(root, path)| {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let file = open(&root, &path, flags, DescriptorFlags::WRITE)?;
        file.write(text.as_bytes(), 0)
    });
    match written {
        Ok(count) => lines([format!("{count} bytes")]),
        Err(code) => lines([code.name()]),
    }
}

fn open(
    root: &Descriptor,
    path: &str,
    open_flags: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    root.open_at(PathFlags::SYMLINK_FOLLOW, path, open_flags, flags)
}

/// The granted directory that a path begins with, and what follows it.
fn find(path: &str) -> Result<(Descriptor, String), ErrorCode> {
    get_directories()
        .into_iter()
        .find_map(|(root, name)| {
            let rest = path.strip_prefix(&name)?.trim_start_matches('/');
            let rest = if rest.is_empty() { "." } else { rest };
            Some((root, rest.to_owned()))
        })
        .ok_or(ErrorCode::NoEntry)
}

fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut text = String::new();
    for line in lines {
        text += line.as_ref();
        text.push('\n');
    }
    text
}
