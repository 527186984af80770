//! A throttle whose shared rate says what the test wants, and connections at real rates.

use super::*;
use crate::connection::Endpoint;
use crate::transport::Plain;
use futures_util::FutureExt;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

/// A rate that has each piece wait for as long as this.
#[derive(Debug, Default)]
struct Told {
    wait: Mutex<Duration>,
    reserved: AtomicU64,
}

impl Told {
    fn set_wait(&self, wait: Duration) {
        *self.wait.lock().expect("not poisoned") = wait;
    }

    fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }
}

impl SharedRate for Told {
    fn rate(&self) -> Rate {
        rate(5_000_000)
    }

    fn reserve(&self, _: Direction, bytes: u64) -> Duration {
        self.reserved.fetch_add(bytes, Ordering::Relaxed);
        *self.wait.lock().expect("not poisoned")
    }

    fn give_back(&self, _: Direction, bytes: u64) {
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn rate(per_second: u64) -> Rate {
    Rate::bytes(NonZeroU64::new(per_second).expect("not 0"))
}

/// A throttle with pieces of 100 bytes, and the rate that it shares.
fn throttle() -> (Throttle, Arc<Told>) {
    let told = Arc::<Told>::default();
    let shared = Arc::clone(&told) as Arc<dyn SharedRate>;
    let throttle = Throttle::new(Direction::Sending, (None, Some(shared)), 100);
    (throttle, told)
}

fn is_blocked(result: &io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn what_is_not_transferred_is_given_back() {
    let (throttle, told) = throttle();
    let sent = throttle.limit(1_000, || true, |permitted| Ok(permitted - 1));
    assert_eq!(sent.expect("sent"), 99);
    assert_eq!(told.reserved(), 99);
    let failed = throttle.limit(7, || true, |_| Err(ErrorKind::ConnectionReset.into()));
    assert!(failed.is_err());
    assert_eq!(told.reserved(), 99);
    let nothing = throttle.limit(0, || true, Ok);
    assert_eq!(nothing.expect("nothing"), 0);
}

#[tokio::test]
async fn a_piece_is_waited_for_once_and_the_time_is_known() {
    let (throttle, told) = throttle();
    told.set_wait(Duration::from_millis(20));
    let before = Instant::now();
    assert!(is_blocked(&throttle.limit(10, || true, Ok)));
    assert!(throttle.is_waiting(before));
    told.set_wait(DEADLINE * 10);
    let permitted = poll_fn(|cx| throttle.poll_permitted(cx));
    timeout(DEADLINE, permitted).await.expect("its turn comes");
    assert!(!throttle.is_waiting(Instant::now()));
    assert_eq!(throttle.limit(10, || true, Ok).expect("its turn"), 10);
    assert_eq!(throttle.waited(), Duration::from_millis(20));
    assert_eq!(told.reserved(), 10);
    // The next one is waited for, too.
    assert!(is_blocked(&throttle.limit(10, || true, Ok)));
    let permitted = poll_fn(|cx| throttle.poll_permitted(cx));
    assert!(permitted.now_or_never().is_none());
    assert_eq!(told.reserved(), 20);
    drop(throttle);
    assert_eq!(told.reserved(), 10, "nobody waits for it any more");
}

#[tokio::test]
async fn nothing_is_reserved_for_what_is_not_there() {
    let (throttle, told) = throttle();
    told.set_wait(DEADLINE);
    assert!(is_blocked(&throttle.limit(10, || false, Ok)));
    assert_eq!(told.reserved(), 0);
    assert!(!throttle.is_waiting(Instant::now()));
}

#[tokio::test]
async fn a_turn_that_is_not_taken_is_over() {
    let (throttle, told) = throttle();
    let ready = poll_fn(|cx| throttle.poll_permitted(cx)).now_or_never();
    assert!(ready.is_some());
    assert_eq!(told.reserved(), 100);
    let late = Instant::now() + KEPT;
    let reserved = throttle.reserve(&mut throttle.state(), 10, late);
    assert_eq!((reserved.bytes, told.reserved()), (10, 10));
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let (throttle, told) = throttle();
    told.set_wait(Duration::MAX);
    assert!(is_blocked(&throttle.limit(10, || true, Ok)));
    assert!(throttle.is_waiting(Instant::now()));
    assert!(!throttle.is_waiting(Instant::now() + LONGEST));
}

/// A connection at this rate, and its peer.
async fn connection(per_second: u64) -> (Arc<Endpoint>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let peer = TcpStream::connect(address).await.expect("connected");
    let (stream, address) = listener.accept().await.expect("accepted");
    let plain = Plain::tcp(stream.into_std().expect("a socket"));
    let endpoint = Endpoint::new(plain, address);
    endpoint.limit_rate(Some(rate(per_second)), None);
    (Arc::new(endpoint), peer)
}

/// At 256 KiB per second: without a tenth of a second's worth, and the last piece.
const SIZE: usize = 128 << 10;
const PER_SECOND: u64 = 256 << 10;
const LEAST: Duration = Duration::from_millis(500 - 100 - 20);

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|index| (index / 7) as u8).collect()
}

#[tokio::test]
async fn what_is_received_at_a_rate_is_complete_and_takes_its_time() {
    let (endpoint, mut peer) = connection(PER_SECOND).await;
    let begin = Instant::now();
    let sending = tokio::spawn(async move {
        peer.write_all(&bytes()).await.expect("sent");
        peer.shutdown().await.expect("ended");
    });
    let mut received = Vec::new();
    let mut buffer = vec![0; SIZE];
    let receiving = async {
        loop {
            let received_now = poll_fn(|cx| endpoint.poll_receive_into(cx, &mut buffer));
            match received_now.await.expect("received") {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
    };
    timeout(DEADLINE, receiving).await.expect("in time");
    assert!(received == bytes(), "it came changed");
    assert!(begin.elapsed() >= LEAST, "{:?}", begin.elapsed());
    assert!(endpoint.throttled(Direction::Receiving) > Duration::ZERO);
    assert_eq!(endpoint.throttled(Direction::Sending), Duration::ZERO);
    sending.await.expect("sent");
}

/// In the background, after its owners have dropped it.
#[tokio::test]
async fn what_is_sent_at_a_rate_is_complete_and_takes_its_time() {
    let (endpoint, mut peer) = connection(PER_SECOND).await;
    let begin = Instant::now();
    endpoint.write(&bytes()).expect("it is open");
    assert!(!endpoint.takes_write().expect("it is open"));
    drop(endpoint);
    let mut received = Vec::new();
    let receiving = peer.read_to_end(&mut received);
    let received_all = timeout(DEADLINE, receiving).await.expect("in time");
    received_all.expect("a regular end");
    assert!(received == bytes(), "it came changed");
    assert!(begin.elapsed() >= LEAST, "{:?}", begin.elapsed());
}
