//! `evconn run`: what a program is given, and how it ends.

use super::{
    CASES, ECHO_COMMAND, FORWARD, bad_input, command, evconn, read, run_component, with_components,
    write,
};
use crate::support::descriptors::unchanged;
use crate::support::process::{Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::{Server, connect, exchange, has_ipv6, wait_for_close, within};
use crate::support::{connect_once_it_listens, free_port};
use evconn::{Limits, guests};
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A directory with this component in it, as `app`.
fn with(app: impl AsRef<[u8]>) -> Scratch {
    let scratch = Scratch::new();
    write(&scratch, "app", app);
    scratch
}

/// Runs the component `app` to its end, with these flags and arguments.
fn run(directory: &Scratch, flags: &[&str], arguments: &[&str]) -> Ended {
    evconn(directory, &[&["run"], flags, &["app"], arguments].concat()).wait()
}

/// Ends it with a signal, since it does not end by itself.
fn terminate(evconn: Evconn) -> Ended {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.signal(), Some(15), "{}", ended.stderr);
    ended
}

#[test]
fn its_exit_status_is_the_programs() {
    let _open = unchanged();
    for (body, status) in [("i32.const 0", 0), ("i32.const 1", 1)] {
        let ended = run(&with(run_component(body)), &[], &[]);
        assert_eq!(ended.status.code(), Some(status));
        assert_eq!(ended.stdout + &ended.stderr, "");
    }
}

/// With the source position, if the component has debug information.
#[test]
fn a_trap_is_told_with_where_it_was_and_a_status_of_its_own() {
    let _open = unchanged();
    let why =
        "evconn: app: the program failed: wasm trap: wasm `unreachable` instruction executed\n";
    let ended = run(&with(run_component("\nunreachable")), &[], &[]);
    assert_eq!(ended.status.code(), Some(134));
    assert_eq!(ended.stdout, "");
    let place = ended.stderr.strip_prefix(why).expect(&ended.stderr);
    assert!(place.starts_with("    0: run at 0x"), "{place}");
    assert_eq!(place.lines().count(), 1, "{place}");

    let component = wat::Parser::new()
        .generate_dwarf(wat::GenerateDwarf::Full)
        .parse_str(Some("it.wat".as_ref()), run_component("\nunreachable"));
    let ended = run(&with(component.expect("it can be parsed")), &[], &[]);
    assert_eq!(ended.stderr, format!("{why}    0: run at ./it.wat:3:1\n"));
}

#[test]
fn endless_recursion_is_told_with_the_size_of_the_stack() {
    let _open = unchanged();
    let ended = run(&with(run_component("call $run")), &[], &[]);
    assert_eq!(ended.status.code(), Some(134));
    let why = "call stack exhausted: a guest's stack has 512 KiB: recurse less deep";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    // Frames beyond the twentieth are left out.
    assert_eq!(ended.stderr.lines().count(), 21, "{}", ended.stderr);
}

#[test]
fn what_a_panic_says_reaches_standard_error() {
    let _open = unchanged();
    let ended = run(&with(CASES), &[], &["panics", "127.0.0.1"]);
    assert_eq!(ended.status.code(), Some(134));
    let lines: Vec<_> = ended.stderr.lines().collect();
    let [place, message, trap, ..] = lines[..] else {
        panic!("{}", ended.stderr);
    };
    assert!(place.starts_with("panicked at "), "{place}");
    assert_eq!(message, "it was told to");
    assert!(
        trap.starts_with("evconn: app: the program failed: "),
        "{trap}"
    );
}

/// Also those that look like options of the command.
#[test]
fn what_comes_after_the_component_is_its_arguments() {
    let _open = unchanged();
    let scratch = with(ECHO_COMMAND);
    let grants = ["--listen", "127.0.0.1:0"];
    for argument in ["0", "--listen", "--help", "--", "-x"] {
        let ended = run(&scratch, &grants, &[argument, ":9876"]);
        assert_eq!(ended.status.code(), Some(1), "{argument}");
        assert_eq!(ended.stdout, "Invalid port\n", "{argument}");
        assert_eq!(ended.stderr, "", "{argument}");
    }
    let misspelt = run(&scratch, &["--lisen", ":0"], &[]);
    assert_eq!(misspelt.status.code(), Some(2));
    assert!(
        misspelt.stderr.contains("'--listen'"),
        "{}",
        misspelt.stderr
    );
}

