//! What a server does without: its file, `/proc`, memory without a name, and room for more processes.

use super::{TEST_GUEST, command, end};
use crate::support::descriptors::unchanged;
use crate::support::peer::echoing;
use crate::support::process::{EVCONN, Ended, Evconn};
use crate::support::scratch::{Scratch, install};
use crate::support::skip;
use crate::support::workers::wait_for_workers;
use rustix::process::getuid;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is executed again is what runs, whatever has become of its file.
#[test]
fn a_worker_is_replaced_though_the_program_is_gone_or_another_one() {
    let _open = unchanged();
    let is_gone: fn(&Path) = |path| std::fs::remove_file(path).expect("removed");
    let is_another: fn(&Path) = |path| install(b"#!/bin/false\n", path);
    for change in [is_gone, is_another] {
        let scratch = Scratch::new();
        let program = scratch.join("evconn");
        std::fs::copy(EVCONN, &program).expect("copied");
        let as_usual = command(2, &[]);
        let mut command = Command::new(&program);
        command.args(as_usual.get_args()).stdin(Stdio::null());
        let evconn = Evconn::start_by(&mut command);
        let address = evconn.address();
        let before = wait_for_workers(&evconn, 2);
        change(&program);
        before.iter().for_each(|worker| worker.kill());
        drop(echoing(address));
        wait_for_workers(&evconn, 2);
        end(evconn);
    }
}

/// By a shell that hides the folder first, in a namespace of its own.
#[test]
fn a_server_does_without_proc() {
    let _open = unchanged();
    let hidden = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(r#"mount -t tmpfs none /proc && exec "$0" "$@""#)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null());
        command
    };
    let works = hidden("true", &[]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return skip("there are no namespaces here, or no `unshare` and `mount`");
    }
    let arguments = [
        "serve",
        TEST_GUEST,
        "--listen",
        "127.0.0.1:0",
        "--processes",
        "2",
    ];
    let evconn = Evconn::start_by(&mut hidden(EVCONN, &arguments));
    let address = evconn.address();
    drop(echoing(address));
    wait_for_workers(&evconn, 2)[0].kill();
    wait_for_workers(&evconn, 2);
    drop(echoing(address));
    end(evconn);
}

/// By a tracer that has a system call fail, and lets the program keep its process number.
fn without_memfd(flags: &[&str], temporary: &Path) -> Option<Evconn> {
    let as_usual = command(2, flags);
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "-qq", "-o", "/dev/null"])
        .args(["-e", "trace=memfd_create"])
        .args(["-e", "inject=memfd_create:error=ENOSYS"])
        .arg(as_usual.get_program())
        .args(as_usual.get_args())
        .env("TMPDIR", temporary)
        .stdin(Stdio::null());
    let probe = Command::new("strace")
        .args(["-D", "-qq", "-o", "/dev/null", "true"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip("strace is not installed, or may not trace");
        return None;
    }
    Some(Evconn::start_by(&mut command))
}

#[test]
fn where_memory_has_no_descriptors_files_take_their_place_and_go() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let Some(evconn) = without_memfd(&[], &scratch.join("")) else {
        return;
    };
    let address = evconn.address();
    assert_eq!(scratch.contents(), Vec::<String>::new());
    drop(echoing(address));
    wait_for_workers(&evconn, 2)[0].kill();
    drop(echoing(address));
    end(evconn);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn where_there_is_place_for_neither_a_start_fails_with_one_line() {
    let _open = unchanged();
    let Some(evconn) = without_memfd(&[], Path::new("/nonexistent")) else {
        return;
    };
    let Ended {
        status,
        stdout,
        stderr,
    } = evconn.wait();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("/nonexistent"), "{stderr}");
}

/// A temporary directory is not needed on Linux.
#[test]
fn a_server_does_without_a_temporary_directory() {
    let _open = unchanged();
    let mut command = command(2, &[]);
    let evconn = Evconn::start_by(command.env("TMPDIR", "/nonexistent"));
    drop(echoing(evconn.address()));
    end(evconn);
}

