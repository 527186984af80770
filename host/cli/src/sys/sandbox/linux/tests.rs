//! What a process can do before and after it has given up its privileges. Since it cannot have them back, each test
//! runs an ignored one of [`confined`] in a process of its own.

mod confined;
mod document;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// Set in the environment of a test that has a parent.
const VARIABLE: &str = "EVCONN_TEST_CHILD";

/// An empty directory, in which a child runs.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = name.replace("::", "-");
        let name = format!("evconn-sandbox-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// Runs a test of [`confined`], by its name. Returns its status, and what it printed.
fn run(name: &str) -> (ExitStatus, String) {
    let scratch = Scratch::new(name);
    let mut child = start(name, &scratch);
    let output = child.stdout.take().expect("stdout");
    let errors = child.stderr.take().expect("stderr");
    let (printed, prints) = mpsc::channel();
    for mut pipe in [Box::new(output) as Box<dyn Read + Send>, Box::new(errors)] {
        let printed = printed.clone();
        std::thread::spawn(move || {
            let mut text = String::new();
            let result = pipe.read_to_string(&mut text);
            let _ = printed.send(result.map(|_| text));
        });
    }
    let next = || prints.recv_timeout(DEADLINE);
    let texts = [next(), next()];
    // If it is late: otherwise it has ended.
    let _ = child.kill();
    let status = child.wait().expect("a status");
    let texts = texts.map(|text| text.expect("an end in time").expect("text"));
    (status, texts.concat())
}

fn start(name: &str, scratch: &Scratch) -> Child {
    let name = format!("{}::confined::{name}", module_path!());
    // The harness names tests without the crate.
    let (_, name) = name.split_once("::").expect("a crate");
    Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .env(VARIABLE, "1")
        .current_dir(&scratch.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the child starts")
}

/// Runs a test of [`confined`], which has to pass.
fn passes(name: &str) {
    let (status, output) = run(name);
    println!("{output}");
    assert!(status.success(), "{status}");
    assert!(output.contains("1 passed"), "there is no such test");
}

macro_rules! passing {
    ($($module:ident: $($name:ident)*;)*) => {
        $($(
            #[test]
            fn $name() {
                passes(concat!(stringify!($module), "::", stringify!($name)));
            }
        )*)*
    };
}

passing! {
    files:
        no_file_can_be_opened
        a_granted_directory_is_all_that_there_is
        what_is_read_only_is_not_written
        a_single_file_can_be_granted
        what_is_open_stays_usable
        a_missing_directory_is_an_error_of_one_line;
    network:
        without_a_grant_there_is_no_network
        landlock_denies_tcp_and_signals_by_itself
        with_a_grant_there_is_the_internet_and_nothing_else
        descriptors_are_passed;
    processes:
        no_program_is_executed
        capabilities_are_dropped
        capabilities_that_grants_take_are_kept
        threads_start_and_end
        event_loops_start_and_end
        no_memory_becomes_executable
        guests_run_and_trap
        other_calls_fail
        arguments_are_checked
        what_is_confined_stays_confined
        a_container_that_forbids_filters_is_a_line;
}

#[test]
fn aborting_ends_the_process() {
    let (status, output) = run("processes::aborting");
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}: {output}");
}
