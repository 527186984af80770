//! What ends a receive or a send early, and is not the end of what there is.

use super::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// More than the tests receive at once, unless they send more.
const MUCH: usize = 64 << 10;

/// One that the event loop is to tell of, and its peer.
fn tcp() -> (Plain, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let peer = TcpStream::connect(address).expect("connected");
    let (stream, _) = listener.accept().expect("accepted");
    stream.set_nonblocking(true).expect("set");
    let plain = Plain::tcp(stream);
    plain.register().expect("registered");
    (plain, peer)
}

fn unix() -> (Plain, UnixStream) {
    let (stream, peer) = UnixStream::pair().expect("two sockets");
    stream.set_nonblocking(true).expect("set");
    let plain = Plain::unix(stream);
    plain.register().expect("registered");
    (plain, peer)
}

async fn readable(plain: &Plain) {
    let ready = poll_fn(|cx| plain.poll_readable(cx));
    let ready = tokio::time::timeout(Duration::from_secs(60), ready).await;
    ready.expect("in time").expect("no error");
}

fn receive(plain: &Plain) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; MUCH];
    let count = plain.try_recv(&mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

fn is_drained(plain: &Plain) -> bool {
    matches!(receive(plain), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Each part is told of, and the next receive ends where it does. All of them are there before.
async fn comes_in(plain: &Plain, parts: &[&[u8]]) {
    for part in parts {
        readable(plain).await;
        assert_eq!(receive(plain).expect("bytes"), *part);
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod urgent {
    use super::*;

    fn send(peer: &TcpStream, (before, after): (&[u8], &[u8])) {
        let mut stream = peer;
        stream.write_all(before).expect("sent");
        let sent = SockRef::from(peer).send_out_of_band(b"!");
        assert_eq!(sent.expect("sent"), 1);
        stream.write_all(after).expect("sent");
    }

    #[tokio::test]
    async fn what_follows_urgent_data_is_received_though_nothing_more_comes() {
        let (plain, peer) = tcp();
        for after in [&[2; 1][..], &[2; 30_000]] {
            send(&peer, (&[1; 6], after));
            comes_in(&plain, &[&[1; 6], after]).await;
            assert!(is_drained(&plain));
        }
    }

    /// It is never the stream's, and so there is nothing to receive.
    #[tokio::test]
    async fn urgent_data_alone_is_nothing() {
        let (plain, peer) = tcp();
        send(&peer, (&[], &[]));
        readable(&plain).await;
        assert!(is_drained(&plain));
        assert!(plain.has_urgent());
    }

    /// As far as the kernel has it: it is an option.
    #[tokio::test]
    async fn what_follows_urgent_data_of_a_unix_socket_is_received() {
        let (plain, mut peer) = unix();
        peer.write_all(&[1; 6]).expect("sent");
        match SockRef::from(&peer).send_out_of_band(b"!") {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return eprintln!("skipped: no urgent data on Unix sockets here");
            }
            sent => assert_eq!(sent.expect("sent"), 1),
        }
        peer.write_all(&[2; 30_000]).expect("sent");
        comes_in(&plain, &[&[1; 6], &[2; 30_000]]).await;
        assert!(is_drained(&plain));
    }
}

/// Send it with a message to the kernel.
fn send_with(
    peer: &UnixStream,
    bytes: &[u8],
    message: SendAncillaryMessage<'_, '_>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); 256];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(message));
    let sent = sendmsg(
        peer,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::empty(),
    )?;
    assert_eq!(sent, bytes.len());
    Ok(())
}

#[tokio::test]
async fn what_follows_a_descriptor_is_received() {
    let (plain, mut peer) = unix();
    let passed = [io::stdin().as_fd().try_clone_to_owned().expect("one more")];
    let passed = passed.each_ref().map(|passed| passed.as_fd());
    let rights = SendAncillaryMessage::ScmRights(&passed);
    send_with(&peer, &[1; 6], rights).expect("sent");
    peer.write_all(&[2; 30_000]).expect("sent");
    comes_in(&plain, &[&[1; 6], &[2; 30_000]]).await;
    assert!(is_drained(&plain));
}

/// Where whoever made the socket wants to know who sends what.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_another_process_has_sent_is_received() {
    let (plain, mut peer) = unix();
    rustix::net::sockopt::set_socket_passcred(&*plain.socket, true).expect("set");
    peer.write_all(&[1; 6]).expect("sent");
    let init = rustix::net::UCred {
        pid: rustix::process::Pid::INIT,
        uid: rustix::process::getuid(),
        gid: rustix::process::getgid(),
    };
    let credentials = SendAncillaryMessage::ScmCredentials(init);
    if let Err(error) = send_with(&peer, &[2; 6], credentials) {
        return eprintln!("skipped: only root may send for others ({error})");
    }
    comes_in(&plain, &[&[1; 6], &[2; 6]]).await;
    assert!(is_drained(&plain));
}

