//! A process that has no descriptors left (EMFILE), while peers wait for it to accept them.
//!
//! The child reaches its limit, waits for [`WINDOW`], and then closes the connections that it has kept.
//! Its clients are in the parent, since they need descriptors, too.

use crate::support::c::Program;
use crate::support::child::{self, Child};
use crate::support::descriptors::unchanged;
use crate::support::process::{EVCONN, Evconn};
use crate::support::{DEADLINE, connect, exchange, host, limit, listen, within};
use evconn::{Connection, Limits, Listener, Service, Shutdown, State, guests};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// How many connections the child can keep.
const ROOM: usize = 8;

/// How many clients there are in all.
const CLIENTS: usize = ROOM + 20;

/// How long the child has no descriptors. This is not a wait for an event: the test observes what happens
/// in this period.
const WINDOW: Duration = Duration::from_secs(2);

/// The result.
struct Outcome {
    /// How many connections were kept at the first error.
    kept: usize,
    /// How often the error callback was called while there were no descriptors.
    errors: u64,
    /// The processor time that the child used meanwhile, in seconds.
    cpu: f64,
    /// How many clients were served in the end.
    served: usize,
    /// How often the error callback was called until the end.
    errors_at_end: u64,
}

#[test]
fn out_of_descriptors() {
    let _open = unchanged();
    assert_bounded(&evconn_out_of_descriptors());
}

#[test]
fn emfile_side_by_side_with_libevent() {
    let _open = unchanged();
    let Some(program) = Program::compile("emfile") else {
        return;
    };
    let arguments = [ROOM, CLIENTS].map(|count| count.to_string());
    let mut child = Child::of_program(program.command().args(arguments));
    let version = child.hear("version");
    let theirs = outcome(child);
    let ours = evconn_out_of_descriptors();

    // `eprintln!` would be captured by the test harness.
    let table = format!(
        "{:<26} {:>16} {:>12} {:>15}\n{:<26} {ours}\n{version:<26} {theirs}\n",
        format!("{WINDOW:?} without descriptors"),
        "error callbacks",
        "CPU seconds",
        "served after",
        "evconn",
    );
    let _ = std::io::stderr().write_all(table.as_bytes());
    assert_bounded(&ours);
    assert!(ours.errors < theirs.errors);
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            errors,
            cpu,
            served,
            ..
        } = self;
        write!(f, "{errors:>16} {cpu:>12.3} {served:>9} of {CLIENTS:<2}")
    }
}

fn assert_bounded(outcome: &Outcome) {
    // The C library opens files of its own for a moment, now and then.
    assert!((ROOM - 1..=ROOM).contains(&outcome.kept));
    // The steps begin after 0, 5, 15 … 1275 ms and after 2275 ms; on a busy machine, later.
    assert!((2..=12).contains(&outcome.errors), "{}", outcome.errors);
    assert!(outcome.cpu < 0.5, "it spins: {} s", outcome.cpu);
    assert_eq!(outcome.served, CLIENTS);
    // One step may end between the last poll and the moment at which there are descriptors again.
    assert!(outcome.errors_at_end <= outcome.errors + 1);
}

fn evconn_out_of_descriptors() -> Outcome {
    outcome(Child::of_test("emfile::child_that_keeps_its_connections"))
}

/// The parent's side: the clients.
fn outcome(mut child: Child) -> Outcome {
    let address = child.hear("listening").parse().expect("an address");
    let connect = |_| TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    let clients: Vec<_> = (0..CLIENTS).map(connect).collect();
    let kept = child.hear("full").parse().expect("a number");
    let window = child.hear("window");
    let (errors, cpu) = window.split_once(' ').expect("two numbers");
    for mut client in clients {
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        client.read_exact(&mut [0]).expect("it is served");
    }
    let ended = child.hear("ended");
    child.dismiss();
    let (served, errors_at_end) = ended.split_once(' ').expect("two numbers");
    Outcome {
        kept,
        errors: errors.parse().expect("a number"),
        cpu: cpu.parse().expect("a number"),
        served: served.parse().expect("a number"),
        errors_at_end: errors_at_end.parse().expect("a number"),
    }
}

/// The descriptors that are needed to serve a connection are reserved before it is accepted.
#[test]
fn whoever_is_accepted_is_served() {
    let _open = unchanged();
    Child::of_test("emfile::child_that_serves_with_few_descriptors").dismiss();
}

/// The clients are in this process, too: they are connected before the limit is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_that_serves_with_few_descriptors() {
    if !child::is_one() {
        return;
    }
    let service = Service::new(host(), guests::ECHO).expect("a service");
    let listener = listen(Ipv4Addr::LOCALHOST.into()).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(connect(listener.local_addr()).await);
    }
    limit::leave_room_for(4);
    let (stop, stopped) = oneshot::channel::<()>();
    let (limits, shutdown) = (Limits::default(), Shutdown::on(stopped));
    let serving = tokio::spawn(evconn::serve(listener, service, limits, shutdown));
    for client in clients {
        assert_eq!(exchange(client, b"hello").await, b"hello");
    }
    drop(stop);
    let served = within("the end", serving).await.expect("no panic");
    let served = served.expect("no error");
    assert_eq!((served.connections, served.failed), (12, 0));
    child::dismissed().await;
}

