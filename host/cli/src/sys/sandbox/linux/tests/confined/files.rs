//! What can be opened.

use super::*;
use rustix::io::ReadWriteFlags;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Seek, Write};
use std::os::unix::fs::symlink;

fn needing(directories: Vec<Directory>) -> Needs {
    Needs {
        directories,
        ..Needs::default()
    }
}

#[test]
#[ignore = "another test runs it"]
fn no_file_can_be_opened() {
    let own = scratch().join("file");
    std::fs::write(&own, "text").expect("written");
    if !confine(&Needs::default()) {
        return;
    }
    for path in [&own, Path::new("/etc/passwd"), Path::new("/dev/null")] {
        denied(File::open(path));
    }
    denied(std::fs::read_dir("/"));
    denied(std::fs::write(scratch_file(&own), "text"));
    denied(std::fs::remove_file(&own));
    denied(std::fs::metadata("/etc/passwd"));
}

fn scratch_file(other: &Path) -> PathBuf {
    other.with_file_name("another")
}

#[test]
#[ignore = "another test runs it"]
fn a_granted_directory_is_all_that_there_is() {
    let scratch = scratch();
    let granted = scratch.join("granted");
    std::fs::create_dir_all(granted.join("below")).expect("made");
    std::fs::write(scratch.join("outside"), "secret").expect("written");
    symlink("../outside", granted.join("link")).expect("a link");
    if !confine(&needing(vec![directory(&granted, true)])) {
        return;
    }
    let file = granted.join("file");
    std::fs::write(&file, "text").expect("written");
    std::fs::rename(&file, granted.join("below/moved")).expect("moved");
    let text = std::fs::read_to_string(granted.join("below/moved")).expect("read");
    assert_eq!(text, "text");
    let truncated = OpenOptions::new()
        .write(true)
        .open(granted.join("below/moved"));
    truncated
        .and_then(|file| file.set_len(1))
        .expect("truncated");
    std::fs::remove_file(granted.join("below/moved")).expect("removed");
    std::fs::remove_dir(granted.join("below")).expect("removed");
    std::fs::create_dir(granted.join("new")).expect("made");
    assert_eq!(std::fs::read_dir(&granted).expect("listed").count(), 2);
    denied(std::fs::read(scratch.join("outside")));
    denied(std::fs::read(granted.join("link")));
    denied(std::fs::read_dir(&scratch));
    denied(std::os::unix::net::UnixListener::bind(
        granted.join("socket"),
    ));
    denied(File::open("/etc/passwd"));
}

#[test]
#[ignore = "another test runs it"]
fn what_is_read_only_is_not_written() {
    let scratch = scratch();
    for name in ["read", "written"] {
        std::fs::create_dir(scratch.join(name)).expect("made");
        std::fs::write(scratch.join(name).join("file"), "text").expect("written");
    }
    // The other one is writable, so the calls themselves are allowed.
    let directories = vec![
        directory(&scratch.join("read"), false),
        directory(&scratch.join("written"), true),
    ];
    if !confine(&needing(directories)) {
        return;
    }
    let file = scratch.join("read/file");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "text");
    assert_eq!(std::fs::metadata(&file).expect("metadata").len(), 4);
    denied(std::fs::write(&file, "other"));
    denied(OpenOptions::new().append(true).open(&file));
    denied(std::fs::remove_file(&file));
    denied(std::fs::create_dir(scratch.join("read/new")));
    denied(symlink("file", scratch.join("read/link")));
    let moved = std::fs::rename(&file, scratch.join("written/moved"));
    moved.expect_err("the file stays where it is");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "text");
}

#[test]
#[ignore = "another test runs it"]
fn a_single_file_can_be_granted() {
    let (granted, other) = (scratch().join("granted"), scratch().join("other"));
    for path in [&granted, &other] {
        std::fs::write(path, "text").expect("written");
    }
    if !confine(&needing(vec![directory(&granted, false)])) {
        return;
    }
    assert_eq!(std::fs::read_to_string(&granted).expect("read"), "text");
    denied(std::fs::write(&granted, "other"));
    denied(std::fs::read(&other));
}

#[test]
#[ignore = "another test runs it"]
fn what_is_open_stays_usable() {
    let path = scratch().join("file");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true);
    let mut file = options.open(&path).expect("made");
    if !confine(&Needs::default()) {
        return;
    }
    file.write_all(b"text").expect("written");
    file.rewind().expect("at its start");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    assert_eq!(text, "text");
    // As the host appends for a guest.
    let more = [IoSlice::new(b"more")];
    let appended = rustix::io::pwritev2(&file, &more, 0, ReadWriteFlags::APPEND);
    assert_eq!(appended.expect("appended"), 4);
    assert_eq!(file.metadata().expect("metadata").len(), 8);
    denied(File::open(&path));
}

#[test]
#[ignore = "another test runs it"]
fn a_missing_directory_is_an_error_of_one_line() {
    if !is_child() {
        return;
    }
    let missing = scratch().join("missing");
    let needs = needing(vec![directory(&missing, false)]);
    let error = confine_files(&needs).expect_err("an error");
    let path = missing.display();
    let why = "No such file or directory (os error 2)";
    let line = format!("cannot confine workers to {path:?}: {why}");
    assert_eq!(format!("{error:#}"), line);
}
