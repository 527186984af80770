//! A client: each of its lines is a command.

use crate::bindings::wasi::cli::environment::get_environment;
use crate::net::{Connection, connect, dropped_listener, resolve, show, talks_to_itself};
use crate::print::print;
use crate::room::Room;
use crate::{exit_with, files, leave, sleep, spin};
use std::net::SocketAddr;
use std::rc::Rc;

/// How often it gives way to others.
const OFTEN: usize = 1_000;

pub struct Client {
    room: Rc<Room>,
    /// Where the program listens.
    here: SocketAddr,
    connection: Connection,
    number: usize,
}

/// What a client has said it wants at the end.
enum Next {
    Line,
    Close,
}

impl Client {
    pub async fn new(room: &Rc<Room>, here: SocketAddr, connection: Connection) -> Self {
        let number = room.enter(&connection);
        Self {
            room: Rc::clone(room),
            here,
            connection,
            number,
        }
    }

    pub async fn serve(mut self) {
        let mut last = String::new();
        while let Some(line) = self.connection.line().await {
            last = line;
            if let Next::Close = self.does(&last).await {
                break;
            }
        }
        let room = Rc::clone(&self.room);
        room.leave(self.number);
        drop(self);
        match last.as_str() {
            "close-and-sleep" => sleep().await,
            "close-and-spin" => spin(),
            "close-and-exit" => leave("5"),
            "close-and-panic" => panic!("it panics after the end"),
            "leave" => room.fail(),
            "close-and-yield" => {
                for _ in 0..OFTEN {
                    wit_bindgen_async::yield_async().await;
                }
                print("it has given way often").await;
            }
            other => {
                if let Some(("close-and-ask", server)) = other.split_once(' ') {
                    let upstream = connect(server.parse().expect("an address")).await;
                    let answer = upstream.expect("it is there").all().await;
                    print(&String::from_utf8_lossy(&answer)).await;
                }
            }
        }
    }

    async fn does(&mut self, line: &str) -> Next {
        let (act, argument) = line.split_once(' ').unwrap_or((line, ""));
        match act {
            "peer" => {
                let peer = self.connection.remote();
                self.say(format!("{peer} {peer}")).await;
            }
            "local" => self.say(self.connection.local()).await,
            "listener" => self.say(self.here).await,
            "again" => self.say(dropped_listener(self.here)).await,
            "ttl" => self.say(self.connection.hops()).await,
            "served" => self.say(self.number).await,
            "connect" => self.connect(argument).await,
            "resolve" => self.resolve(argument).await,
            "itself" => self.say(talks_to_itself().await).await,
            "env" => self.say(variable(argument)).await,
            "write" => self.write(argument.parse().expect("a number")).await,
            "read" => {
                let count = self.connection.count().await;
                self.say(count).await;
            }
            "file" => self.say(files::content(argument).await).await,
            "store" => self.say(files::store(argument, self.number).await).await,
            "list" => self.say(files::list(argument).await).await,
            "files" => self.say(files::everything(argument).await).await,
            "open" => self.say(files::open_many(argument).await).await,
            "tell" => self.room.tell(argument).await,
            "half-close" => self.connection.end_sending().await,
            "panic" => panic!("it panics"),
            "exit" => leave(argument),
            "exit-with-code" => exit_with(argument),
            "spin" => spin(),
            "sleep" => sleep().await,
            "close" | "close-and-sleep" | "close-and-spin" | "close-and-exit"
            | "close-and-panic" | "close-and-yield" | "close-and-ask" | "leave" => {
                return Next::Close;
            }
            _ => self.say(line).await,
        }
        Next::Line
    }

    async fn say(&self, what: impl ToString) {
        let line = format!("{}\n", what.to_string());
        self.connection.send(line.into_bytes()).await;
    }

    async fn write(&self, count: usize) {
        self.connection.send(vec![b'x'; count]).await;
    }

    /// Passes on what another server says.
    async fn connect(&self, to: &str) {
        match connect(to.parse().expect("an address")).await {
            Ok(mut upstream) => self.connection.send(upstream.all().await).await,
            Err(code) => self.say(show(&code)).await,
        }
    }

    async fn resolve(&self, name: &str) {
        match resolve(name).await {
            Some(addresses) => {
                let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                self.say(shown.join(" ")).await;
            }
            None => self.say("unresolvable").await,
        }
    }
}

fn variable(name: &str) -> String {
    let variables = get_environment();
    let found = variables.into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value).unwrap_or_default()
}