/// Waits until it serves, or ends with one line of its own, apart from its log. Returns whether it serves.
fn serves_or_says_why_not(evconn: Evconn) -> bool {
    if let Some(address) = evconn.address_unless_it_ends() {
        drop(echoing(address));
        end(evconn);
        return true;
    }
    let Ended {
        status,
        stdout,
        stderr,
    } = evconn.wait();
    if stderr.contains("error while loading shared libraries") {
        // It has not come as far as its own code.
        return false;
    }
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    // Before it, a worker may have panicked: tokio's threads are not started in another way.
    let (_, said) = stderr.rsplit_once("evconn: ").expect("what it says");
    assert_eq!(said.lines().count(), 1, "{stderr}");
    // Either the system's reason, or what has failed for it. Which step meets the limit first differs between machines.
    let of_scarcity = ["cannot ", "a worker ", "the compiler has failed"];
    assert!(
        said.contains("(os error ") || of_scarcity.iter().any(|begin| said.starts_with(begin)),
        "{stderr}"
    );
    false
}

/// A command by `prlimit` or `setpriv`, which may not be installed.
fn limited(by: &[&str], processes: usize) -> Command {
    let as_usual = command(processes, &[]);
    let mut command = Command::new(by[0]);
    command
        .args(&by[1..])
        .arg(as_usual.get_program())
        .args(as_usual.get_args())
        .stdin(Stdio::null());
    command
}

#[test]
fn too_few_descriptors_are_one_line() {
    let _open = unchanged();
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip("prlimit is not installed");
    }
    // Each is another place at which they run out. The test may have been started with open descriptors.
    let serves: Vec<bool> = (4..40)
        .chain([100])
        .map(|count| {
            let limit = format!("--nofile={count}:{count}");
            let evconn = Evconn::start_by(&mut limited(&["prlimit", &limit], 2));
            serves_or_says_why_not(evconn)
        })
        .collect();
    assert_eq!(serves.first(), Some(&false), "{serves:?}");
    assert_eq!(serves.last(), Some(&true), "{serves:?}");
}

/// A command that runs as a user who has no other processes: the limit is one of all that a user has.
fn as_user(command: &[&str]) -> Command {
    const USER: u32 = 61_000;
    // One for each test process: others may run at the same time.
    let user = USER + std::process::id() % 1000;
    let [uid, gid] = ["uid", "gid"].map(|kind| format!("--re{kind}={user}"));
    let mut by = Command::new("setpriv");
    by.args([&uid, &gid, "--clear-groups"])
        .args(command)
        .stdin(Stdio::null());
    by
}

/// A server of that user, who may have no more processes and threads than this.
fn of_user(limit: u32) -> Option<Command> {
    if !getuid().is_root() {
        skip("only root can become another user");
        return None;
    }
    let can_execute = as_user(&[EVCONN, "--version"]).output();
    if !can_execute.is_ok_and(|output| output.status.success()) {
        skip("there is no `setpriv`, or others may not execute the program");
        return None;
    }
    let as_usual = command(2, &["--no-cache"]);
    let mut command = as_user(&["prlimit", &format!("--nproc={limit}:200")]);
    command
        .arg(as_usual.get_program())
        .args(as_usual.get_args());
    Some(command)
}

#[test]
fn too_few_processes_are_one_line() {
    let _open = unchanged();
    let mut serves = Vec::new();
    for limit in [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 100] {
        let Some(mut command) = of_user(limit) else {
            return;
        };
        serves.push(serves_or_says_why_not(Evconn::start_by(&mut command)));
    }
    assert_eq!((serves[0], serves[11]), (false, true), "{serves:?}");
}

/// A worker that cannot be started now is started later.
#[test]
fn a_worker_is_replaced_as_soon_as_there_is_room_for_it() {
    let _open = unchanged();
    let Some(mut command) = of_user(200) else {
        return;
    };
    let evconn = Evconn::start_by(&mut command);
    let address = evconn.address();
    let limit = |count: u32| {
        let process = format!("--pid={}", evconn.id());
        let limit = format!("--nproc={count}:200");
        let mut command = as_user(&["prlimit", &process, &limit]);
        assert!(command.status().expect("it runs").success(), "{command:?}");
    };
    limit(1);
    for worker in wait_for_workers(&evconn, 2) {
        worker.kill();
    }
    evconn.logged("cannot start a worker, next attempt in ");
    limit(200);
    drop(echoing(address));
    end(evconn);
}
