//! The example services, with common clients of their protocols and with difficult ones.

mod daytime;
mod kv;
mod line;
mod proxy;
mod smtp;

use crate::support::{Server, tool, within};
use evconn::Limits;
use std::net::Ipv4Addr;
use std::process::{Command, Output};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start(component: &[u8]) -> Server {
    Server::start(Ipv4Addr::LOCALHOST.into(), component, Limits::default()).await
}

/// Runs a client to its end, while the server runs. None where it is not installed, which is said.
async fn run(mut command: Command, input: impl Into<Vec<u8>>) -> Option<Output> {
    let input = input.into();
    let running = tokio::task::spawn_blocking(move || tool::run(&mut command, &input));
    within("a client", running)
        .await
        .expect("the client was run")
}

/// What a client said, which has to have succeeded.
fn said(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    within("sending", stream.write_all(bytes))
        .await
        .expect("sent");
}

/// Reads as many bytes as these are: they have to be these.
async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut answer = vec![0; bytes.len()];
    within("an answer", stream.read_exact(&mut answer))
        .await
        .expect("as many bytes");
    assert_eq!(
        answer.escape_ascii().to_string(),
        bytes.escape_ascii().to_string()
    );
}

/// Sends a request in two parts, cut at every position. The second part is sent when the `probe` before
/// the first one is answered: so the service has to wait within the request, and must not hold the answer
/// back.
async fn cut_everywhere(
    stream: &mut TcpStream,
    (probe, probed): (&[u8], &[u8]),
    (request, answer): (&[u8], &[u8]),
) {
    for at in 0..=request.len() {
        let (first, second) = request.split_at(at);
        send(stream, &[probe, first].concat()).await;
        expect(stream, probed).await;
        send(stream, second).await;
        expect(stream, answer).await;
    }
}

/// Sends all of it a byte at a time, and ends this side. The answer is everything until the end.
async fn exchange_by_bytes(stream: TcpStream, request: &[u8]) -> Vec<u8> {
    stream.set_nodelay(true).expect("nodelay");
    let (mut reader, mut writer) = stream.into_split();
    let mut answer = Vec::new();
    let sending = async {
        for byte in request {
            writer.write_u8(*byte).await?;
        }
        writer.shutdown().await
    };
    let (sent, received) = within("an exchange", async {
        tokio::join!(sending, reader.read_to_end(&mut answer))
    })
    .await;
    sent.expect("sent");
    received.expect("received");
    answer
}