/// Reading the peer's address needs no descriptor.
#[cfg(target_os = "linux")]
#[test]
fn the_peer_of_a_unix_socket_is_known() {
    let _open = unchanged();
    Child::of_test("emfile::child_that_knows_its_peer").dismiss();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_that_knows_its_peer() {
    if !child::is_one() {
        return;
    }
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let name = format!("evconn-test-{}-peer", std::process::id());
    let source = format!("unix:@{name}").parse().expect("a source");
    let listeners = Listener::listen(host(), &source).await.expect("a listener");
    let (sender, mut connections) = mpsc::unbounded_channel();
    listeners[0].set_callback(move |_, connection| {
        assert!(sender.send(connection).is_ok(), "the test waits for it");
    });
    let address = SocketAddr::from_abstract_name(name).expect("an address");
    let _client = UnixStream::connect_addr(&address).expect("connected");
    let connection = within("a connection", connections.recv()).await;
    let _none_left = limit::NoMoreDescriptors::new();
    let peer = connection.expect("a connection").peer_credentials();
    let peer = peer.expect("known").expect("a Unix socket");
    assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
    child::dismissed().await;
}

/// Many peers connect at once, and `echo` has few descriptors: it serves every peer that it accepts.
#[test]
fn echo_resets_nobody_for_want_of_descriptors() {
    let _open = unchanged();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            r#"ulimit -n 64; exec "$@""#,
            "sh",
            EVCONN,
            "echo",
            "0",
        ])
        .args(["--address", "127.0.0.1"]);
    let evconn = Evconn::start_by(&mut command);
    let address = evconn.address();
    // All of them are in the queue before it polls for the first one.
    evconn.signal(Signal::STOP);
    let connect = |_| TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    let clients: Vec<_> = (0..120).map(connect).collect();
    evconn.signal(Signal::CONT);
    for mut client in clients {
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        client.write_all(b"hello").expect("sent");
        client.shutdown(std::net::Shutdown::Write).expect("ended");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("a regular end");
        assert_eq!(answer, "hello");
    }
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(" 0 failed"), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("maximum number of connections lowered"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the tests above"]
async fn child_that_keeps_its_connections() {
    if !child::is_one() {
        return;
    }
    let keeper = Arc::new(Keeper::default());
    let (sender, errors) = mpsc::unbounded_channel();
    let listener = Listener::builder(host())
        .on_connection(Keeper::callback(&keeper))
        .on_error(move |listener, _| {
            // Nothing is accepted meanwhile, so this is the step that the callback is for.
            let step = listener.stats().backoff_steps;
            sender.send(step).expect("the test waits for it");
        })
        .bind(([127, 0, 0, 1], 0).into())
        .await
        .expect("a listener");
    let mut errors = Errors {
        errors,
        callbacks: 0,
    };
    limit::leave_room_for(ROOM);
    child::say(format_args!("listening {}", listener.local_addr()));

    errors.first().await;
    child::say(format_args!("full {}", keeper.count()));
    let cpu = cpu_seconds();
    tokio::time::sleep(WINDOW).await;
    let cpu = cpu_seconds() - cpu;
    child::say(format_args!("window {} {cpu}", errors.count()));

    keeper.release();
    let mut served = keeper.served.subscribe();
    let all = served.wait_for(|count| *count == CLIENTS);
    within("all are served", all).await.expect("a number");
    assert_eq!(listener.state(), State::Accepting);
    child::say(format_args!("ended {CLIENTS} {}", errors.count()));
    child::dismissed().await;
}

/// Serves each connection, and keeps it until all are released.
struct Keeper {
    /// None: they have been released, and no further one is kept.
    kept: Mutex<Option<Vec<Connection>>>,
    served: watch::Sender<usize>,
}

impl Default for Keeper {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Some(Vec::new())),
            served: watch::Sender::new(0),
        }
    }
}

impl Keeper {
    fn callback(this: &Arc<Self>) -> impl FnMut(&Listener, Connection) + Send + 'static {
        let (keeper, runtime) = (Arc::clone(this), Handle::current());
        move |_, mut connection| {
            let sent = runtime.block_on(connection.write_all(b"x"));
            sent.expect("the client is there");
            if let Some(kept) = &mut *keeper.kept.lock().expect("no panic") {
                kept.push(connection);
            }
            keeper.served.send_modify(|count| *count += 1);
        }
    }

    fn count(&self) -> usize {
        let kept = self.kept.lock().expect("no panic");
        kept.as_ref().map_or(0, Vec::len)
    }

    fn release(&self) {
        drop(self.kept.lock().expect("no panic").take());
    }
}

/// The calls of the error callback, with the backoff step of each.
struct Errors {
    errors: mpsc::UnboundedReceiver<u64>,
    callbacks: u64,
}

impl Errors {
    async fn first(&mut self) {
        let step = within("an error", self.errors.recv()).await;
        self.note(step.expect("the listener is there"));
    }

    /// Returns how many there were up to now.
    fn count(&mut self) -> u64 {
        while let Ok(step) = self.errors.try_recv() {
            self.note(step);
        }
        self.callbacks
    }

    fn note(&mut self, step: u64) {
        self.callbacks += 1;
        assert_eq!(self.callbacks, step, "a step, a call");
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_secs_f64()
}
