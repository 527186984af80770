//! What workers may do, and what the supervisor does for them.

use super::{end, start};
use crate::support::descriptors::unchanged;
use crate::support::peer::{connect, echoing, rest};
use crate::support::scratch::Scratch;
use crate::support::workers::{Process, supervisor, workers};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

/// What the kernel says of the privileges of a process.
fn privileges(process: &Process) -> [String; 3] {
    ["NoNewPrivs", "Seccomp", "CapEff"].map(|field| process.status(field))
}

#[test]
fn workers_have_given_up_what_the_supervisor_has() {
    let _open = unchanged();
    let evconn = start(2, &[]);
    drop(echoing(evconn.address()));
    let own = privileges(&Process::of(rustix::process::getpid()).expect("this process"));
    assert_eq!(privileges(&supervisor(&evconn)), own);
    for worker in workers(&evconn) {
        assert_eq!(privileges(&worker), ["1", "2", "0000000000000000"]);
    }
    end(evconn);
}

#[test]
fn without_the_sandbox_workers_keep_what_the_supervisor_has() {
    let _open = unchanged();
    let evconn = start(2, &["--no-sandbox"]);
    drop(echoing(evconn.address()));
    let own = privileges(&supervisor(&evconn));
    for worker in workers(&evconn) {
        assert_eq!(privileges(&worker), own);
    }
    end(evconn);
}

/// The whole answer to a command.
fn answer(address: SocketAddr, command: &str) -> String {
    let mut peer = connect(address);
    peer.write_all(format!("{command}\n").as_bytes())
        .expect("sent");
    rest(&mut peer).expect("a regular end")
}

#[test]
fn directories_that_are_granted_can_be_read_and_written() {
    let _open = unchanged();
    let scratch = Scratch::new();
    std::fs::write(scratch.join("file"), "hello").expect("a file");
    let directory = scratch.join("");
    let directory = directory.to_str().expect("text");
    let flags = [
        "--dir",
        &format!("{directory}::/both"),
        "--dir",
        &format!("{directory}::/read:ro"),
    ];
    let evconn = start(3, &flags);
    let address = evconn.address();
    // More than there are workers.
    for turn in 0..6 {
        assert_eq!(answer(address, "cat /read/file"), "hello");
        let command = format!("write /both/new {turn}");
        assert_eq!(answer(address, &command), "1 bytes\n");
        assert_eq!(answer(address, "cat /read/new"), turn.to_string());
        assert_eq!(answer(address, "write /read/new x"), "not-permitted\n");
    }
    end(evconn);
}

#[test]
fn the_supervisor_looks_names_up() {
    let _open = unchanged();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let evconn = start(2, &["--allow-connect", &format!("localhost:{port}")]);
    let address = evconn.address();
    const TIMES: usize = 4;
    let answering = std::thread::spawn(move || {
        for _ in 0..TIMES {
            let (mut stream, _) = upstream.accept().expect("a connection");
            stream.write_all(b"welcome\n").expect("sent");
            stream.read_to_end(&mut Vec::new()).expect("its end");
        }
    });
    for _ in 0..TIMES {
        let command = format!("connect localhost {port} hello");
        assert_eq!(answer(address, &command), "welcome\n");
    }
    answering.join().expect("no panic");
    let names = answer(address, "resolve localhost");
    assert!(names.contains("127.0.0.1"), "{names}");
    assert_eq!(
        answer(address, "resolve example.com"),
        "permanent-resolver-failure\n"
    );
    end(evconn);
}