#[test]
fn what_cannot_be_granted_is_bad_input() {
    let _open = unchanged();
    let scratch = with_components();
    for (place, hint) in [
        ("", "such as 127.0.0.1:9876"),
        ("80", "write :80"),
        ("a.example:80", "a program listens on an address"),
        ("unix:/x", "a program listens on an address"),
        ("127.0.0.1", "127.0.0.1:9876, for one"),
    ] {
        let listen = format!("--listen={place}");
        let ended = evconn(&scratch, &["run", &listen, "app.wasm"]).wait();
        assert_eq!(ended.status.code(), Some(2), "{place}");
        assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    }
    let said = bad_input(evconn(&scratch, &["run", "--dir", "none", "app.wasm"]));
    assert!(
        said.starts_with("cannot grant the directory none: "),
        "{said}"
    );
    let mut not_unicode = command(&scratch, &["run", "app.wasm"]);
    let argument = std::os::unix::ffi::OsStringExt::from_vec(b"\xff".to_vec());
    not_unicode.arg::<std::ffi::OsString>(argument);
    let said = bad_input(Evconn::start_by(&mut not_unicode));
    assert!(
        said.contains(r#""\xFF" of the program is not Unicode"#),
        "{said}"
    );
}

/// A component that succeeds if its environment has exactly one variable.
const ONE_VARIABLE: &str = r#"(component
    (import "wasi:cli/environment@0.2.0" (instance $environment
        (export "get-environment" (func (result (list (tuple string string)))))))
    (core module $memory
        (memory (export "memory") 1)
        (global $next (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $next)
            (global.set $next (i32.add (global.get $next) (i32.const 1024)))))
    (core instance $memory (instantiate $memory))
    (core func $get (canon lower (func $environment "get-environment")
        (memory $memory "memory") (realloc (func $memory "realloc"))))
    (core module $m
        (import "" "memory" (memory 1))
        (import "" "get" (func $get (param i32)))
        (func (export "run") (result i32)
            (call $get (i32.const 0))
            (i32.ne (i32.load (i32.const 4)) (i32.const 1))))
    (core instance $m (instantiate $m (with "" (instance
        (export "memory" (memory $memory "memory"))
        (export "get" (func $get))))))
    (func $run (result (result)) (canon lift (core func $m "run")))
    (instance $i (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $i)))"#;

#[test]
fn its_environment_is_what_is_granted() {
    let _open = unchanged();
    let scratch = with(ONE_VARIABLE);
    for (flags, status) in [
        (&[][..], 1),
        (&["--env", "A=1"], 0),
        (&["--env", "A=1", "--env", "B="], 1),
    ] {
        let ended = run(&scratch, flags, &[]);
        assert_eq!(ended.status.code(), Some(status), "{}", ended.stderr);
    }
}

/// The peers wait until the test says on standard input that all are connected.
#[tokio::test]
async fn its_standard_streams_are_those_of_the_command() {
    let _open = unchanged();
    let scratch = with(CASES);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let case = ["dropped_in_its_callback", "127.0.0.1"];
    let listen = ["run", "--listen", "127.0.0.1:0", "app"];
    let mut command = command(&scratch, &[&listen[..], &case].concat());
    let evconn = Evconn::start_by(command.stdin(reader));
    // It holds the pipe's other end.
    drop(command);
    let line = evconn.line();
    let address = line.strip_prefix("listening: ").expect("where it listens");
    let mut peer = connect(address.parse().expect("an address")).await;
    writer.write_all(b"\n").expect("a pipe");
    wait_for_close(&mut peer).await;
    // It ends though its input has not.
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(ended.stdout, "call: dropped\nended: NothingLeft\n");
    assert_eq!(ended.stderr, "");
}

/// A failure must not look like the end of an answer.
#[tokio::test]
async fn what_is_open_when_it_ends_is_reset_unless_it_succeeds() {
    let _open = unchanged();
    let scratch = with(CASES);
    for (case, status, end) in [
        ("traps_with_it_open", 134, Some(ErrorKind::ConnectionReset)),
        ("fails_with_it_open", 1, Some(ErrorKind::ConnectionReset)),
        ("succeeds_with_it_open", 0, None),
    ] {
        let run = ["run", "--listen", "127.0.0.1:0", "app", case, "127.0.0.1"];
        let evconn = evconn(&scratch, &run);
        let line = evconn.line();
        let address = line.strip_prefix("listening: ").expect("where it listens");
        let mut peer = connect(address.parse().expect("an address")).await;
        peer.write_all(b"x").await.expect("sent");
        let mut answer = Vec::new();
        let read = within("the end", peer.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"half of it", "{case}");
        assert_eq!(read.err().map(|error| error.kind()), end, "{case}");
        assert_eq!(evconn.wait().status.code(), Some(status), "{case}");
    }
}

/// The manual's program, as it is: it listens on every interface.
#[tokio::test]
async fn a_signal_ends_it_at_once() {
    let _open = unchanged();
    let address = free_port();
    let port = address.port().to_string();
    let scratch = with(ECHO_COMMAND);
    let listen = format!(":{port}");
    let evconn = evconn(&scratch, &["run", "--listen", &listen, "app", &port]);
    let peer = connect_once_it_listens(address).await;
    assert_eq!(exchange(peer, b"hello").await, b"hello");
    let mut open = connect(address).await;
    let ended = terminate(evconn);
    assert_eq!(ended.stdout + &ended.stderr, "");
    wait_for_close(&mut open).await;
}

