//! `evconn wit`: what it writes is what binding generators take.

use super::{bad_input, command, evconn, says, write};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use evconn::guests;
use std::fs::File;
use wit_parser::{PackageId, Resolve};

/// It is the package with its worlds, and nothing that it needs is missing.
fn is_the_contract(resolve: &Resolve, package: PackageId) {
    let package = &resolve.packages[package];
    assert_eq!(package.name.to_string(), "evconn:tcp@0.1.0");
    let mut worlds: Vec<_> = package.worlds.keys().map(String::as_str).collect();
    worlds.sort_unstable();
    assert_eq!(worlds, ["command", "provider", "service"]);
    for interface in ["connection", "handler", "listener"] {
        assert!(package.interfaces.contains_key(interface), "{interface}");
    }
    let listener = &resolve.interfaces[package.interfaces["listener"]];
    assert!(listener.docs.contents.is_some(), "its documentation");
}

#[test]
fn what_it_prints_is_one_document() {
    let _open = unchanged();
    let document = says(&Scratch::new(), &["wit"]);
    let mut resolve = Resolve::default();
    let package = resolve.push_str("evconn.wit", &document);
    is_the_contract(&resolve, package.expect("it is WIT"));
}

#[test]
fn the_package_of_wasi_0_3_is_complete() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let mut resolve = Resolve::default();
    let document = says(&scratch, &["wit", "--wasi", "0.3"]);
    let of_document = resolve.push_str("evconn.wit", &document);
    assert_eq!(says(&scratch, &["wit", "--wasi", "0.3", "-o", "wit"]), "");
    let mut other = Resolve::default();
    let (of_directory, _) = other.push_dir(scratch.join("wit")).expect("it is WIT");
    for (resolve, package) in [
        (&resolve, of_document.expect("it is WIT")),
        (&other, of_directory),
    ] {
        let package = &resolve.packages[package];
        assert_eq!(package.name.to_string(), "evconn:tcp@0.3.0");
        let mut worlds: Vec<_> = package.worlds.keys().map(String::as_str).collect();
        worlds.sort_unstable();
        assert_eq!(worlds, ["command", "middleware", "provider", "service"]);
        let listener = &resolve.interfaces[package.interfaces["listener"]];
        assert!(listener.docs.contents.is_some(), "its documentation");
    }
}

#[test]
fn a_directory_is_a_package() {
    let _open = unchanged();
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("empty")).expect("a directory");
    for directory in ["empty", "wit", "a/b/c"] {
        assert_eq!(says(&scratch, &["wit", "-o", directory]), "");
        let mut resolve = Resolve::default();
        let package = resolve.push_dir(scratch.join(directory));
        is_the_contract(&resolve, package.expect("it is WIT").0);
        for (path, text) in guests::WIT {
            let written = std::fs::read_to_string(scratch.join(directory).join(path));
            assert_eq!(written.expect("it is there"), *text);
        }
    }
    assert_eq!(scratch.contents(), ["a", "empty", "wit"]);
}

#[test]
fn what_is_there_is_left_alone() {
    let _open = unchanged();
    let scratch = Scratch::new();
    write(&scratch, "file", "mine");
    for (output, problem) in [
        (".", ".: the directory is not empty"),
        ("file", "file: not a directory"),
        ("file/wit", "file/wit: not a directory"),
        ("/proc/wit", "cannot write /proc/wit/"),
    ] {
        let said = bad_input(evconn(&scratch, &["wit", "-o", output]));
        assert!(said.starts_with(problem), "{said}");
    }
    assert_eq!(scratch.contents(), ["file"]);
}

/// Half of the package would be useless.
#[test]
fn nothing_is_left_of_what_cannot_be_written() {
    let _open = unchanged();
    let scratch = Scratch::new();
    // Files cannot exceed 20 blocks of 512 bytes, and since the signal is ignored, writing more is an
    // error.
    let mut shell = std::process::Command::new("sh");
    let script = r#"trap '' XFSZ && ulimit -f 20 && exec "$0" wit -o wit"#;
    shell
        .args(["-c", script, crate::support::process::EVCONN])
        .current_dir(scratch.join("."));
    let said = bad_input(Evconn::start_by(&mut shell));
    assert!(
        said.starts_with("cannot write wit/") && said.contains(": File too large"),
        "{said}"
    );
    assert_eq!(scratch.contents(), [""; 0]);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command(&scratch, &["wit"]).stdout(writer).status();
    assert_eq!(status.expect("it ran").code(), Some(0));
    let full = File::options().write(true).open("/dev/full");
    let output = command(&scratch, &["wit"])
        .stdout(full.expect("a full device"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("it ran");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "evconn: cannot write to standard output: No space left on device (os error 28)\n"
    );
}
