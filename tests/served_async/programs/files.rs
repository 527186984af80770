//! `wasi:filesystem` of WASI 0.3: the same directories, and the same account, as that of WASI 0.2.

use super::{LONG, acting, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use std::fs;

/// A directory `granted` with a file and links, beside a file `secret`.
fn directories() -> Scratch {
    let scratch = Scratch::new();
    let granted = scratch.join("granted");
    fs::create_dir(&granted).expect("a directory");
    fs::create_dir(granted.join("below")).expect("a directory");
    fs::create_dir(granted.join("empty")).expect("a directory");
    fs::write(granted.join("file"), "hello").expect("a file");
    fs::write(scratch.join("secret"), "secret").expect("a file");
    let link = |target, name| std::os::unix::fs::symlink(target, granted.join(name));
    link("../secret", "outside").expect("a link");
    link("file", "inside").expect("a link");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        granted.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    scratch
}

/// Serves with the directory granted, to read and write or just to read.
fn serve(scratch: &Scratch, access: &str, flags: &[&str]) -> Evconn {
    let grant = format!("{}::/data{access}", scratch.join("granted").display());
    let flags = [&["--dir", &grant], flags, &LONG].concat();
    acting(&["serve"], &flags).expect("a program")
}

fn says(evconn: &Evconn, dialogue: &[(&str, &str)]) {
    let address = evconn.address();
    for (command, expected) in dialogue {
        let answers = lines(address, &format!("{command}\n"));
        assert_eq!(answers.expect("an end"), [*expected], "{command}");
    }
}

#[test]
fn what_is_in_a_directory_can_be_read_and_written() {
    let _open = unchanged();
    let scratch = directories();
    let evconn = serve(&scratch, "", &[]);
    says(
        &evconn,
        &[
            ("list /data", "below empty file inside outside pipe"),
            ("file /data/file", "hello"),
            ("file /data/below/../file", "hello"),
            ("file /data/inside", "hello"),
            ("file /data/missing", "ErrorCode::NoEntry"),
            ("file /data/below", "ErrorCode::IsDirectory"),
            ("store /data/below/new", "stored"),
            ("list /data/below", "new"),
            ("file /data/below/new", "1 and more"),
        ],
    );
    end(evconn);
    let new = fs::read_to_string(scratch.join("granted").join("below/new"));
    assert_eq!(new.expect("a file"), "1 and more");
}

#[test]
fn each_function_is_there() {
    let _open = unchanged();
    let scratch = directories();
    let evconn = serve(&scratch, "", &[]);
    says(&evconn, &[("files /data/empty", "all of it")]);
    end(evconn);
    let left = fs::read_dir(scratch.join("granted").join("empty"));
    assert_eq!(left.expect("its entries").count(), 0);
}

#[test]
fn nothing_leads_out_of_a_directory_and_no_pipe_is_waited_for() {
    let _open = unchanged();
    let scratch = directories();
    let evconn = serve(&scratch, "", &[]);
    says(
        &evconn,
        &[
            ("list /data/..", "ErrorCode::NotPermitted"),
            ("file /data/../secret", "ErrorCode::NotPermitted"),
            ("file /data/outside", "ErrorCode::NotPermitted"),
            ("store /data/outside", "ErrorCode::NotPermitted"),
            ("file /data/pipe", "ErrorCode::Unsupported"),
        ],
    );
    end(evconn);
}

#[test]
fn what_is_read_only_cannot_be_written() {
    let _open = unchanged();
    let scratch = directories();
    let evconn = serve(&scratch, ":ro", &[]);
    says(
        &evconn,
        &[
            ("file /data/file", "hello"),
            ("store /data/file", "ErrorCode::NotPermitted"),
            ("store /data/new", "ErrorCode::NotPermitted"),
        ],
    );
    end(evconn);
}

/// The connection is one of them.
#[test]
fn what_it_opens_is_charged() {
    let _open = unchanged();
    let scratch = directories();
    let evconn = serve(&scratch, ":ro", &["--max-descriptors", "10"]);
    says(
        &evconn,
        &[
            ("open /data/file 9", "9"),
            ("open /data/file 10", "9 ErrorCode::InsufficientMemory"),
        ],
    );
    let log = end(evconn);
    assert!(log.contains("--max-descriptors"), "{log}");
}

#[test]
fn more_than_is_read_at_a_time_comes_whole() {
    let _open = unchanged();
    let scratch = directories();
    let content = "0123456789abcdef".repeat(20_000);
    fs::write(scratch.join("granted").join("large"), &content).expect("a file");
    let evconn = serve(&scratch, ":ro", &[]);
    says(&evconn, &[("file /data/large", &content)]);
    end(evconn);
}
