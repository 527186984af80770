//! Sockets of every kind, from which several workers accept, and which outlive each of them.

use super::{TEST_GUEST, end, goes_on, start};
use crate::support::descriptors::unchanged;
use crate::support::has_ipv6;
use crate::support::peer::{connect, echoing};
use crate::support::process::{EVCONN, Evconn};
use crate::support::scratch::Scratch;
use crate::support::workers::{spread, wait_for_workers, worker_with, workers};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Serves these sources with three workers.
fn serving(sources: &[&str]) -> Command {
    let mut command = Command::new(EVCONN);
    let listen = sources.iter().flat_map(|source| ["--listen", source]);
    command
        .args(["serve", TEST_GUEST, "--processes", "3"])
        .args(listen)
        .stdin(Stdio::null());
    command
}

/// The same by a shell, which sets these variables and passes this descriptor on as number 3.
fn inheriting(socket: impl Into<OwnedFd>, variables: &str, source: &str) -> Command {
    let serving = serving(&[source]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(r#"{variables} exec "$@" 3<&0 </dev/null"#))
        .arg("sh")
        .arg(serving.get_program())
        .args(serving.get_args())
        .stdin(Stdio::from(socket.into()));
    command
}

/// Has several peers served, before and after the death of a worker.
fn serves_all<S: Read + Write>(evconn: &Evconn, connect: impl Fn() -> S) {
    let all = || {
        let mut peers: Vec<_> = (0..6).map(|_| connect()).collect();
        for peer in &mut peers {
            peer.write_all(b"echo\nhello\n").expect("sent");
            let mut answer = [0; 6];
            peer.read_exact(&mut answer).expect("an answer");
            assert_eq!(&answer, b"hello\n");
        }
    };
    all();
    wait_for_workers(evconn, 3)[0].kill();
    all();
    wait_for_workers(evconn, 3);
    all();
}

/// The address, or that of this machine if it is any address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// The sockets of each, and how many lines are printed for it.
#[test]
fn addresses_are_served_by_all_workers() {
    let _open = unchanged();
    for (sources, lines) in [
        (&["127.0.0.1:0"][..], 1),
        (&["0.0.0.0:0", "127.0.0.1:0"], 2),
        (&["localhost:0"], 1),
    ] {
        let evconn = Evconn::start_by(&mut serving(sources));
        for _ in 0..lines {
            let address = reachable(evconn.address());
            serves_all(&evconn, || connect(address));
        }
        end(evconn);
    }
}

#[test]
fn both_families_are_served_by_all_workers() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    for sources in [&["[::]:0", "0.0.0.0:0"][..], &["[::1]:0"], &[":0"]] {
        let evconn = Evconn::start_by(&mut serving(sources));
        for _ in sources {
            let address = reachable(evconn.address());
            serves_all(&evconn, || connect(address));
        }
        end(evconn);
    }
}

#[test]
fn a_port_that_is_shared_is_served_by_all_workers() {
    let _open = unchanged();
    let mut command = serving(&["127.0.0.1:0"]);
    let evconn = Evconn::start_by(command.arg("--reuse-port"));
    let address = evconn.address();
    serves_all(&evconn, || connect(address));
    end(evconn);
}

fn connect_to(path: &Path) -> UnixStream {
    let peer = UnixStream::connect(path).expect("connected");
    let timeout = Some(crate::support::DEADLINE);
    peer.set_read_timeout(timeout).expect("a timeout");
    peer
}

#[test]
fn a_unix_socket_is_served_by_all_workers_and_goes_with_the_server() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let source = format!("unix:{}", path.display());
    let evconn = Evconn::start_by(&mut serving(&[&source]));
    assert_eq!(evconn.listening_on(), source);
    serves_all(&evconn, || connect_to(&path));
    end(evconn);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

/// Also if a worker dies while it drains.
#[test]
fn the_file_of_a_unix_socket_is_gone_after_a_drain_in_which_a_worker_dies() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let source = format!("unix:{}", path.display());
    let evconn = Evconn::start_by(&mut serving(&[&source]));
    evconn.listening_on();
    let mut peers: Vec<_> = (0..6).map(|_| connect_to(&path)).collect();
    for peer in &mut peers {
        peer.write_all(b"echo\nhello\n").expect("sent");
        peer.read_exact(&mut [0; 6]).expect("an answer");
    }
    evconn.signal(Signal::TERM);
    evconn.logged("ending: open connections (6)");
    let all = workers(&evconn);
    assert!(!all.is_empty(), "nobody drains");
    all[0].kill();
    drop(peers);
    super::ends_well(evconn);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn an_abstract_name_is_served_by_all_workers() {
    use std::os::linux::net::SocketAddrExt;
    let _open = unchanged();
    let name = format!("evconn-processes-{}", std::process::id());
    let evconn = Evconn::start_by(&mut serving(&[&format!("unix:@{name}")]));
    evconn.listening_on();
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    serves_all(&evconn, || {
        UnixStream::connect_addr(&address).expect("connected")
    });
    end(evconn);
}

#[test]
fn inherited_sockets_are_served_by_all_workers() {
    let _open = unchanged();
    for (variables, source) in [
        ("", "fd:3"),
        ("LISTEN_PID=$$ LISTEN_FDS=1", "systemd"),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web",
            "systemd:web",
        ),
    ] {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let evconn = Evconn::start_by(&mut inheriting(socket, variables, source));
        assert_eq!(evconn.address(), address);
        serves_all(&evconn, || connect(address));
        end(evconn);
        TcpListener::bind(address).expect("nobody has it any more");
    }
}

#[test]
fn an_inherited_unix_socket_is_served_by_all_workers_and_its_path_stays() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let evconn = Evconn::start_by(&mut inheriting(socket, "", "fd:3"));
    evconn.listening_on();
    serves_all(&evconn, || connect_to(&path));
    end(evconn);
    assert_eq!(scratch.contents(), ["a.sock"]);
}

#[test]
fn idle_connections_spread_over_the_workers() {
    let _open = unchanged();
    let evconn = start(2, &[]);
    let address = evconn.address();
    // A worker that the system does not run, since the machine is busy with something else, cannot accept any.
    const MOST: usize = 64;
    let mut peers = Vec::new();
    let are_spread = (0..MOST).any(|_| {
        peers.push(echoing(address));
        let counts = spread(&evconn, &peers);
        counts.len() == 2 && counts.iter().all(|count| *count >= 2)
    });
    assert!(are_spread, "{:?}", spread(&evconn, &peers));
    drop(peers);
    end(evconn);
}

/// What is in the queue when the shutdown begins was accepted by the kernel: its peer is connected.
#[test]
fn who_is_in_the_queue_is_served_in_a_drain_though_the_workers_die() {
    let _open = unchanged();
    let evconn = start(1, &[]);
    let address = evconn.address();
    let mut open = echoing(address);
    let worker = worker_with(&evconn, &open);
    worker.stop();
    let mut waiting: Vec<_> = (0..3).map(|_| connect(address)).collect();
    for peer in &mut waiting {
        peer.write_all(b"echo\n").expect("sent");
    }
    evconn.signal(Signal::TERM);
    evconn.logged("ending: open connections (1)");
    worker.kill();
    super::is_lost(&mut open);
    waiting.iter_mut().for_each(goes_on);
    drop(waiting);
    super::ends_well(evconn);
}
