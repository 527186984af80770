//! `evconn run`: what a program may do on the network, and its limits.

use super::{EVCONN, SOCKETS, command, evconn, write};
use crate::support::descriptors::unchanged;
use crate::support::process::{Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::{DEADLINE, has_ipv6, skip, tool};
use std::io::{ErrorKind, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// The first argument selects the case. It is also the file's name, since the first argument is the
/// program's name by convention.
fn program(case: &str) -> Scratch {
    let scratch = Scratch::new();
    write(&scratch, &app(case), SOCKETS);
    scratch
}

fn app(case: &str) -> String {
    format!("granted::{case}")
}

/// The program's case, with these flags and addresses, and a line of input when it is wanted.
fn start(
    scratch: &Scratch,
    flags: &[&str],
    case: &str,
    addresses: &[&str],
) -> (Evconn, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let app = app(case);
    let app = [&[&*app], addresses].concat();
    let mut command = command(scratch, &[&["run"], flags, &app].concat());
    (Evconn::start_by(command.stdin(reader)), writer)
}

/// The same to its end.
fn run(flags: &[&str], case: &str, addresses: &[&str]) -> Ended {
    let scratch = program(case);
    let (evconn, mut input) = start(&scratch, flags, case, addresses);
    // The program may not read it.
    let _ = input.write_all(b"\n");
    evconn.wait()
}

/// The address in a line of the program.
fn listening(line: &str) -> SocketAddr {
    let address = line.strip_prefix("listening: ");
    let address = address.unwrap_or_else(|| panic!("{line}"));
    address.parse().expect("an address")
}

#[test]
fn with_port_0_the_system_chooses_and_the_program_does_not() {
    let _open = unchanged();
    let other = TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken = other.local_addr().expect("its address").to_string();
    drop(other);
    let ended = run(
        &["--listen", "127.0.0.1:0"],
        "listens",
        &["127.0.0.1", &taken, "127.0.0.1:0"],
    );
    let lines: Vec<_> = ended.stdout.lines().collect();
    let [refused, listens] = lines[..] else {
        panic!("{ended:?}", ended = (ended.stdout, ended.stderr));
    };
    assert_eq!(refused, "bind 127.0.0.1: access-denied");
    assert_ne!(listening(listens).port(), 0);
    let flag = format!("--listen {taken} before");
    assert!(ended.stderr.contains(&flag), "{}", ended.stderr);
}

/// In either order, and with no other port than that of the first.
#[test]
fn the_second_half_of_a_pair_has_the_port_of_the_first() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let both = ["--listen", "[::1]:0", "--listen", "127.0.0.1:0"];
    for (flags, addresses) in [
        (&both[..], ["::1", "[::1]:0", "127.0.0.1:1"]),
        (&both, ["::1", "127.0.0.1:0", "[::1]:1"]),
        (
            &["--listen", "localhost:0"],
            ["::1", "[::1]:0", "127.0.0.1:1"],
        ),
        (&["--listen", ":0"], ["::1", "[::]:0", "0.0.0.0:1"]),
    ] {
        let ended = run(flags, "listens", &addresses);
        assert_eq!(ended.stderr, "", "{flags:?}");
        let listening: Vec<_> = ended.stdout.lines().map(listening).collect();
        let [first, second] = listening[..] else {
            panic!("{}", ended.stdout);
        };
        assert_eq!(first.port(), second.port());
    }
    // Nobody can ask for that port: it is not in the flag.
    let flags = ["--listen", "[::]:0"];
    let ended = run(&flags, "listens", &["::1", "[::]:0", "0.0.0.0:1"]);
    assert!(ended.stdout.contains("bind 0.0.0.0: access-denied"));
    assert!(
        ended.stderr.contains("--listen :0 before"),
        "{}",
        ended.stderr
    );
}

#[test]
fn localhost_is_granted_by_its_name() {
    let _open = unchanged();
    let flags = ["--listen", "localhost:0"];
    let addresses = ["127.0.0.1", "127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0"];
    let ended = run(&flags, "listens", &addresses);
    let lines: Vec<_> = ended.stdout.lines().collect();
    let [other, any, listens] = lines[..] else {
        panic!("{}", ended.stdout);
    };
    assert_eq!(other, "bind 127.0.0.2: access-denied");
    assert_eq!(any, "bind 0.0.0.0: access-denied");
    assert_eq!(listening(listens).ip().to_string(), "127.0.0.1");
}

/// Python's asyncio requires this. It needs no grant, since nobody else can use these sockets.
#[test]
fn a_program_has_a_pair_of_sockets_of_its_own() {
    let _open = unchanged();
    let ips = match has_ipv6() {
        true => &["127.0.0.1", "::1"][..],
        false => &["127.0.0.1"],
    };
    for flags in [
        &[][..],
        &["--listen", "127.0.0.1:0"],
        &["--allow-connect", "192.0.2.1:80"],
    ] {
        for ip in ips {
            let ended = run(flags, "pairs", &[ip]);
            assert_eq!(ended.stderr, "");
            assert_eq!(
                ended.stdout,
                "bind: ok\nlisten: ok\npeer: the same\nreceived: hello\n"
            );
        }
    }
}

#[test]
fn nobody_else_connects_to_a_listener_that_was_not_granted() {
    let _open = unchanged();
    let scratch = program("waits");
    let (evconn, mut input) = start(&scratch, &[], "waits", &["127.0.0.1"]);
    let address = listening(&evconn.line());
    let mut other = TcpStream::connect_timeout(&address, DEADLINE).expect("the kernel answers");
    other.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    input.write_all(b"\n").expect("a pipe");
    assert_eq!(evconn.line(), "peer: the same");
    let ended = other.read(&mut [0]).expect_err("a reset");
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    let ended = evconn.wait();
    // The port was the system's choice.
    assert!(
        ended.stderr.contains("--listen 127.0.0.1:0 before"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn whoever_may_listen_lets_others_connect() {
    let _open = unchanged();
    let scratch = program("listens");
    let flags = ["--listen", "127.0.0.1:0"];
    let (evconn, input) = start(&scratch, &flags, "listens", &["127.0.0.1", "127.0.0.1:0"]);
    let address = listening(&evconn.line());
    let peer = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    drop((peer, input));
    let stderr = evconn.wait().stderr;
    assert!(!stderr.contains("no peers"), "{stderr}");
}

/// What each grant allows, and nothing more.
#[test]
fn destinations_may_be_networks_and_ranges_of_ports() {
    let _open = unchanged();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("its address");
    let port = address.port();
    let to = address.to_string();
    let (low, high) = (port - 1, port.saturating_add(1));
    for (grant, outcome) in [
        (format!("127.0.0.1:{low}-{high}"), "ok"),
        ("127.0.0.1:*".to_owned(), "ok"),
        (format!("127.0.0.0/8:{port}"), "ok"),
        ("localhost:*".to_owned(), "ok"),
        (format!("127.0.0.1:1-{low}"), "access-denied"),
        (format!("128.0.0.0/1:{port}"), "access-denied"),
        ("[::]/0:*".to_owned(), "access-denied"),
    ] {
        let ended = run(
            &["--allow-connect", &grant],
            "connects",
            &["127.0.0.1", &to],
        );
        assert_eq!(ended.stdout, format!("connect: {outcome}\n"), "{grant}");
        let flag = format!("--allow-connect {to} ");
        assert_eq!(
            ended.stderr.contains(&flag),
            outcome != "ok",
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn the_network_is_inherited_if_that_is_said() {
    let _open = unchanged();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let to = listener.local_addr().expect("its address").to_string();
    for flags in [
        &["--inherit-network"][..],
        &["-S", "inherit-network"],
        &["-Sinherit-network=y,cli"],
    ] {
        let ended = run(flags, "connects", &["127.0.0.1", &to]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("connect: ok\n", ""));
        let ended = run(flags, "listens", &["127.0.0.1", "0.0.0.0:0"]);
        assert!(
            ended.stdout.starts_with("listening: 0.0.0.0:"),
            "{}",
            ended.stdout
        );
        let ended = run(flags, "binds_udp", &["127.0.0.1", "127.0.0.1:0"]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("bind: ok\n", ""));
    }
}

/// A peer that answers one datagram, from another thread.
fn answering() -> (SocketAddr, std::thread::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let address = socket.local_addr().expect("its address");
    let answering = std::thread::spawn(move || {
        let mut bytes = [0; 16];
        let (length, from) = socket.recv_from(&mut bytes).expect("a datagram");
        socket.send_to(&bytes[..length], from).expect("sent");
    });
    (address, answering)
}

#[test]
fn datagrams_go_where_they_may() {
    let _open = unchanged();
    for host in ["127.0.0.1", "127.0.0.0/8", "localhost"] {
        let (address, answering) = answering();
        let grant = format!("{host}:{}", address.port());
        let to = address.to_string();
        let ended = run(&["--allow-udp", &grant], "asks", &["127.0.0.1", &to]);
        assert_eq!(
            (&*ended.stdout, &*ended.stderr),
            ("answer: hello\n", ""),
            "{grant}"
        );
        answering.join().expect("no panic");
    }
}

#[test]
fn a_denial_of_datagrams_is_told_with_the_flag() {
    let _open = unchanged();
    let asks = ["127.0.0.1", "192.0.2.1:53"];
    for (flags, outcome, flag) in [
        (&[][..], "create: access-denied\n", "--allow-udp HOST:PORT "),
        (
            &["--allow-udp", "192.0.2.2:53"],
            "send: access-denied\n",
            "--allow-udp 192.0.2.1:53 ",
        ),
        // One of TCP is none of UDP.
        (
            &["--allow-connect", "192.0.2.1:53"],
            "create: access-denied\n",
            "--allow-udp HOST:PORT ",
        ),
    ] {
        let ended = run(flags, "asks", &asks);
        assert_eq!(ended.stdout, outcome, "{flags:?}");
        assert!(ended.stderr.contains(flag), "{}", ended.stderr);
    }
    let flags = ["--listen-udp", "127.0.0.1:0"];
    let ended = run(
        &flags,
        "binds_udp",
        &["127.0.0.1", "127.0.0.1:0", "127.0.0.1:53"],
    );
    assert_eq!(ended.stdout, "bind: ok\nbind: access-denied\n");
    assert!(
        ended.stderr.contains("--listen-udp 127.0.0.1:53 "),
        "{}",
        ended.stderr
    );
}

/// Anyone may send a request, and is answered; nothing is sent to anyone else.
#[test]
fn who_receives_datagrams_may_answer_them() {
    let _open = unchanged();
    let scratch = program("answers");
    let flags = ["--listen-udp", "127.0.0.1:0"];
    let (evconn, _input) = start(&scratch, &flags, "answers", &["127.0.0.1", "127.0.0.1:0"]);
    let line = evconn.line();
    let address = line.strip_prefix("bound: ").expect("its address");
    let peer = UdpSocket::bind("127.0.0.1:0").expect("bound");
    peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    peer.send_to(b"hello", address).expect("sent");
    let mut bytes = [0; 32];
    let length = peer.recv(&mut bytes).expect("an answer");
    assert_eq!(&bytes[..length], b"you said hello");
    let ended = evconn.wait();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("sent: ok\n", ""));
    let asks = run(&flags, "asks", &["127.0.0.1", "127.0.0.1:53"]);
    assert_eq!(asks.stdout, "send: access-denied\n");
}

#[test]
fn the_backlog_is_what_is_said() {
    let _open = unchanged();
    let scratch = program("listens");
    for (flags, all) in [(&["--backlog", "1"][..], false), (&[], true)] {
        let flags = [&["--listen", "127.0.0.1:0"], flags].concat();
        let (evconn, input) = start(&scratch, &flags, "listens", &["127.0.0.1", "127.0.0.1:0"]);
        let address = listening(&evconn.line());
        // Peers beyond the limit are not answered.
        let peers: Result<Vec<_>, _> = (0..8)
            .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)))
            .collect();
        assert_eq!(peers.is_ok(), all, "{flags:?}: {peers:?}");
        drop((input, evconn));
    }
}

#[test]
fn limits_end_a_program_and_say_which() {
    let _open = unchanged();
    let ended = run(&["--max-memory", "8M"], "grows", &["127.0.0.1"]);
    assert_eq!(ended.stdout, "grown: no\n", "{}", ended.stderr);
    let ended = run(&["--max-memory", "64M"], "grows", &["127.0.0.1"]);
    assert_eq!(ended.stdout, "grown: yes\n", "{}", ended.stderr);
    let ended = run(&["--max-handles", "90"], "holds", &["127.0.0.1"]);
    assert_eq!(ended.status.code(), Some(134));
    let said =
        "evconn: granted::holds: the program failed: it has more than 90 handles: raise the limit";
    assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
    let ended = run(&["--max-handles", "500"], "holds", &["127.0.0.1"]);
    assert_eq!(ended.stdout, "held: 100\n", "{}", ended.stderr);
    // Its initial memory exceeds the limit.
    let ended = run(&["--max-memory", "64K"], "grows", &["127.0.0.1"]);
    assert_eq!(ended.status.code(), Some(134));
    assert!(
        ended.stderr.contains("its limit of 64 KiB"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

/// For users of `wasmtime run`: the flags have other names here.
#[test]
fn other_habits_are_told_the_flag() {
    let _open = unchanged();
    let scratch = program("pairs");
    for (flags, flag) in [
        (&["-S", "inherit-env"][..], "--env NAME"),
        (&["-Stcp"], "--listen"),
        (&["-W", "max-memory-size=1000"], "--max-memory 1000"),
        (&["--addr", "127.0.0.1:80"], "use --listen :PORT"),
    ] {
        for run in ["run", "serve"] {
            let ended = evconn(&scratch, &[&[run], flags, &["granted::pairs"]].concat()).wait();
            assert_eq!(ended.status.code(), Some(2), "{flags:?}: {}", ended.stderr);
            assert!(ended.stderr.contains(flag), "{flags:?}: {}", ended.stderr);
        }
    }
}

/// An error of the operating system is not reported as a denial; the message says what helps.
#[test]
fn a_port_that_this_process_may_not_bind_is_told_with_what_helps() {
    let _open = unchanged();
    let scratch = program("listens");
    let mut command = std::process::Command::new("setpriv");
    command
        .args([
            "--bounding-set=-net_bind_service",
            "--inh-caps=-net_bind_service",
            EVCONN,
        ])
        .args(["run", "--listen", "127.0.0.1:80", "granted::listens"])
        .args(["127.0.0.1", "127.0.0.1:80"])
        .current_dir(scratch.join("."));
    let Some(output) = tool::run(&mut command, b"\n") else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if said.starts_with("listening") || said.contains("in-use") {
        return skip("any process may bind port 80 here");
    }
    assert_eq!(said, "bind 127.0.0.1: access-denied\n");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("cap_net_bind_service"), "{log}");
}
