//! A process that this one has started: its control socket, and its log, which is passed on.

use super::{Channel, Receiver, Sender};
use crate::log;
use crate::sys::Importance;
use crate::sys::child::Child;
use evconn::Stderr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Write};
use std::process::ChildStderr;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

/// Maximum length of a line. A longer one is passed on in parts.
const MAX_LINE: usize = 64 << 10;

/// A process, which is killed when this is dropped.
pub struct Process<M> {
    pub child: Child,
    pub control: Sender<M>,
    /// Ends when the process has ended and its whole log is passed on.
    pub log: JoinHandle<()>,
}

/// Starts this program with a hidden subcommand, in a tokio runtime on the main thread.
pub fn start<M: Serialize, N: DeserializeOwned>(
    subcommand: &str,
    importance: Importance,
    environment: &[(&str, &str)],
) -> io::Result<(Process<M>, Receiver<N>)> {
    let (here, there) = Channel::pair()?;
    let filter = log::changed_filter();
    let filter = filter.iter().map(|filter| (log::VARIABLE, filter.as_str()));
    let environment: Vec<_> = environment.iter().copied().chain(filter).collect();
    let (child, stderr) = Child::start(subcommand, there, importance, &environment)?;
    let (control, messages) = here.split()?;
    let log = pass_on(stderr)?;
    let process = Process {
        child,
        control,
        log,
    };
    Ok((process, messages))
}

/// Passes on the log of a process in whole lines, and no faster than standard error is read.
fn pass_on(stderr: ChildStderr) -> io::Result<JoinHandle<()>> {
    let mut pipe = pipe::Receiver::from_owned_fd(stderr.into())?;
    Ok(tokio::spawn(async move {
        let mut text = Vec::new();
        // An error is as good as the end: nothing more can be read.
        while let Ok(1..) = pipe.read_buf(&mut text).await {
            Stderr::ready().await;
            pass_on_lines(&mut text);
        }
        if !text.is_empty() {
            text.push(b'\n');
            pass_on_lines(&mut text);
        }
    }))
}

fn pass_on_lines(text: &mut Vec<u8>) {
    let lines = match text.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => text.drain(..=last),
        None if text.len() > MAX_LINE => {
            text.push(b'\n');
            text.drain(..)
        }
        None => return,
    };
    log::note(lines.as_slice());
    // It fails only if the thread that writes could not be started: nothing can be reported then.
    let _ = Stderr::default().write_all(lines.as_slice());
}
