//! Memory: files without a name, to be passed to other processes, which map them; and the size of pages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Creates a file with these bytes. On Linux it is in memory, and sealed: nobody can change it. Elsewhere, and where
/// the kernel refuses that, it is a temporary file whose name is removed.
///
/// # Errors
/// If there is no space for it.
pub fn file(name: &str, bytes: &[u8]) -> io::Result<File> {
    in_memory(name, bytes).or_else(|_| temporary(name, bytes))
}

#[cfg(target_os = "linux")]
fn in_memory(name: &str, bytes: &[u8]) -> io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(name, flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_name: &str, _bytes: &[u8]) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

fn temporary(name: &str, bytes: &[u8]) -> io::Result<File> {
    let directory = std::env::temp_dir();
    let path = directory.join(format!("evconn-{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let opened = options.open(&path).and_then(|file| {
        fs::remove_file(&path)?;
        Ok(file)
    });
    let written = opened.and_then(|mut file| {
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file)
    });
    written.map_err(|error| {
        let directory = directory.display();
        io::Error::new(
            error.kind(),
            format!("cannot store {} bytes for other processes, neither in memory nor in {directory}: {error}", bytes.len()),
        )
    })
}

/// Has the kernel give this process, and those that it starts, small pages only: each that waits would keep MiB
/// of huge ones.
pub fn take_no_huge_pages() {
    // Where that cannot be, it takes more memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_has_its_bytes() {
        for make in [file, temporary] {
            let mut made = make("test", b"some bytes").expect("made");
            let mut read = Vec::new();
            made.read_to_end(&mut read).expect("read");
            assert_eq!(read, b"some bytes");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_in_memory_cannot_be_changed() {
        let made = in_memory("test", b"some bytes").expect("made");
        made.set_len(0).expect_err("not shortened");
        (&made).write_all(b"other").expect_err("not written");
    }
}
