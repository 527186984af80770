//! Directories that the program was granted.

use evconn_guest::println;
use evconn_guest::wasi::filesystem::preopens::get_directories;
use evconn_guest::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags,
};
use std::net::IpAddr;

/// What can be done in each of them.
pub fn granted_directories(_: IpAddr) {
    for (directory, name) in get_directories() {
        let text = read(&directory, "file").expect("it is there");
        let text = String::from_utf8_lossy(&text);
        let writes = match write(&directory, "new", b"written") {
            Ok(()) => "writes",
            Err(ErrorCode::NotPermitted | ErrorCode::ReadOnly) => "does not write",
            Err(code) => panic!("{code:?}"),
        };
        let outside = match read(&directory, "../app") {
            Err(ErrorCode::NotPermitted) => "finds nothing outside",
            other => panic!("{other:?}"),
        };
        println!("{name}: reads {text}, {writes}, and {outside}");
    }
}

fn read(directory: &Descriptor, path: &str) -> Result<Vec<u8>, ErrorCode> {
    let file = directory.open_at(
        PathFlags::empty(),
        path,
        OpenFlags::empty(),
        DescriptorFlags::READ,
    )?;
    let (bytes, _) = file.read(1 << 16, 0)?;
    Ok(bytes)
}

fn write(directory: &Descriptor, path: &str, bytes: &[u8]) -> Result<(), ErrorCode> {
    let file = directory.open_at(
        PathFlags::empty(),
        path,
        OpenFlags::CREATE,
        DescriptorFlags::WRITE,
    )?;
    let count = file.write(bytes, 0)?;
    assert_eq!(count, bytes.len() as u64);
    Ok(())
}
