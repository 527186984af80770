//! What is sent at the end of a round: small messages of a worker's connections.
//!
//! A worker's event loop goes in rounds: it asks the kernel which sockets are ready, and each guest that
//! waited for one has its turn. What they write in these turns goes to the kernel in one go, after the
//! last of them. Peers often share one event loop, too: it then wakes up once and finds many messages,
//! rather than to wake up for each.
//!
//! Nothing is put off where there is no worker, where a round is only a few messages, nor for long.

use crate::Endpoint;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// The most bytes of a message that are worth the copy which has to be kept of them.
pub(crate) const SMALL: usize = 4 << 10;

/// The fewest messages of a round that are worth it.
const FEWEST: u32 = 4;

/// The most messages that are put off at a time.
const MOST: usize = 64;

/// What was put off for longer was so by somebody who computes. Then for so many rounds nothing is.
const LONG: Duration = Duration::from_millis(1);
const ROUNDS_AT_ONCE: u32 = 16;

struct Round {
    /// Who has a message to be sent.
    endpoints: Vec<Arc<Endpoint>>,
    /// When the first of them was put off.
    since: Option<Instant>,
    /// How many there were or could have been, in this round and in the one before.
    messages: u32,
    messages_before: u32,
    /// For how many rounds nothing is put off.
    at_once: u32,
    /// Wakes the task that sends them. None: nobody would.
    end: Option<Waker>,
}

impl Round {
    const fn new() -> Self {
        Self {
            endpoints: Vec::new(),
            since: None,
            messages: 0,
            messages_before: 0,
            at_once: 0,
            end: None,
        }
    }

    /// Whether a message is to be put off that is about to be sent.
    fn takes_one(&mut self) -> bool {
        self.messages = self.messages.saturating_add(1);
        self.messages_before >= FEWEST && self.end.is_some()
    }

    fn begin_another(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        self.messages_before = match self.at_once {
            0 => messages,
            _ => 0,
        };
        self.at_once = self.at_once.saturating_sub(1);
    }

    fn add(&mut self, endpoint: &Arc<Endpoint>) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            if let Some(end) = &self.end {
                end.wake_by_ref();
            }
        }
        self.endpoints.push(Arc::clone(endpoint));
    }

    fn take(&mut self) -> Vec<Arc<Endpoint>> {
        let is_long = |since: Instant| since.elapsed() > LONG;
        if self.since.take().is_some_and(is_long) {
            self.messages_before = 0;
            self.at_once = ROUNDS_AT_ONCE;
        }
        std::mem::take(&mut self.endpoints)
    }
}

thread_local! {
    static ROUND: RefCell<Round> = const { RefCell::new(Round::new()) };
}

/// Send what was put off on this thread whenever it is this task's turn: after all that were woken
/// before. A worker has one such task.
pub async fn send_at_ends() -> Infallible {
    let _until_dropped = End;
    poll_fn(|cx| {
        send_now();
        ROUND.with_borrow_mut(|round| match &mut round.end {
            Some(end) => end.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        });
        Poll::Pending
    })
    .await
}

/// Nothing is put off from here on.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        ROUND.with_borrow_mut(|round| round.end = None);
        send_now();
    }
}

/// All who were ready have had their turn: the kernel is asked again.
pub fn is_over() {
    ROUND.with_borrow_mut(Round::begin_another);
}

/// Whether a message is to be put off that is about to be sent on this thread.
pub(crate) fn takes_one() -> bool {
    ROUND.with_borrow_mut(Round::takes_one)
}

/// Have what this one has kept sent at the end of the round.
pub(crate) fn put_off(endpoint: &Arc<Endpoint>) {
    let is_full = ROUND.with_borrow_mut(|round| {
        round.add(endpoint);
        round.endpoints.len() >= MOST
    });
    if is_full {
        send_now();
    }
}

