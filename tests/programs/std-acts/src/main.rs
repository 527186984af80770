//! A server that does what its argument says, or what its client says in a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::process::exit;
use std::thread::sleep;
use std::time::Duration;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(1 << 20);

/// What its listening socket has for the hops of a packet, and so its connections.
const TTL: u32 = 33;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut arguments = arguments.iter().map(String::as_str);
    let act = arguments.next().unwrap_or("serve");
    let address = arguments.next().unwrap_or("0.0.0.0:7000");
    match act {
        // Without an accept.
        "return" => Ok(()),
        "fail" => Err(io::Error::other("it has failed")),
        "exit" => {
            println!("it has to go");
            exit(address.parse().expect("a status"))
        }
        "panic" => panic!("it panics"),
        "sleep" => {
            sleep(FOR_EVER);
            Ok(())
        }
        "spin" => spin(),
        "bind" => {
            let _listener = TcpListener::bind(address)?;
            sleep(FOR_EVER);
            Ok(())
        }
        "if-exists" => {
            if !std::path::Path::new(address).exists() {
                eprintln!("{address} is missing");
                exit(4)
            }
            serve(&TcpListener::bind("0.0.0.0:7000")?)
        }
        "second" => {
            let _first = TcpListener::bind(address)?;
            let second = TcpListener::bind("0.0.0.0:7001")?;
            serve(&second)
        }
        // Before it listens for others, while its connection waits.
        "itself" => {
            println!("{}", talks_to_itself()?);
            serve(&TcpListener::bind(address)?)
        }
        "serve" => serve(&TcpListener::bind(address)?),
        "poll" => {
            let listener = TcpListener::bind(address)?;
            loop {
                match waits_for_a_time(&listener)? {
                    true => serve_one(&listener, 1)?,
                    false => println!("it is time"),
                }
            }
        }
        other => panic!("what is {other}?"),
    }
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    if listener.local_addr()?.is_ipv4() {
        listener.set_ttl(TTL)?;
    }
    for served in 1.. {
        serve_one(listener, served)?;
    }
    Ok(())
}

fn serve_one(listener: &TcpListener, served: u32) -> io::Result<()> {
    let (stream, peer) = listener.accept()?;
    let mut input = BufReader::new(&stream);
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let client = Client {
            listener,
            stream: &stream,
            peer,
            served,
        };
        if !client.does(line.trim_end(), &mut input)? {
            break;
        }
        line.clear();
    }
    drop(input);
    drop(stream);
    match line.trim_end() {
        "close-and-sleep" => sleep(FOR_EVER),
        "close-and-spin" => spin(),
        "close-and-exit" => exit(5),
        "close-and-panic" => panic!("it panics after the end"),
        _ => {}
    }
    Ok(())
}

/// Waits for a client, as servers do that have something else to do from time to time. Returns whether there is one.
fn waits_for_a_time(listener: &TcpListener) -> io::Result<bool> {
    const TIME: i32 = 50;
    let mut polled = libc::pollfd {
        fd: listener.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: it is called with one structure, and a pointer to it.
    match unsafe { libc::poll(&mut polled, 1, TIME) } {
        -1 => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}

/// Makes a pair of sockets, as languages do whose system has no other, and returns what it is told of them.
fn talks_to_itself() -> io::Result<&'static str> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut one = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, peer) = listener.accept()?;
    drop(listener);
    if peer != one.local_addr()? || other.local_addr()? != one.peer_addr()? {
        return Ok("somebody else");
    }
    one.write_all(b"to itself")?;
    drop(one);
    let mut text = String::new();
    other.read_to_string(&mut text)?;
    match text.as_str() {
        "to itself" => Ok("itself"),
        _ => Ok("something else"),
    }
}

struct Client<'a> {
    listener: &'a TcpListener,
    stream: &'a TcpStream,
    peer: SocketAddr,
    served: u32,
}

impl Client<'_> {
    /// Returns whether the connection goes on.
    fn does(&self, line: &str, input: &mut impl Read) -> io::Result<bool> {
        let mut stream = self.stream;
        let (act, argument) = line.split_once(' ').unwrap_or((line, ""));
        match act {
            "peer" => writeln!(stream, "{} {}", self.peer, stream.peer_addr()?)?,
            "local" => writeln!(stream, "{}", stream.local_addr()?)?,
            "listener" => writeln!(stream, "{}", self.listener.local_addr()?)?,
            "again" => match TcpListener::bind(self.listener.local_addr()?) {
                Ok(_) => writeln!(stream, "bound")?,
                Err(error) => writeln!(stream, "{:?}", error.kind())?,
            },
            "served" => writeln!(stream, "{}", self.served)?,
            "connect" => match TcpStream::connect(argument) {
                Ok(mut upstream) => {
                    let mut text = String::new();
                    upstream.read_to_string(&mut text)?;
                    write!(stream, "{text}")?;
                }
                Err(error) => writeln!(stream, "{:?}", error.kind())?,
            },
            "resolve" => match (argument, 0).to_socket_addrs() {
                Ok(addresses) => {
                    let addresses: Vec<_> = addresses.map(|it| it.ip().to_string()).collect();
                    writeln!(stream, "{}", addresses.join(" "))?;
                }
                Err(_) => writeln!(stream, "unresolvable")?,
            },
            "ttl" => writeln!(stream, "{}", self.stream.ttl()?)?,
            "itself" => writeln!(stream, "{}", talks_to_itself()?)?,
            "env" => writeln!(stream, "{}", std::env::var(argument).unwrap_or_default())?,
            "write" => stream.write_all(&vec![b'x'; argument.parse().expect("a number")])?,
            "read" => {
                let mut all = Vec::new();
                input.read_to_end(&mut all)?;
                writeln!(stream, "{}", all.len())?;
            }
            "leave" => return Err(io::Error::other("it leaves")),
            "half-close" => self.stream.shutdown(std::net::Shutdown::Write)?,
            "panic" => panic!("it panics"),
            "exit" => exit(argument.parse().expect("a status")),
            "spin" => spin(),
            "close" | "close-and-sleep" | "close-and-spin" | "close-and-exit"
            | "close-and-panic" => return Ok(false),
            _ => writeln!(stream, "{line}")?,
        }
        Ok(true)
    }
}