#[tokio::test]
async fn the_end_that_follows_is_told() {
    let (plain, mut peer) = tcp();
    peer.write_all(&[1; 6]).expect("sent");
    peer.shutdown(std::net::Shutdown::Write).expect("ended");
    comes_in(&plain, &[&[1; 6], &[], &[]]).await;
    let (plain, mut peer) = unix();
    peer.write_all(&[1; 6]).expect("sent");
    drop(peer);
    comes_in(&plain, &[&[1; 6], &[], &[]]).await;
}

#[tokio::test]
async fn a_look_takes_nothing() {
    let (plain, mut peer) = tcp();
    peer.write_all(&[1; 6]).expect("sent");
    readable(&plain).await;
    for _ in 0..2 {
        assert!(plain.has_input().expect("no error"));
    }
    comes_in(&plain, &[&[1; 6]]).await;
    assert!(!plain.has_input().expect("no error"));
    peer.write_all(&[2; 6]).expect("sent");
    comes_in(&plain, &[&[2; 6]]).await;
}

/// The peer reads all that the kernel has taken, and then there is room again.
async fn goes_on(plain: &Plain, peer: &mut impl Read) {
    // More than both ends have room for, however much the kernel makes.
    let bytes = vec![1; 64 << 20];
    for _ in 0..3 {
        let ready = poll_fn(|cx| plain.poll_writable(cx));
        let ready = tokio::time::timeout(Duration::from_secs(60), ready).await;
        ready.expect("in time").expect("no error");
        let mut sent = plain.try_send(&bytes).expect("sent");
        assert!(sent < bytes.len(), "so much is not taken at once");
        while let Ok(more) = plain.try_send(&bytes) {
            sent += more;
        }
        peer.read_exact(&mut vec![0; sent]).expect("all of it");
    }
}

#[tokio::test]
async fn after_a_send_that_was_short_more_is_taken_once_there_is_room() {
    let (plain, mut peer) = tcp();
    goes_on(&plain, &mut peer).await;
    let (plain, mut peer) = unix();
    goes_on(&plain, &mut peer).await;
}

/// The kernel reports a reset once: to the event loop, or to whoever receives or sends first.
#[tokio::test]
async fn a_reset_that_a_call_has_reported_is_a_failure_all_the_same() {
    let calls: [fn(&Plain) -> io::Result<usize>; 4] = [
        |plain| plain.try_send(b"x"),
        |plain| plain.try_recv(&mut [0]),
        |plain| plain.recv_now(&mut [0]),
        |plain| plain.has_input().map(usize::from),
    ];
    for call in calls {
        let (plain, peer) = tcp();
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .expect("linger set");
        drop(peer);
        // The event loop has not looked yet.
        let error = call(&plain).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let failed = tokio::time::timeout(Duration::from_secs(60), plain.failed()).await;
        failed.expect("it has failed");
        assert!(plain.has_failed());
    }
}

/// It is the end of one direction, which this side has chosen.
#[tokio::test]
async fn a_direction_that_was_ended_here_is_no_failure() {
    let (plain, _peer) = tcp();
    plain.shutdown(Shutdown::Write);
    let error = plain.try_send(b"x").expect_err("it has ended");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(!plain.has_failed());
}
