//! The two ends of a control socket. A process uses its end with blocking calls first, and then in its event
//! loop.

use super::frames::{Frame, Inbox};
use crate::sys::descriptors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::sync::{mpsc, oneshot};

/// Maximum number of queued messages. A process that is stopped reads none.
const QUEUE: usize = 1024;

/// An end of a control socket.
pub struct Channel {
    socket: UnixStream,
    inbox: Inbox,
}

/// The other process is gone, or does not read.
#[derive(Debug)]
pub struct Disconnected;

impl Channel {
    /// Returns both ends: this process's, and the descriptor for a process that is going to be started.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self::new(here), there.into()))
    }

    fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            inbox: Inbox::default(),
        }
    }

    /// Returns the end that this process was started with.
    pub fn of_standard_input() -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self::new(socket.into()))
    }

    /// Sends a message, and waits until it is sent.
    pub fn send(&self, message: &impl Serialize, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let frame = Frame::new(message, descriptors)?;
        let mut sent = 0;
        while let Some(rest) = frame.bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let with: &[OwnedFd] = if sent == 0 { &frame.descriptors } else { &[] };
            sent += descriptors::send(&self.socket, rest, with)?;
        }
        Ok(())
    }

    /// Waits for the next message. Returns `None` if the other process is gone.
    pub fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.inbox.next()? {
                return Ok(Some(message));
            }
            let Inbox { bytes, descriptors } = &mut self.inbox;
            if descriptors::receive(&self.socket, bytes, descriptors)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Splits the end for use in a tokio runtime.
    pub fn split<M: Serialize, N>(self) -> io::Result<(Sender<M>, Receiver<N>)> {
        self.socket.set_nonblocking(true)?;
        let socket = Arc::new(tokio::net::UnixStream::from_std(self.socket)?);
        let (queue, frames) = mpsc::channel(QUEUE);
        tokio::spawn(send_all(Arc::clone(&socket), frames));
        let sender = Sender {
            queue,
            messages: PhantomData,
        };
        let receiver = Receiver {
            socket,
            inbox: self.inbox,
            messages: PhantomData,
        };
        Ok((sender, receiver))
    }
}

/// What is queued for the other process.
enum Queued {
    Frame(Frame),
    /// Whoever waits until all before this is sent.
    Flush(oneshot::Sender<()>),
}

/// Sends messages without waiting for the other process.
pub struct Sender<M> {
    queue: mpsc::Sender<Queued>,
    messages: PhantomData<fn(M)>,
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            messages: PhantomData,
        }
    }
}

impl<M: Serialize> Sender<M> {
    /// Queues a message.
    ///
    /// # Errors
    /// If the other process is gone, or has not read the last thousand messages.
    pub fn send(&self, message: &M, descriptors: Vec<OwnedFd>) -> Result<(), Disconnected> {
        let frame = Frame::new(message, descriptors).map_err(|_| Disconnected)?;
        let queued = self.queue.try_send(Queued::Frame(frame));
        queued.map_err(|_| Disconnected)
    }

    /// Waits until all that was queued is sent, or the other process is gone.
    pub async fn flush(&self) {
        let (sent, is_sent) = oneshot::channel();
        if self.queue.send(Queued::Flush(sent)).await.is_ok() {
            // An error means that the other process is gone.
            let _ = is_sent.await;
        }
    }
}

/// Receives messages.
pub struct Receiver<M> {
    socket: Arc<tokio::net::UnixStream>,
    inbox: Inbox,
    messages: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Receiver<M> {
    /// Waits for the next message. Returns `None` if the other process is gone.
    pub async fn receive(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.inbox.next()? {
                return Ok(Some(message));
            }
            self.socket.readable().await?;
            let Inbox { bytes, descriptors } = &mut self.inbox;
            let received = self.socket.try_io(Interest::READABLE, || {
                descriptors::receive(&self.socket, bytes, descriptors)
            });
            match received {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It has ended without having read all.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Sends what is queued, until the other process is gone.
async fn send_all(socket: Arc<tokio::net::UnixStream>, mut queue: mpsc::Receiver<Queued>) {
    while let Some(queued) = queue.recv().await {
        let sent = match queued {
            Queued::Frame(frame) => send(&socket, frame).await,
            Queued::Flush(waiting) => {
                // Whoever waited may have given up.
                let _ = waiting.send(());
                Ok(())
            }
        };
        if let Err(error) = sent {
            tracing::debug!("the control socket is closed: {error}");
            return;
        }
    }
}

async fn send(socket: &tokio::net::UnixStream, frame: Frame) -> io::Result<()> {
    let Frame {
        bytes,
        mut descriptors,
    } = frame;
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        socket.writable().await?;
        let sent = socket.try_io(Interest::WRITABLE, || {
            descriptors::send(socket, rest, &descriptors)
        });
        match sent {
            Ok(count) => {
                rest = &rest[count..];
                descriptors.clear();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other process reads so late that a message is taken from the queue long before it is sent.
    #[tokio::test]
    async fn a_message_is_sent_once_the_queue_is_flushed() {
        let (here, there) = Channel::pair().expect("a pair");
        let (sender, _receiver) = here.split::<String, String>().expect("split");
        let long = "x".repeat(1 << 20);
        sender.send(&long, Vec::new()).expect("queued");
        let there = UnixStream::from(there);
        let deadline = Some(std::time::Duration::from_secs(10));
        there.set_read_timeout(deadline).expect("a timeout");
        let reader = std::thread::spawn(move || {
            let mut there = Channel::new(there);
            let first = there.receive::<String>().expect("a message");
            first.map(|(text, _)| text.len())
        });
        sender.flush().await;
        // Nothing is sent any more: all has to be on its way.
        drop((sender, _receiver));
        assert_eq!(reader.join().expect("no panic"), Some(long.len()));
    }
}
