//! Directories: what they contain is accessible, and nothing else.

use super::{answer, start};
use crate::support::Server;
use crate::support::descriptors::unchanged;
use crate::support::scratch::Scratch;
use evconn::{DirAccess, Grants};
use std::fs;

/// A directory `granted` with a file and links, beside a file `secret`.
fn directories() -> Scratch {
    let scratch = Scratch::new();
    let granted = scratch.join("granted");
    fs::create_dir(&granted).expect("a directory");
    fs::create_dir(granted.join("below")).expect("a directory");
    fs::write(granted.join("file"), "hello").expect("a file");
    fs::write(scratch.join("secret"), "secret").expect("a file");
    #[cfg(unix)]
    for (name, target) in [
        ("inside", "file".into()),
        ("outside", "../secret".into()),
        ("parent", "..".into()),
        ("absolute", scratch.join("secret")),
    ] {
        std::os::unix::fs::symlink(target, granted.join(name)).expect("a link");
    }
    scratch
}

async fn start_with(scratch: &Scratch, access: DirAccess) -> Server {
    start(Grants::builder().dir(scratch.join("granted"), "/data", access)).await
}

async fn says(server: &Server, dialogue: &[(&str, &str)]) {
    for (command, expected) in dialogue {
        assert_eq!(answer(server, command).await, *expected, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_it_can_be_read_and_written() {
    let _open = unchanged();
    let scratch = directories();
    let server = start_with(&scratch, DirAccess::ReadWrite).await;
    says(
        &server,
        &[
            ("ls /data", "absolute below file inside outside parent\n"),
            ("cat /data/file", "hello"),
            ("cat /data/below/../file", "hello"),
            ("cat /data/inside", "hello"),
            ("cat /data/missing", "no-entry\n"),
            ("write /data/below/new some words", "10 bytes\n"),
            ("ls /data/below", "new\n"),
            ("cat /data/below/new", "some words"),
        ],
    )
    .await;
    server.stop().await;
    let new = fs::read_to_string(scratch.join("granted").join("below/new"));
    assert_eq!(new.expect("a file"), "some words");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leads_out_of_it() {
    let _open = unchanged();
    let scratch = directories();
    let server = start_with(&scratch, DirAccess::ReadWrite).await;
    let absolute = format!("cat /data/{}", scratch.join("secret").display());
    says(
        &server,
        &[
            ("ls /data/..", "not-permitted\n"),
            ("cat /data/../secret", "not-permitted\n"),
            ("cat /data/below/../../secret", "not-permitted\n"),
            ("cat /data/outside", "not-permitted\n"),
            ("cat /data/absolute", "not-permitted\n"),
            ("cat /data/parent/secret", "not-permitted\n"),
            ("ls /data/parent", "not-permitted\n"),
            ("write /data/../secret mine", "not-permitted\n"),
            ("write /data/outside mine", "not-permitted\n"),
            // Without its first slash it is a path in the directory.
            (&absolute, "no-entry\n"),
            ("cat /secret", "no-entry\n"),
        ],
    )
    .await;
    server.stop().await;
    let secret = fs::read_to_string(scratch.join("secret"));
    assert_eq!(secret.expect("a file"), "secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_only_cannot_be_written() {
    let _open = unchanged();
    let scratch = directories();
    let server = start_with(&scratch, DirAccess::ReadOnly).await;
    says(
        &server,
        &[
            ("cat /data/file", "hello"),
            ("write /data/file mine", "not-permitted\n"),
            ("write /data/new mine", "not-permitted\n"),
            ("cat /data/file", "hello"),
            ("ls /data/below", "\n"),
        ],
    )
    .await;
    server.stop().await;
    let contents = fs::read_dir(scratch.join("granted")).expect("its entries");
    assert_eq!(contents.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_opened_once_and_kept_though_it_goes_elsewhere() {
    let _open = unchanged();
    let scratch = directories();
    let server = start_with(&scratch, DirAccess::ReadOnly).await;
    fs::rename(scratch.join("granted"), scratch.join("moved")).expect("it moves");
    assert_eq!(answer(&server, "cat /data/file").await, "hello");
    fs::remove_dir_all(scratch.join("moved")).expect("it goes");
    assert_eq!(answer(&server, "cat /data/file").await, "no-entry\n");
    assert_eq!(answer(&server, "echo\nhello").await, "hello\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_are_granted_one_by_one() {
    let _open = unchanged();
    let scratch = directories();
    let below = scratch.join("granted").join("below");
    let grants = Grants::builder()
        .dir(below, "/writable", DirAccess::ReadWrite)
        .dir(scratch.join("granted"), "/data", DirAccess::ReadOnly);
    let server = start(grants).await;
    says(
        &server,
        &[
            ("write /data/below/new mine", "not-permitted\n"),
            ("write /writable/new mine", "4 bytes\n"),
            ("cat /data/below/new", "mine"),
        ],
    )
    .await;
    server.stop().await;
}