#[test]
fn a_signal_ends_a_program_that_never_waits() {
    let _open = unchanged();
    let scratch = with(run_component("(loop $again (br $again)) unreachable"));
    terminate(evconn(&scratch, &["run", "app"]));
}

/// The log says what would be sufficient.
#[tokio::test]
async fn a_place_that_is_not_granted_is_told_with_the_flag() {
    let _open = unchanged();
    let port = free_port().port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let scratch = with(ECHO_COMMAND);
    // One address is not every interface.
    for flags in [&[][..], &["--listen", &listen]] {
        let ended = run(&scratch, flags, &[&port]);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let lines: Vec<_> = ended.stderr.lines().collect();
        let [told, said] = lines[..] else {
            panic!("{}", ended.stderr);
        };
        let expected = format!(
            "the program may not bind a socket to 0.0.0.0:{port}: grant it with --listen :{port} before \
             the component's name (in the library, GrantsBuilder::listen)"
        );
        assert!(told.ends_with(&expected), "{told}");
        assert_eq!(said, "Couldn't create listener: access is not granted");
    }
    let ended = run(&with(FORWARD), &[], &[&listen, "127.0.0.1:9"]);
    let flag = format!("--listen {listen} ");
    assert!(ended.stderr.contains(&flag), "{}", ended.stderr);
}

#[test]
fn a_dual_stack_listener_takes_both_places() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let scratch = with(CASES);
    let both = ["--listen", "[::1]:0", "--listen", "127.0.0.1:0"];
    for (flags, ip, second) in [
        (&["--listen", ":0"][..], "::", "0.0.0.0"),
        (&["--listen", ":0"], "::1", "127.0.0.1"),
        (&both, "::1", "127.0.0.1"),
    ] {
        let ended = run(&scratch, flags, &["dual_stack", ip]);
        assert_eq!(ended.stderr, "");
        let listening = |line: &str| -> SocketAddr {
            let address = line.strip_prefix("listening: ");
            address.expect("an address").parse().expect("an address")
        };
        let addresses: Vec<_> = ended.stdout.lines().map(listening).collect();
        let ips: Vec<_> = addresses.iter().map(|it| it.ip().to_string()).collect();
        assert_eq!(ips, [ip, second]);
        assert_eq!(addresses[0].port(), addresses[1].port());
    }
    let half = run(&scratch, &["--listen", "[::1]:0"], &["dual_stack", "::1"]);
    assert_eq!(half.stdout, "refused: access is not granted\n");
    // The port that was chosen for the first half will not be chosen again.
    assert!(
        half.stderr.contains("--listen 127.0.0.1:0 before"),
        "{}",
        half.stderr
    );
}

/// With the rights that it was granted with, and under the name.
#[test]
fn it_has_the_directories_that_it_is_granted() {
    let _open = unchanged();
    let scratch = with(CASES);
    for directory in ["first", "second"] {
        std::fs::create_dir(scratch.join(directory)).expect("a directory");
        write(&scratch, &format!("{directory}/file"), directory);
    }
    let case = ["granted_directories", "127.0.0.1"];
    let ended = run(&scratch, &[], &case);
    assert_eq!(ended.stdout + &ended.stderr, "", "none is granted");
    let grants = ["--dir", "first::/data", "--dir", "second:ro"];
    let ended = run(&scratch, &grants, &case);
    assert_eq!(ended.stderr, "");
    let said: Vec<_> = ended.stdout.lines().collect();
    let expected = [
        "/data: reads first, writes, and finds nothing outside",
        "second: reads second, does not write, and finds nothing outside",
    ];
    assert_eq!(said, expected);
    assert_eq!(read(&scratch, "first/new"), b"written");
    assert!(!scratch.join("second/new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_connects_where_it_may() {
    let _open = unchanged();
    let localhost = Ipv4Addr::LOCALHOST.into();
    let server = Server::start(localhost, guests::ECHO, Limits::default()).await;
    let to = server.address.to_string();
    let scratch = with(FORWARD);
    let listen = ["run", "--listen", "127.0.0.1:0"];
    let app = ["app", "127.0.0.1:0", &to];
    let granted = [&listen[..], &["--allow-connect", &to], &app].concat();
    let forward = evconn(&scratch, &granted);
    let peer = connect(forward.address()).await;
    assert_eq!(exchange(peer, b"hello").await, b"hello");
    terminate(forward);

    let forward = evconn(&scratch, &[&listen[..], &app].concat());
    let mut peer = connect(forward.address()).await;
    wait_for_close(&mut peer).await;
    let stderr = terminate(forward).stderr;
    let flag = format!("may not connect to {to}: grant it with --allow-connect {to} ");
    assert!(stderr.contains(&flag), "{stderr}");
    assert_eq!(server.stop().await.connections, 1);
}
