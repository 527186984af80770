//! One connection that hoards all that it can, and what its worker has of the machine meanwhile.

use super::{end, start};
use crate::support::DEADLINE;
use crate::support::peer::{ask, connect};
use crate::support::scratch::Scratch;
use crate::support::workers::{Process, workers};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const MEMORY: usize = 8 << 20;

/// What the host may need for an instance besides its memory.
const OF_HOST: usize = 2 << 20;

fn descriptors(worker: &Process) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", worker.id()));
    entries.expect("its descriptors").count()
}

/// Its resident memory without files, which are shared.
fn memory(worker: &Process) -> usize {
    let status = worker.status("RssAnon");
    let kib: usize = status
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .expect("a number");
    kib << 10
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_hoarder_has_no_more_than_its_limits_and_leaves_nothing() {
    let scratch = Scratch::new();
    fs::write(scratch.join("file"), vec![b'x'; 100_000]).expect("a file");
    let granted = format!("{}::/data", scratch.join("").display());
    let upstream = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let evconn = start(
        1,
        &["--inherit-network", "--dir", &granted, "--max-memory", "8M"],
    );
    let (address, worker) = (evconn.address(), workers(&evconn).remove(0));
    // What is made once.
    let mut first = connect(address);
    ask(&mut first, "cat /data/file\n", &"x".repeat(65_536));
    drop(first);
    let polite = || {
        let mut polite = connect(address);
        ask(&mut polite, "echo\nhello\n", "hello\n");
    };
    polite();
    let before = (descriptors(&worker), memory(&worker));
    let mut hoarder = connect(address);
    let request = format!("hoard everything {} {port} /data/file\n", MEMORY / 4 * 3);
    ask(&mut hoarder, &request, "hoarding\n");
    let after = (descriptors(&worker), memory(&worker));
    let (opened, taken) = (after.0 - before.0, after.1.saturating_sub(before.1));
    println!("{opened} descriptors, {} KiB", taken >> 10);
    assert!((60..=64).contains(&opened), "{opened} descriptors");
    assert!(taken <= MEMORY + OF_HOST, "{taken} bytes");
    polite();
    hoarder.write_all(b"done\n").expect("sent");
    drop((hoarder, upstream));
    eventually("its descriptors are closed", || {
        descriptors(&worker) <= before.0
    });
    polite();
    let log = end(evconn);
    for flag in ["--max-descriptors", "--max-unsent"] {
        assert_eq!(log.matches(flag).count(), 1, "{flag}: {log}");
    }
}

/// Services that hoard descriptors leave those that accepting requires, and one to each other service.
#[test]
fn hoarders_leave_descriptors_for_accepting() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let mut command = super::command(
        1,
        &[
            "--inherit-network",
            "--max-descriptors",
            "10000",
            "--max-connections",
            "50",
        ],
    );
    let evconn = limited(&mut command, "ulimit -n 600");
    let address = evconn.address();
    let mut hoarders: Vec<_> = (0..3).map(|_| connect(address)).collect();
    for hoarder in &mut hoarders {
        hoarder.write_all(b"hoard sockets\n").expect("sent");
    }
    evconn.logged("gets no more descriptors: all services of this process together");
    let answering = std::thread::spawn(move || {
        for _ in 0..47 {
            let (mut stream, _) = upstream.accept().expect("a connection");
            stream.write_all(b"welcome\n").expect("sent");
            std::io::copy(&mut stream, &mut std::io::sink()).expect("its end");
        }
    });
    // All connect at a time, and each service connects to another server.
    let mut others: Vec<_> = (0..47).map(|_| connect(address)).collect();
    for other in &mut others {
        ask(
            other,
            &format!("connect 127.0.0.1 {port} hello\n"),
            "welcome\n",
        );
    }
    answering.join().expect("no panic");
    drop((others, hoarders));
    end(evconn);
}

/// Starts a command in a shell that has lowered a limit.
fn limited(command: &mut std::process::Command, limit: &str) -> crate::support::process::Evconn {
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &format!(r#"{limit} && exec "$0" "$@""#)])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(std::process::Stdio::null());
    let evconn = crate::support::process::Evconn::start_by(&mut shell);
    crate::support::workers::wait_for_workers(&evconn, 1);
    evconn
}
