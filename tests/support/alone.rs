//! Tests in a process of their own: those that change what a process has but once, such as its
//! limit of descriptors ([`limit`](super::limit)). One that has to talk with its parent is a
//! [`child`](super::child).

use super::descriptors::ONE_AT_A_TIME;
use super::{DEADLINE, skip};
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::Command;

/// Which test a process was started for.
const FOR: &str = "EVCONN_TEST_ALONE";

/// Runs the body of the test called `path` (its `module_path!()` and name) in a process of its own.
pub fn alone(path: &str, body: impl FnOnce()) {
    alone_by(Command::new, path, body);
}

/// The same in a network namespace of its own, in which there is the loopback interface only.
pub fn offline(path: &str, body: impl FnOnce()) {
    prepared("ip link set lo up", path, body);
}

/// The same in namespaces of its own for the network and for mounts, which this script of the shell sets up.
pub fn prepared(script: &str, path: &str, body: impl FnOnce()) {
    let script = format!(r#"{script} && exec "$0" "$@""#);
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net", "--mount"])
            .args(["sh", "-c", &script])
            .args(arguments);
        command
    };
    let works = std::env::var_os(FOR).is_some()
        || unshare(&["true"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !works {
        return skip("there are no namespaces here, or no `unshare`, `mount` and `ip`");
    }
    let command = |program: PathBuf| unshare(&[program.to_str().expect("a path in Unicode")]);
    alone_by(command, path, body);
}

fn alone_by(command: impl Fn(PathBuf) -> Command, path: &str, body: impl FnOnce()) {
    let name = path.split_once("::").map_or(path, |(_crate, name)| name);
    if std::env::var_os(FOR).is_some_and(|for_test| for_test == name) {
        end_with_parent();
        return body();
    }
    let program = std::env::current_exe().expect("the path of this program");
    let output = command(program)
        .args([name, "--exact", "--nocapture"])
        .env(FOR, name)
        .env_remove(ONE_AT_A_TIME)
        .output()
        .expect("this program starts again");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert!(text.contains("1 passed"), "{name} did not run:\n{text}");
    print!("{text}");
}

/// A process whose test hangs, or whose parent is gone, is not to stay.
fn end_with_parent() {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
    std::thread::spawn(|| {
        std::thread::sleep(2 * DEADLINE);
        eprintln!("the test hangs");
        std::process::exit(101);
    });
}
