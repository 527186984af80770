//! Returning streams and futures of the host's own.

use super::bytes::print;
use super::{Ended, Returned, wit_future, wit_stream};
use crate::evconn::tcp::types::ErrorCode;
use crate::wasi::cli::stdout;
use crate::wasi::clocks::monotonic_clock::wait_for;
use crate::wasi::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
use std::mem::forget;
use std::net::Ipv4Addr;
use wit_bindgen::{FutureReader, StreamReader};

/// Returns what was received in the way that an act says, or what it was given if there is no such act.
pub async fn pass(
    act: &str,
    argument: &str,
    received: StreamReader<u8>,
    ended: FutureReader<Ended>,
) -> Result<Returned, (StreamReader<u8>, FutureReader<Ended>)> {
    Ok(match act {
        "hand-back" => Ok((received, ended)),
        "hand-back-and-wait" => hand_back_and_wait(received, ended, argument),
        "hand-back-for-ever" => hand_back_for_ever(received, ended),
        "hand-back-with-own-end" => Ok((received, wit_future::new(|| Ok(())).1)),
        "hand-back-but-fail" => hand_back_but_fail(received, ended, argument),
        "hand-back-and-look" => hand_back_and_look(received, ended),
        "forward" => forward(received, argument).await,
        "forward-sent" => forward_sent(received, argument).await,
        "forward-and-keep" => forward_and_keep(received, argument).await,
        "tee" => tee(received, argument).await,
        _ => return Err((received, ended)),
    })
}

/// A timer is under way.
fn hand_back_and_wait(
    received: StreamReader<u8>,
    ended: FutureReader<Ended>,
    until: &str,
) -> Returned {
    let milliseconds: u64 = until.parse().expect("a number");
    wit_bindgen::spawn(async move {
        wait_for(milliseconds * 1_000_000).await;
        print("the timer is over").await;
    });
    Ok((received, ended))
}

/// A task never ends.
fn hand_back_for_ever(received: StreamReader<u8>, ended: FutureReader<Ended>) -> Returned {
    wit_bindgen::spawn(wait_for(u64::MAX));
    Ok((received, ended))
}

/// Keeps the future of the host's, and returns another one, which fails at once or later.
fn hand_back_but_fail(
    received: StreamReader<u8>,
    ended: FutureReader<Ended>,
    when: &str,
) -> Returned {
    let (finish, finished) = wit_future::new(|| Ok(()));
    let when = when.to_owned();
    wit_bindgen::spawn(async move {
        match when.as_str() {
            // It knows how the peer has ended, and fails all the same.
            "awaited" => drop(ended.await),
            _ => forget(ended),
        }
        let why = ErrorCode::Other(Some("it is its own future".to_owned()));
        let _ = finish.write(Err(why)).await;
    });
    Ok((received, finished))
}

/// Begins to wait for the end, gives up, and returns the future all the same.
fn hand_back_and_look(received: StreamReader<u8>, ended: FutureReader<Ended>) -> Returned {
    use std::future::IntoFuture;
    use std::task::{Context, Waker};
    let mut waiting = Box::pin(ended.into_future());
    let mut nobody = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut nobody).is_pending());
    match waiting.as_mut().cancel() {
        Err(ended) => Ok((received, ended)),
        Ok(_) => Err(ErrorCode::InvalidState),
    }
}

async fn connect(to: &str) -> Result<TcpSocket, ErrorCode> {
    let (address, port) = to.split_once(':').expect("an address");
    let address: Ipv4Addr = address.parse().expect("an address");
    let [a, b, c, d] = address.octets();
    let server = TcpSocket::create(IpAddressFamily::Ipv4)?;
    let to = Ipv4SocketAddress {
        port: port.parse().expect("a port"),
        address: (a, b, c, d),
    };
    server.connect(IpSocketAddress::Ipv4(to)).await?;
    Ok(server)
}

/// Sends what is received to another server, and hands back what that sends.
async fn forward(received: StreamReader<u8>, to: &str) -> Returned {
    let server = connect(to).await?;
    server.send(received);
    Ok(server.receive())
}

/// Does the same, and ends as sending to the other server has.
async fn forward_sent(received: StreamReader<u8>, to: &str) -> Returned {
    let server = connect(to).await?;
    let sent = server.send(received);
    Ok((server.receive().0, sent))
}

/// Does the same, while a task goes on until sending has ended.
async fn forward_and_keep(received: StreamReader<u8>, to: &str) -> Returned {
    let server = connect(to).await?;
    let sent = server.send(received);
    wit_bindgen::spawn(async move {
        let sent = sent.await;
        print(&format!("sent: {sent:?}")).await;
    });
    Ok(server.receive())
}

/// Prints what is received, and hands back what another server sends.
async fn tee(received: StreamReader<u8>, to: &str) -> Returned {
    let server = connect(to).await?;
    let (writer, none) = wit_stream::new();
    server.send(none);
    drop(writer);
    forget(stdout::write_via_stream(received));
    Ok(server.receive())
}
