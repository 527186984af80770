//! A room: all of its clients are served at a time, and what one says is heard by all. It waits with wasi-libc's `poll`,
//! for its clients and for the next one.
//!
//! Each line of a client is a command: see [`Room::obey`].

#![cfg(target_os = "wasi")]

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::process::exit;

fn main() -> io::Result<()> {
    println!("the room is open");
    let listener = TcpListener::bind("0.0.0.0:7000")?;
    listener.set_nonblocking(true)?;
    let mut room = Room::default();
    while !room.is_closed {
        room.wait(&listener);
        room.accept(&listener)?;
        room.serve();
    }
    Ok(())
}

#[derive(Default)]
struct Room {
    clients: Vec<Client>,
    /// How many were there, and how many of these have failed.
    came: usize,
    failed: usize,
    is_closed: bool,
}

struct Client {
    stream: TcpStream,
    /// What it has said that is no whole line.
    said: Vec<u8>,
    is_done: bool,
}

impl Room {
    /// Waits for a client that comes, says something or is gone.
    fn wait(&self, listener: &TcpListener) {
        let streams = self.clients.iter().map(|client| client.stream.as_raw_fd());
        let waited_for = std::iter::once(listener.as_raw_fd()).chain(streams);
        wait(&mut waited_for.map(readable).collect::<Vec<_>>());
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            self.came += 1;
            self.clients.push(Client {
                stream,
                said: Vec::new(),
                is_done: false,
            });
        }
    }

    fn serve(&mut self) {
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if client.receive().is_err() {
                self.failed += 1;
                client.is_done = true;
            }
            for line in client.lines() {
                self.obey(index, &line);
            }
        }
        self.clients.retain(|client| !client.is_done);
    }

    fn obey(&mut self, index: usize, line: &str) {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "say" => {
                for client in &mut self.clients {
                    client.tell(rest);
                }
            }
            "count" => {
                let open = self.clients.len();
                let counts = format!("{} came, {open} here, {} failed", self.came, self.failed);
                self.clients[index].tell(&counts);
            }
            "print" => println!("{rest}"),
            "bye" => self.clients[index].is_done = true,
            "close" => self.is_closed = true,
            "exit" => exit(rest.parse().expect("a status")),
            "panic" => panic!("somebody said so"),
            "spin" => loop {
                std::hint::black_box(());
            },
            other => panic!("what is {other}?"),
        }
    }
}

impl Client {
    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.is_done = true;
                    return Ok(());
                }
                Ok(count) => self.said.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the whole lines that it has said.
    fn lines(&mut self) -> Vec<String> {
        let end = self.said.iter().rposition(|byte| *byte == b'\n');
        let whole: Vec<_> = self.said.drain(..end.map_or(0, |end| end + 1)).collect();
        whole.lines().map_while(Result::ok).collect()
    }

    /// Those who do not listen miss it.
    fn tell(&mut self, line: &str) {
        let _ = self.stream.write_all(format!("{line}\n").as_bytes());
    }
}

fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}

#[allow(unsafe_code, reason = "the standard library does not wait for several")]
fn wait(list: &mut [libc::pollfd]) {
    // SAFETY: the pointer and the length are those of a slice.
    unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, -1) };
}
