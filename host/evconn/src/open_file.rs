//! Open files that several processes share, such as a memfd: they are read and mapped without their path, and
//! without their position, which is shared.

use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Returns a path that opens the same file again, where the operating system has one.
#[cfg(target_os = "linux")]
pub(crate) fn path(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    Some(format!("/proc/self/fd/{}", file.as_raw_fd()).into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn path(_file: &File) -> Option<PathBuf> {
    None
}

/// Reads all of a file, from its beginning. Its position neither matters nor changes.
pub(crate) fn read(file: &File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).map_err(io::Error::other)?)?;
    bytes.resize(bytes.capacity(), 0);
    let mut length = 0;
    while length < bytes.len() {
        match read_at(file, &mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::io::{Seek, SeekFrom};

    #[test]
    fn a_file_is_read_from_its_beginning_and_keeps_its_position() {
        let scratch = Scratch::private();
        std::fs::write(scratch.join("file"), "content").expect("written");
        let mut file = File::open(scratch.join("file")).expect("opened");
        file.seek(SeekFrom::Start(3)).expect("a position");
        assert_eq!(read(&file).expect("read"), b"content");
        assert_eq!(file.stream_position().expect("its position"), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_path_opens_a_file_whose_name_is_gone() {
        let scratch = Scratch::private();
        let name = scratch.join("file");
        std::fs::write(&name, "content").expect("written");
        let file = File::open(&name).expect("opened");
        std::fs::remove_file(&name).expect("removed");
        let path = path(&file).expect("Linux has one");
        assert_eq!(std::fs::read(path).expect("read"), b"content");
    }
}
