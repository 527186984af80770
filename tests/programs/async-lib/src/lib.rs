//! A service of WASI 0.3 by the guest library, which does what the first line of its peer says.

mod both;

use evconn_guest::p3::{Connection, Reader, Writer, sleep, spawn};
use futures::io::copy;
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use std::io;
use std::time::Duration;

async fn serve(mut connection: Connection) -> io::Result<()> {
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    let (act, argument) = line
        .trim_end()
        .split_once(' ')
        .unwrap_or((line.trim_end(), ""));
    match act {
        "addresses" => {
            let addresses = format!("{} {}\n", connection.peer_addr(), connection.local_addr()?);
            connection.write_all(addresses.as_bytes()).await
        }
        "number" => {
            let number = format!("{}\n", connection.number());
            connection.write_all(number.as_bytes()).await
        }
        "tls" => {
            let protocol = connection
                .tls()
                .map_or("none".to_owned(), |tls| tls.protocol);
            connection
                .write_all(format!("{protocol}\n").as_bytes())
                .await
        }
        "echo" => {
            let (reader, writer) = connection.split();
            echo(reader, writer).await
        }
        // In a task of its own: the function returns at once.
        "spawn-echo" => {
            let (reader, writer) = connection.split();
            spawn(async { echo(reader, writer).await.expect("an echo") });
            Ok(())
        }
        "write" => write(connection, number(argument), 10_000).await,
        "write-bytes" => write(connection, number(argument), 1).await,
        "sleep" => {
            sleep(Duration::from_millis(number(argument) as u64)).await;
            connection.write_all(b"awake\n").await
        }
        "fail" => Err(io::Error::other(argument.to_owned())),
        "write-and-fail" => {
            connection.write_all(b"some of it\n").await?;
            Err(io::Error::other("it has failed"))
        }
        // What is sent ends, and what is received does not.
        "close" => {
            connection.write_all(b"closed\n").await?;
            connection.close().await?;
            let written = connection.write(b"more").await;
            assert_eq!(
                written.expect_err("it is closed").kind(),
                io::ErrorKind::BrokenPipe
            );
            let mut rest = String::new();
            connection.read_to_string(&mut rest).await?;
            println(&rest)
        }
        "how-it-ends" => {
            connection.write_all(b"waiting\n").await?;
            let mut rest = Vec::new();
            match connection.read_to_end(&mut rest).await {
                Ok(count) => println(&format!("after {count} bytes")),
                Err(error) => println(&format!("{:?}", error.kind())),
            }
        }
        "until-nobody-reads" => loop {
            if let Err(error) = connection.write_all(&[b'x'; 1000]).await {
                return println(&format!("{:?}", error.kind()));
            }
        },
        "connect-twice" => {
            let told = both::connect(argument).await?;
            connection.write_all(told.as_bytes()).await
        }
        other => Err(io::Error::other(format!("what is {other}?"))),
    }
}

async fn echo(reader: Reader, mut writer: Writer) -> io::Result<()> {
    copy(reader, &mut writer).await?;
    writer.close().await
}

/// Writes so many bytes, several at a time, and does not wait until they were taken.
async fn write(mut connection: Connection, count: usize, at_a_time: usize) -> io::Result<()> {
    let bytes: Vec<u8> = (0..count).map(|index| b'a' + (index % 26) as u8).collect();
    for bytes in bytes.chunks(at_a_time) {
        connection.write_all(bytes).await?;
    }
    Ok(())
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Has it in the host's log.
fn println(text: &str) -> io::Result<()> {
    evconn_guest::println!("{text}");
    Ok(())
}

evconn_guest::p3_service!(serve);
