//! A process and its descendants: a server may consist of several processes.

use anyhow::{Context, Result};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};

/// Returns a process and its descendants, parents first. Descendants of a process that has ended are not
/// found: they belong to another one by then.
pub fn of(root: u32) -> Result<Vec<u32>> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&process) = family.get(next) {
        match children(process) {
            Ok(children) => family.extend(children),
            Err(error) if has_ended(&error) && process != root => {}
            Err(error) => return Err(error).with_context(|| format!("children of {process}")),
        }
        next += 1;
    }
    Ok(family)
}

/// Returns the children that any thread of the process has started.
fn children(process: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        match fs::read_to_string(thread?.path().join("children")) {
            Ok(text) => {
                let numbers = text.split_whitespace();
                children.extend(numbers.filter_map(|number| number.parse::<u32>().ok()));
            }
            // Its children belong to another thread now, which may have been read before.
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(children)
}

/// Returns whether this error of reading from `/proc` means that the process or the thread is gone.
pub fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Returns the name of a process, unless it has ended.
pub fn name(process: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
pub mod testing {
    //! A shell with children, for tests.

    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A shell. It and its children end at the end of descriptor 3, so that none is left behind.
    pub struct Shell {
        child: Child,
        output: BufReader<ChildStdout>,
    }

    impl Shell {
        pub fn run(script: &str) -> Self {
            let mut child = Command::new("sh")
                .args(["-c", &format!("exec 3<&0; {script}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a shell");
            let output = BufReader::new(child.stdout.take().expect("its output"));
            Self { child, output }
        }

        pub fn id(&self) -> u32 {
            self.child.id()
        }

        /// Waits for a line of output.
        pub fn line(&mut self) -> String {
            let mut line = String::new();
            self.output.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        }

        /// Sends a line to the first process that reads one.
        pub fn send(&mut self, line: &str) {
            let input = self.child.stdin.as_mut().expect("its input");
            writeln!(input, "{line}").expect("the line is sent");
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            drop(self.child.stdin.take());
            let ended = self.child.wait();
            // A second panic would hide the first.
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Shell;

    #[test]
    fn a_process_comes_with_its_children_and_theirs() {
        let mut shell = Shell::run("sh -c 'cat <&3 & echo $$ $!; wait' & wait");
        let line = shell.line();
        let numbers: Vec<u32> = line.split(' ').map(|it| it.parse().expect(it)).collect();
        let [child, grandchild] = numbers[..] else {
            panic!("{line}")
        };
        let family = super::of(shell.id()).expect("it runs");
        assert_eq!(family, [shell.id(), child, grandchild]);
        assert_eq!(super::name(child).as_deref(), Some("sh"));
    }

    #[test]
    fn a_process_that_has_ended_is_an_error() {
        // Above the largest number of a process.
        assert!(super::of(u32::MAX).is_err());
    }
}
