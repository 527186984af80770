//! Flags for processes that cannot be meant, and what is not meant for users.

use super::TEST_GUEST;
use crate::support::descriptors::unchanged;
use crate::support::process::{CACHE_HOME, EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use std::path::Path;
use std::process::{Command, Stdio};

/// It ends with status 2, and says so in one line, which is returned.
fn refused_in_a_line(ended: Ended) -> String {
    let Ended {
        status,
        stdout,
        stderr,
    } = ended;
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[test]
fn numbers_of_processes_that_cannot_be_meant_say_what_would_be_right() {
    let _open = unchanged();
    for command in [&["serve", TEST_GUEST][..], &["echo"]] {
        for number in ["-1", "1025", "100000", "abc", "1.5", ""] {
            let arguments = [command, &["--listen", "127.0.0.1:0", "--processes", number]];
            let ended = Evconn::run(&arguments.concat());
            assert_eq!(ended.status.code(), Some(2), "{number}: {}", ended.stderr);
            assert_eq!(ended.stdout, "");
            assert!(ended.stderr.contains("--processes <N>"), "{}", ended.stderr);
        }
    }
}

#[test]
fn bounds_of_compiling_that_cannot_be_meant_say_what_would_be_right() {
    let _open = unchanged();
    for (flag, value, hint) in [
        ("--compile-timeout", "0", "more than 0"),
        ("--compile-timeout", "soon", "a number of seconds"),
        ("--compile-memory", "64MB", "64M"),
        ("--compile-memory", "-1", "64M"),
    ] {
        let arguments = ["serve", TEST_GUEST, "--listen", "127.0.0.1:0", flag, value];
        let ended = Evconn::run(&arguments);
        assert_eq!(
            ended.status.code(),
            Some(2),
            "{flag} {value}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    }
}

/// Whatever its standard input is.
#[test]
fn what_a_supervisor_starts_is_no_command_for_users() {
    let _open = unchanged();
    for subcommand in ["worker", "loader"] {
        for input in ["</dev/null", "<&-", "</dev/zero", "<<<nonsense", "</"] {
            let script = format!(r#"exec "$0" {subcommand} {input}"#);
            let mut command = Command::new("bash");
            command.args(["-c", &script, EVCONN]).stdin(Stdio::null());
            let said = refused_in_a_line(Evconn::start_by(&mut command).wait());
            assert!(said.contains("`evconn serve` starts it"), "{said}");
        }
        let help = Evconn::run(&["--help"]).stdout;
        assert!(!help.contains(subcommand), "{help}");
    }
}

/// Serves with a cache in which nothing is.
fn uncached(scratch: &Scratch, app: &Path, flags: &[&str]) -> Ended {
    let mut command = Command::new(EVCONN);
    command
        .arg("serve")
        .arg(app)
        .args(["--listen", "127.0.0.1:0", "--processes", "2"])
        .args(flags)
        .env(CACHE_HOME, scratch.join("cache"))
        .env("TMPDIR", scratch.join(""))
        .stdin(Stdio::null());
    Evconn::start_by(&mut command).wait()
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let app = Path::new(TEST_GUEST);
    let said = refused_in_a_line(uncached(&scratch, app, &["--compile-timeout", "0.001"]));
    assert!(
        said.contains("takes longer than 1ms") && said.contains("--compile-timeout"),
        "{said}"
    );
    let left = scratch.contents();
    assert!(left.iter().all(|name| name == "cache"), "{left:?}");
}

/// The more memory it may take, the further it comes: however far that is, it says so in one line.
#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let app = scratch.join("app.wat");
    std::fs::write(&app, super::large_component(6000)).expect("written");
    for memory in ["8M", "16M"] {
        let said = refused_in_a_line(uncached(&scratch, &app, &["--compile-memory", memory]));
        assert!(said.contains("--compile-memory"), "{memory}: {said}");
    }
    let left = scratch.contents();
    let expected = |name: &String| ["app.wat", "cache"].contains(&name.as_str());
    assert!(left.iter().all(expected), "{left:?}");
}
