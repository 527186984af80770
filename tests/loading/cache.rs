//! Compiled code on disk between one start and the next.

use super::command::echoes;
use crate::support::descriptors::unchanged;
use crate::support::process::{CACHE_HOME, EVCONN, Evconn};
use crate::support::scratch::Scratch;
use evconn::guests;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Starts it with this cache, see that it serves, and returns its log.
fn serve(cache: &Path, arguments: &[&str]) -> String {
    let scratch = Scratch::new();
    let app = scratch.join("app.wasm");
    std::fs::write(&app, guests::ECHO).expect("written");
    let mut command = Command::new(EVCONN);
    command
        .arg("serve")
        .arg(app)
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .env(CACHE_HOME, cache);
    let evconn = Evconn::start_by(&mut command);
    echoes(&evconn);
    evconn.signal(Signal::TERM);
    evconn.wait().stderr
}

/// The files of compiled code in there, and which files they are: one that is written again is another.
fn entries(cache: &Path) -> BTreeMap<PathBuf, u64> {
    let mut entries = BTreeMap::new();
    let mut directories = vec![cache.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = std::fs::metadata(&path);
            match metadata {
                Ok(metadata) if metadata.is_dir() => directories.push(path),
                // The rest is how often each was used.
                Ok(metadata) if path.extension().is_none() => {
                    entries.insert(path, metadata.ino());
                }
                // One that was not finished, and is gone by now.
                Ok(_) | Err(_) => {}
            }
        }
    }
    entries
}

#[test]
fn the_next_start_finds_what_was_compiled() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let cache = scratch.join("caches");
    serve(&cache, &[]);
    let compiled = entries(&cache);
    // The listener and the service.
    assert_eq!(compiled.len(), 2, "{compiled:?}");
    let directory = std::fs::metadata(cache.join("evconn")).expect("a directory");
    assert_eq!(directory.mode() & 0o777, 0o700);
    serve(&cache, &[]);
    assert_eq!(entries(&cache), compiled);
}

#[test]
fn damaged_entries_are_compiled_again() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let cache = scratch.join("caches");
    serve(&cache, &[]);
    let compiled = entries(&cache);
    for (number, path) in compiled.keys().enumerate() {
        let code = std::fs::read(path).expect("it is there");
        let damaged = [&b"garbage"[..], &code[..code.len() / 2]][number % 2];
        std::fs::write(path, damaged).expect("written");
    }
    serve(&cache, &[]);
    let again = entries(&cache);
    assert!(again.keys().eq(compiled.keys()), "{again:?}");
    assert!(
        again.iter().all(|(path, number)| compiled[path] != *number),
        "{again:?}"
    );
}

#[test]
fn nothing_is_kept_without_it() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let cache = scratch.join("caches");
    let log = serve(&cache, &["--no-cache"]);
    assert!(!cache.exists());
    assert!(!log.contains("compiled code"), "{log}");
}

#[test]
fn a_cache_that_cannot_be_made_is_done_without() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let cache = scratch.join("caches");
    std::fs::write(&cache, "a file").expect("written");
    let log = serve(&cache, &[]);
    assert!(log.contains("compiled code is not kept in "), "{log}");
}

/// Each entry is looked at, not the directory alone.
#[test]
fn entries_that_others_can_change_are_compiled_again() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let cache = scratch.join("caches");
    serve(&cache, &[]);
    let compiled = entries(&cache);
    let mut problems = vec!["other users can write to it"; compiled.len()];
    for (number, path) in compiled.keys().enumerate() {
        let mode = [0o620, 0o606][number % 2];
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
        // Only root can give files to others.
        if number == 0 && std::os::unix::fs::chown(path, Some(65_534), None).is_ok() {
            problems[0] = "it belongs to another user";
        }
    }
    let log = serve(&cache, &[]);
    for problem in problems {
        let note = format!("is not used: {problem}");
        assert!(log.contains(&note), "{note}: {log}");
    }
    let again = entries(&cache);
    assert!(again.keys().eq(compiled.keys()), "{again:?}");
    for (path, number) in &again {
        assert_ne!(compiled[path], *number, "{}", path.display());
        let metadata = std::fs::metadata(path).expect("it is there");
        assert_eq!(metadata.mode() & 0o777, 0o600);
    }
}

/// What is in there runs unchecked.
#[test]
fn a_cache_that_others_can_write_to_is_not_used() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let cache = scratch.join("evconn");
    std::fs::create_dir(&cache).expect("a directory");
    std::fs::set_permissions(&cache, Permissions::from_mode(0o777)).expect("its mode");
    let log = serve(&scratch.join("."), &[]);
    assert!(log.contains("other users can write to it"), "{log}");
    assert!(entries(&cache).is_empty());
}
