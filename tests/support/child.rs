//! A test that needs a process of its own, because it changes what all threads share.
//!
//! There are two sides. The parent is an ordinary test. It starts the child, which is an ignored
//! test of this same binary ([`Child::of_test`]) or a program ([`Child::of_program`]). The child
//! reports line by line, each line with [`MARK`] before it, and the parent waits for the lines it
//! expects. The child may go on for as long as its standard input is open: so it ends with its
//! parent, too.
//!
//! Someone who runs all ignored tests runs the children without their parents. They then say so and
//! pass ([`is_one`]).

use super::descriptors::ONE_AT_A_TIME;
use super::process::read_lines;
use super::skip;
use super::text::Text;
use std::fmt::Display;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A child compiles its components first, and may have to wait for a processor.
const DEADLINE: Duration = Duration::from_secs(30);

/// Before each report: the test harness of the child writes to the same output.
const MARK: &str = "child: ";

/// Set in the environment of a test that has a parent.
const VARIABLE: &str = "EVCONN_TEST_CHILD";

/// A child, as its parent sees it.
pub struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
    errors: Text,
    /// All that it wrote to its standard output.
    output: String,
}

impl Child {
    /// Runs an ignored test of this binary, by its full name.
    pub fn of_test(name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args([name, "--exact", "--ignored", "--nocapture"])
            .arg("--test-threads=1")
            .env(VARIABLE, "1")
            .env_remove(ONE_AT_A_TIME);
        Self::of_program(&mut command)
    }

    /// Runs a program that reports as a child does.
    pub fn of_program(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let lines = read_lines(process.stdout.take().expect("stdout"));
        let errors = Text::read(process.stderr.take().expect("stderr"));
        Self {
            process,
            lines,
            errors,
            output: String::new(),
        }
    }

    /// Waits for its next report, which is to begin with `word`, and returns the rest.
    pub fn hear(&mut self, word: &str) -> String {
        let report = self.next_report();
        let report = report.unwrap_or_else(|| panic!("the child ended without a word of {word:?}"));
        match report.strip_prefix(word) {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("the child was to report {word:?}, and reported {report:?}"),
        }
    }

    /// Lets it end, and waits until it has: it is to report nothing more, and to succeed.
    pub fn dismiss(mut self) {
        drop(self.process.stdin.take());
        let report = self.next_report();
        assert_eq!(report, None, "a report that nobody expected");
        let status = self.process.wait().expect("a status");
        assert!(status.success(), "the child: {status}");
    }

    /// Its next report, or nothing if it has ended.
    fn next_report(&mut self) -> Option<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("the child says nothing"),
            };
            self.output += &format!("{line}\n");
            // The harness leaves a line unfinished before the test that it names begins.
            if let Some((_, report)) = line.split_once(MARK) {
                return Some(report.to_owned());
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Shown by the test harness if the test failed.
        eprintln!("the child's standard output:\n{}", self.output);
        eprintln!("the child's standard error:\n{}", self.errors.all());
    }
}

/// Returns whether this process is a child. If not, the test that asks has nothing to do.
pub fn is_one() -> bool {
    let is_one = std::env::var_os(VARIABLE).is_some();
    if !is_one {
        skip("this test is run by another one, in a process of its own");
    }
    is_one
}

/// Report to the parent.
pub fn say(report: impl Display) {
    println!("{MARK}{report}");
}

/// Waits until the parent wants no more, or is gone.
pub async fn dismissed() {
    let wait = || std::io::stdin().read_to_end(&mut Vec::new());
    let read = tokio::task::spawn_blocking(wait).await;
    read.expect("no panic").expect("the end of standard input");
}
