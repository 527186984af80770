//! Other programs, which may not be installed.

use super::skip;
use std::io::{ErrorKind, Write};
use std::process::{Child, Command, Output, Stdio};

/// A running program, which ends with its test.
pub struct Tool(Child);

impl Tool {
    /// Starts it, or writes why that is not possible here.
    pub fn start(command: &mut Command) -> Option<Self> {
        match command.spawn() {
            Ok(child) => Some(Self(child)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let program = command.get_program().to_string_lossy();
                skip(&format!("{program} is not installed"));
                None
            }
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it to its end with this input, or writes why that is not possible here.
pub fn run(command: &mut Command, input: &[u8]) -> Option<Output> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut tool = Tool::start(command)?;
    let mut stdin = tool.child().stdin.take().expect("stdin");
    // It may not want it.
    let _ = stdin.write_all(input);
    drop(stdin);
    let mut output = Output {
        status: tool.child().wait().expect("a status"),
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let child = tool.child();
    let read = |from: Option<&mut dyn std::io::Read>, to: &mut Vec<u8>| {
        from.expect("piped").read_to_end(to).expect("read");
    };
    read(
        child.stdout.as_mut().map(|pipe| pipe as _),
        &mut output.stdout,
    );
    read(
        child.stderr.as_mut().map(|pipe| pipe as _),
        &mut output.stderr,
    );
    Some(output)
}
