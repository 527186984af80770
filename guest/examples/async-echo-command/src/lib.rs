//! An echo server as a program of WASI 0.3: `async-echo-command [PORT [SECONDS]]`, 9876 and 60 by default. It ends
//! connections on which nothing has come for that long.

use evconn_guest::p3::{Listener, TcpStream, sleep, spawn};
use evconn_guest::{eprintln, println};
use futures::future::{Either, select};
use futures::{AsyncBufReadExt, AsyncWriteExt};
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

/// The arguments.
struct Settings {
    port: u16,
    idle: Duration,
}

impl Settings {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let number = |at: usize, default: u16| match arguments.get(at) {
            Some(text) => text.parse().map_err(|_| format!("{text}: not a number")),
            None => Ok(default),
        };
        Ok(Self {
            port: number(0, 9876)?,
            idle: Duration::from_secs(number(1, 60)?.into()),
        })
    }
}

async fn echo(connection: TcpStream, idle: Duration) -> io::Result<()> {
    let (mut reader, mut writer) = connection.split();
    loop {
        let bytes = match select(reader.fill_buf(), pin!(sleep(idle))).await {
            Either::Left((bytes, _)) => bytes?,
            Either::Right(_) => return writer.write_all(b"bye\n").await,
        };
        if bytes.is_empty() {
            return Ok(());
        }
        writer.write_all(bytes).await?;
        let count = bytes.len();
        reader.consume_unpin(count);
    }
}

async fn run(arguments: Vec<String>) -> Result<(), String> {
    let Settings { port, idle } = Settings::parse(&arguments)?;
    let listener = Listener::bind((Ipv4Addr::UNSPECIFIED, port));
    let mut listener = listener.map_err(|error| format!("cannot listen: {error}"))?;
    let addresses = listener.local_addrs().map_err(|error| error.to_string())?;
    for address in addresses {
        println!("listening on {address}");
    }
    while let Some(next) = listener.next().await {
        match next {
            Ok((connection, peer)) => spawn(async move {
                if let Err(error) = echo(connection, idle).await {
                    eprintln!("{peer}: {error}");
                }
            }),
            Err(error) => eprintln!("cannot accept: {error}"),
        }
    }
    Err("the listener has stopped".to_owned())
}

evconn_guest::p3_command!(run);