/// Send what was put off on this thread: it would wait for too long.
pub fn send_now() {
    let mut endpoints = ROUND.with_borrow_mut(Round::take);
    for endpoint in endpoints.drain(..) {
        endpoint.send_kept();
    }
    // The next round's go to the same place.
    ROUND.with_borrow_mut(|round| {
        if round.endpoints.is_empty() {
            round.endpoints = endpoints;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, Output, Plain};
    use bytes::Bytes;
    use socket2::SockRef;
    use std::io::{ErrorKind, Read};
    use std::net::TcpStream;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::task::{AbortHandle, yield_now};
    use wasmtime_wasi::p2::OutputStream;

    /// This thread as a worker with a round behind it that was worth it.
    async fn busy_worker() -> AbortHandle {
        let end = tokio::spawn(send_at_ends());
        yield_now().await;
        a_round_of(FEWEST);
        end.abort_handle()
    }

    fn a_round_of(messages: u32) {
        for _ in 0..messages {
            takes_one();
        }
        is_over();
    }

    /// A connection, and its peer, which does not block.
    async fn connection() -> (Arc<Endpoint>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).expect("connected");
        peer.set_nonblocking(true).expect("set");
        let (stream, address) = listener.accept().await.expect("accepted");
        let plain = Plain::tcp(stream.into_std().expect("a socket"));
        (Arc::new(Endpoint::new(plain, address)), peer)
    }

    fn received(mut peer: &TcpStream) -> Option<String> {
        let mut bytes = [0; 64];
        match peer.read(&mut bytes) {
            Ok(count) => Some(String::from_utf8_lossy(&bytes[..count]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(error.kind().to_string()),
        }
    }

    #[tokio::test]
    async fn the_messages_of_a_round_are_sent_after_all_turns() {
        let _end = busy_worker().await;
        let connections = [connection().await, connection().await];
        for (endpoint, peer) in &connections {
            assert!(endpoint.put_off(b"hello").expect("it is open"));
            assert_eq!(received(peer), None);
        }
        yield_now().await;
        for (_, peer) in &connections {
            assert_eq!(received(peer).as_deref(), Some("hello"));
        }
    }

    #[tokio::test]
    async fn what_is_spliced_is_sent_before_it_waits_for_more() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        let mut input = Input::new(Arc::clone(&endpoint));
        for word in ["one", "two", "three"] {
            std::io::Write::write_all(&mut &peer, word.as_bytes()).expect("sent");
            let count = input.splice(&endpoint, 64).await.expect("it is open");
            assert_eq!(count, word.len());
            assert_eq!(received(&peer), None);
            yield_now().await;
            assert_eq!(received(&peer).as_deref(), Some(word));
        }
    }

    #[tokio::test]
    async fn a_second_message_is_sent_after_the_first() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        let mut output = Output::new(Arc::clone(&endpoint));
        for word in ["one ", "two ", "three"] {
            assert!(output.check_write().expect("it is open") > 0);
            output.write(word.into()).expect("it is permitted");
        }
        assert_eq!(received(&peer).as_deref(), Some("one two "));
        output.flush().expect("it is open");
        output.write_ready().await.expect("it is open");
        assert_eq!(received(&peer).as_deref(), Some("three"));
    }

    #[tokio::test]
    async fn what_is_not_worth_it_is_sent_at_once() {
        let (endpoint, _peer) = connection().await;
        let puts_off = |bytes: &[u8]| endpoint.put_off(bytes).expect("it is open");
        a_round_of(FEWEST);
        assert!(!puts_off(b"no worker"));
        let _end = busy_worker().await;
        assert!(!puts_off(&[0; SMALL + 1]));
        assert!(!puts_off(b""));
        a_round_of(FEWEST - 1);
        assert!(!puts_off(b"few"));
        a_round_of(FEWEST);
        assert!(puts_off(b"many"));
    }

    #[tokio::test]
    async fn no_more_than_so_many_wait() {
        let _end = busy_worker().await;
        let mut connections = Vec::new();
        for _ in 0..MOST {
            connections.push(connection().await);
        }
        for (endpoint, _) in &connections {
            assert!(endpoint.put_off(b"hello").expect("it is open"));
        }
        for (_, peer) in &connections {
            assert_eq!(received(peer).as_deref(), Some("hello"));
        }
    }

    #[tokio::test]
    async fn after_a_round_that_was_long_all_is_sent_at_once_for_a_while() {
        let _end = busy_worker().await;
        let (endpoint, _peer) = connection().await;
        assert!(endpoint.put_off(b"hello").expect("it is open"));
        ROUND.with_borrow_mut(|round| {
            let since = round.since.as_mut().expect("somebody waits");
            *since -= 2 * LONG;
        });
        send_now();
        for _ in 0..=ROUNDS_AT_ONCE {
            assert!(!takes_one());
            a_round_of(FEWEST);
        }
        assert!(takes_one());
    }

    #[tokio::test]
    async fn the_end_of_a_connection_comes_after_what_was_put_off() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        assert!(endpoint.put_off(b"the last word").expect("it is open"));
        endpoint.end_sending();
        assert_eq!(received(&peer).as_deref(), Some("the last word"));
        assert_eq!(received(&peer).as_deref(), Some(""));

        let (endpoint, peer) = connection().await;
        assert!(endpoint.put_off(b"the last word").expect("it is open"));
        endpoint.reset();
        assert_eq!(received(&peer).as_deref(), Some("the last word"));
        send_now();
        drop(endpoint);
        let reset = ErrorKind::ConnectionReset.to_string();
        assert_eq!(received(&peer), Some(reset));
    }

    #[tokio::test]
    async fn the_end_of_a_worker_is_the_end_of_its_round() {
        let end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        assert!(endpoint.put_off(b"hello").expect("it is open"));
        end.abort();
        yield_now().await;
        assert_eq!(received(&peer).as_deref(), Some("hello"));
        assert!(!endpoint.put_off(b"hello").expect("it is open"));
    }

    /// Let the kernel take no more of this one.
    fn fill(endpoint: &Endpoint) -> usize {
        let mut filled = 0;
        while let Ok(count) = endpoint.plain().try_send(&[b'x'; 64 << 10]) {
            filled += count;
        }
        filled
    }

    /// Read so many bytes of what the peer is sent.
    async fn read(peer: TcpStream, count: usize) {
        let mut peer = tokio::net::TcpStream::from_std(peer).expect("a stream");
        let mut bytes = vec![0; count];
        peer.read_exact(&mut bytes).await.expect("all of it");
    }

    /// Wait for it.
    async fn within<T>(future: impl Future<Output = T>) -> T {
        let done = tokio::time::timeout(Duration::from_secs(60), future).await;
        done.expect("it comes to an end")
    }

    /// Let a guest run whose peer reads so many bytes, but only after the end of the round. They are two
    /// tasks: who reads wakes nobody who writes.
    async fn run(guest: impl Future<Output = ()> + Send + 'static, peer: TcpStream, count: usize) {
        let guest = tokio::spawn(guest);
        for _ in 0..2 {
            yield_now().await;
        }
        within(read(peer, count)).await;
        within(guest).await.expect("no panic");
    }

    #[tokio::test]
    async fn what_the_kernel_does_not_take_then_is_sent_later() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        let filled = fill(&endpoint);
        assert!(endpoint.put_off(b"hello").expect("it is open"));
        yield_now().await;
        within(read(peer, filled + "hello".len())).await;
    }

    #[tokio::test]
    async fn who_waits_to_write_goes_on_when_the_kernel_has_taken_it() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        let filled = fill(&endpoint);
        let guest = async move {
            assert!(endpoint.put_off(b"hello").expect("it is open"));
            let mut output = Output::new(endpoint);
            assert!(output.write_ready().await.expect("it is open") > 0);
        };
        run(guest, peer, filled + "hello".len()).await;
    }

    #[tokio::test]
    async fn a_flush_without_a_write_is_waited_for() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        let filled = fill(&endpoint);
        let guest = async move {
            assert!(endpoint.put_off(b"hello").expect("it is open"));
            let mut output = Output::new(endpoint);
            let flushed = output.blocking_write_and_flush(Bytes::new()).await;
            flushed.expect("it is open");
        };
        run(guest, peer, filled + "hello".len()).await;
    }

    #[tokio::test]
    async fn a_large_message_after_a_small_one_is_waited_for() {
        const LARGE: usize = 1 << 20;
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        // So that the kernel takes less of it than a turn may move.
        let small = endpoint.options().set_send_buffer_size(4 << 10);
        small.expect("set");
        let guest = async move {
            assert!(endpoint.put_off(b"hello").expect("it is open"));
            let mut output = Output::new(endpoint);
            let written = output.blocking_write_and_flush(vec![b'x'; LARGE].into());
            written.await.expect("it is open");
        };
        run(guest, peer, "hello".len() + LARGE).await;
    }

    #[tokio::test]
    async fn the_next_write_says_what_failed() {
        let _end = busy_worker().await;
        let (endpoint, peer) = connection().await;
        let linger = SockRef::from(&peer).set_linger(Some(Duration::ZERO));
        linger.expect("set");
        drop(peer);
        assert!(endpoint.put_off(b"hello").expect("nobody has looked"));
        yield_now().await;
        let mut output = Output::new(endpoint);
        for _ in 0..2 {
            output.check_write().expect_err("the peer is gone");
        }
    }
}
