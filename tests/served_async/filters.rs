//! Filters in front of a service: `evconn serve --through`.

use super::{ACTS, Site, gets_all_back, unchanged};
use crate::support::peer::{ask, connect, reset, rest};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{DEADLINE, eventually};
use evconn_artifacts::ASYNC_ALLOW_PATH as ALLOW;
use evconn_artifacts::ASYNC_COUNT_PATH as COUNT;
use evconn_artifacts::ASYNC_ECHO_PATH as ECHO;
use evconn_artifacts::ASYNC_LIMIT_PATH as LIMIT;
use evconn_artifacts::SYNC_FILTER_PATH as SYNC;
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The address of the peers of these tests, for the filter that decides.
const ALLOWED: [&str; 2] = ["--env", "ALLOWED=192.0.2.1,127.0.0.1"];

/// Serves in one process through these filters.
fn filtered(component: &str, filters: &[&str], flags: &[&str]) -> Site {
    let through = filters.iter().flat_map(|filter| ["--through", filter]);
    let mut all: Vec<_> = through.collect();
    all.extend(["--processes", "1"]);
    all.extend(flags);
    Site::of(component, &all)
}

impl Site {
    /// A new connection to the echo service gets back what it sends, and is ended as it ends.
    fn echoes(&self, text: &str) {
        let mut peer = connect(self.address);
        ask(&mut peer, text, text);
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("a regular end"), "");
    }

    /// A new connection is reset, possibly before this end of it is established.
    fn resets(&self) {
        let ended = TcpStream::connect(self.address).and_then(|mut peer| {
            peer.set_read_timeout(Some(DEADLINE))?;
            peer.read(&mut [0])
        });
        let error = ended.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_filter_counts_what_passes() {
    let _open = unchanged();
    for processes in ["0", "1", "2"] {
        let site = Site::of(ECHO, &["--through", COUNT, "--processes", processes]);
        site.echoes("hello");
        site.evconn
            .logged("5 bytes received, 5 sent by connection 1 of this instance");
        let log = site.end();
        assert!(log.contains("0 failed") && !log.contains("WARN"), "{log}");
    }
}

#[test]
fn connections_of_an_instance_share_its_filter() {
    let _open = unchanged();
    let flags = ["--instances", "1", "--concurrency", "10"];
    let site = filtered(ECHO, &[COUNT], &flags);
    let mut first = connect(site.address);
    ask(&mut first, "one", "one");
    site.echoes("second");
    site.evconn
        .logged("6 bytes received, 6 sent by connection 2 of this instance");
    ask(&mut first, "again", "again");
    drop(first);
    site.end();
}

/// Each of them had buffers: what all of them had together does not fit into the instance.
#[test]
fn peers_that_reset_leave_no_memory_in_a_filter() {
    let _open = unchanged();
    let one = ["--instances", "1", "--concurrency", "10"];
    let flags = [&one[..], &["--max-memory", "4M"]].concat();
    let site = filtered(evconn_artifacts::ASYNC_LIB_PATH, &[COUNT], &flags);
    for _ in 0..200 {
        let mut peer = site.act("echo");
        ask(&mut peer, "hello", "hello");
        reset(peer);
    }
    site.is_polite();
    let log = site.end();
    assert!(
        log.contains(" 0 failed") && !log.contains("memory"),
        "{log}"
    );
}

/// What was passed before cannot have taken less time than that.
#[test]
fn a_filter_limits_the_rate() {
    let _open = unchanged();
    let site = filtered(ECHO, &[LIMIT], &["--env", "RATE=20000"]);
    let text = "x".repeat(4_000);
    let begin = Instant::now();
    site.echoes(&text);
    // All but the last part, of a twentieth of a second: these were waited for.
    assert!(begin.elapsed() >= Duration::from_millis(150));
    site.end();
    let site = filtered(ECHO, &[LIMIT], &["--env", "RATE=no number"]);
    site.resets();
    assert!(site.end().contains("RATE is a number of bytes per second"));
}

#[test]
fn a_filter_decides_who_is_served() {
    let _open = unchanged();
    let site = filtered(ECHO, &[ALLOW], &ALLOWED);
    site.echoes("hello");
    assert!(site.end().contains("0 failed"));
    let site = filtered(ECHO, &[ALLOW], &["--env", "ALLOWED=192.0.2.1"]);
    site.resets();
    let log = site.end();
    assert!(
        log.contains("the service gave up: \"access-denied\""),
        "{log}"
    );
}

/// One that decides shows it: what is in front of it has been passed, and what is behind it has not.
#[test]
fn a_connection_passes_the_first_filter_first() {
    let _open = unchanged();
    for (filters, is_counted) in [([COUNT, ALLOW], true), ([ALLOW, COUNT], false)] {
        let site = filtered(ECHO, &filters, &[]);
        site.resets();
        let log = site.end();
        assert_eq!(log.contains("bytes received"), is_counted, "{log}");
    }
}

#[test]
fn filters_work_one_behind_the_other() {
    let _open = unchanged();
    for filters in [[COUNT, LIMIT, ALLOW], [ALLOW, LIMIT, COUNT]] {
        let site = filtered(ECHO, &filters, &ALLOWED);
        site.echoes("there and back");
        site.evconn.logged("14 bytes received, 14 sent");
        assert!(site.end().contains("0 failed"));
    }
    let site = filtered(ECHO, &[COUNT, COUNT], &[]);
    gets_all_back(connect(site.address), 4 << 20);
    site.echoes("twice");
    let log = site.end();
    assert_eq!(log.matches("5 bytes received, 5 sent").count(), 2, "{log}");
}

/// How a connection ends is what the service behind the filter says, whether bytes pass through the filter or not.
#[test]
fn connections_end_as_without_a_filter() {
    let _open = unchanged();
    for filter in [COUNT, ALLOW] {
        let site = filtered(ACTS, &[filter], &ALLOWED);
        site.is_polite();
        assert_eq!(site.all_of("burst 1000000").len(), 1_000_000);
        assert_eq!(site.until_reset("fail-first"), "half of it\n");
        assert_eq!(site.until_reset("burst-and-fail 100000").len(), 100_000);
        assert_eq!(site.until_reset("fail it does not like it"), "");
        assert_eq!(site.until_reset("trap"), "");
        for act in ["hand-back", "echo"] {
            let mut peer = site.act(act);
            ask(&mut peer, "hello", "hello");
            reset(peer);
        }
        let mut peer = site.act("send-no-more");
        assert_eq!(rest(&mut peer).expect("a regular end"), "");
        peer.write_all(&[b'x'; 1_000]).expect("it is still read");
        peer.shutdown(Shutdown::Write).expect("ended");
        site.evconn.logged("1000 bytes after the end");
        let mut peer = site.act("ended");
        peer.write_all(b"12345").expect("sent");
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("a regular end"), "5 bytes, Ok(())\n");
        let mut peer = site.act("read-no-more");
        peer.write_all(&[b'x'; 1_000]).expect("sent");
        // Otherwise a filter that copies waits for more, before it notices that nobody reads it.
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("an end"), "no more: Ok(())\n");
        site.is_polite();
        let log = site.end();
        assert!(log.contains("it does not like it"), "{log}");
    }
}

/// What is behind a filter knows the connection as the host does.
#[test]
fn what_is_known_of_a_connection_is_passed_on() {
    let _open = unchanged();
    let site = filtered(ACTS, &[COUNT, ALLOW], &ALLOWED);
    let mut peer = site.act("addresses");
    let own = peer.local_addr().expect("an address");
    peer.shutdown(Shutdown::Write).expect("ended");
    let told = rest(&mut peer).expect("a regular end");
    assert_eq!(told, format!("{own} {}\n", site.address));
    site.end();
}

/// A call that never returns ends with its connection.
#[test]
fn a_handler_behind_a_filter_that_never_returns_is_timed_out() {
    let _open = unchanged();
    let site = filtered(ACTS, &[COUNT], &["--idle-timeout", "0.1"]);
    for act in ["never-return", "hold", "sleep 1000000"] {
        let mut peer = site.act(act);
        let error = peer.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{act}");
    }
    site.end();
}

#[test]
fn a_filter_of_wasi_0_2_is_put_in_front_of_a_service_of_it() {
    let _open = unchanged();
    for (filters, greetings) in [
        (&[SYNC][..], "filtered\n"),
        (&[SYNC; 2], "filtered\nfiltered\n"),
    ] {
        let site = filtered(evconn_artifacts::ECHO_PATH, filters, &[]);
        let mut peer = connect(site.address);
        peer.write_all(b"hello").expect("sent");
        peer.shutdown(Shutdown::Write).expect("ended");
        let told = rest(&mut peer).expect("a regular end");
        assert_eq!(told, format!("{greetings}hello"));
        assert!(site.end().contains("0 failed"));
    }
}

#[test]
fn a_service_is_compiled_with_its_filters() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let compiled = scratch.join("echo.cwasm");
    let path = compiled.to_str().expect("text");
    let through = ["--through", COUNT, "--through", ALLOW];
    let compile = [&["compile", ECHO, "-o", path][..], &through].concat();
    let ended = Evconn::run(&compile);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for processes in ["0", "1"] {
        let flags = ["--allow-precompiled", "--processes", processes];
        let site = Site::of(path, &[&flags[..], &ALLOWED].concat());
        site.echoes("hello");
        site.evconn.logged("5 bytes received");
        site.end();
    }
    let serve = [
        "serve",
        path,
        "--listen",
        "127.0.0.1:0",
        "--allow-precompiled",
    ];
    let ended = Evconn::run(&[&serve[..], &through].concat());
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended
            .stderr
            .contains("name the component that it was compiled from"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reload_reads_filters_again() {
    let _open = unchanged();
    for processes in ["0", "1"] {
        let scratch = Scratch::new();
        let filter = scratch.join("filter.wasm");
        let put = |component: &[u8]| {
            let new = scratch.join("new");
            std::fs::write(&new, component).expect("written");
            std::fs::rename(new, &filter).expect("renamed");
        };
        put(evconn_artifacts::ASYNC_COUNT);
        let path = filter.to_str().expect("text");
        let site = Site::of(ECHO, &["--through", path, "--processes", processes]);
        site.echoes("hello");
        site.evconn.logged("5 bytes received");
        put(b"nonsense");
        site.evconn.signal(Signal::HUP);
        let log = site.evconn.logged("component not reloaded");
        assert!(log.contains(path), "{log}");
        put(evconn_artifacts::ASYNC_ALLOW);
        site.evconn.signal(Signal::HUP);
        eventually("it is reloaded", || {
            let log = site.evconn.log_so_far();
            log.contains("component reloaded").then_some(())
        });
        site.resets();
        site.end();
    }
}

/// What only the first process can read: a pipe.
#[test]
fn a_filter_comes_from_a_pipe() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let pipe = scratch.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, evconn_artifacts::ASYNC_COUNT))
    };
    let site = filtered(ECHO, &[pipe.to_str().expect("text")], &[]);
    writer.join().expect("ended").expect("written");
    site.echoes("hello");
    site.evconn.logged("5 bytes received");
    site.end();
}

/// The only line of a command that does not start.
fn refused(component: &str, flags: &[&str]) -> String {
    let mut all = String::new();
    for processes in ["0", "1"] {
        let serve = ["serve", component, "--listen", "127.0.0.1:0", "--processes"];
        let ended = Evconn::run(&[&serve[..], &[processes], flags].concat());
        all = ended.stderr;
        assert_eq!(ended.status.code(), Some(2), "{all}");
        assert_eq!(all.lines().count(), 1, "{all}");
    }
    all
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let _open = unchanged();
    let sync = evconn_artifacts::ECHO_PATH;
    let program = evconn_artifacts::ECHO_COMMAND_PATH;
    for (component, filters, named, said) in [
        (
            sync,
            &[COUNT][..],
            sync,
            "it exports evconn:tcp/handler@0.1.0, and the filter in front of it calls evconn:tcp/handler@0.3.0",
        ),
        (
            ECHO,
            &[SYNC],
            ECHO,
            "it exports evconn:tcp/handler@0.3.0, and the filter in front of it calls evconn:tcp/handler@0.1.0",
        ),
        (
            ECHO,
            &[SYNC, COUNT],
            COUNT,
            "it exports evconn:tcp/handler@0.3.0, and the filter in front of it",
        ),
        (
            ECHO,
            &[ECHO],
            ECHO,
            "it is no filter: it imports no handler",
        ),
        (
            ECHO,
            &[COUNT, program],
            program,
            "it is no filter: it is a program",
        ),
        (
            program,
            &[SYNC],
            program,
            "filters (--through) require a component that exports a handler",
        ),
        (
            ECHO,
            &["/nowhere.wasm"],
            "/nowhere.wasm",
            "there is no such file",
        ),
    ] {
        let through: Vec<_> = filters
            .iter()
            .flat_map(|filter| ["--through", filter])
            .collect();
        let text = refused(component, &through);
        let name = Path::new(named).display().to_string();
        assert!(
            text.contains(&format!("{name}: ")) && text.contains(said),
            "{text}"
        );
    }
    let text = refused(ECHO, &["--through", COUNT, "--entry-point", "run"]);
    assert!(text.contains("--entry-point run calls none"), "{text}");
}

#[test]
fn what_is_no_filter_is_refused() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("filter.wat");
    let text_of = |imports: &[&str], export: &str| {
        let imports = imports
            .iter()
            .map(|name| format!(r#"(import "{name}" (instance (export "f" (func))))"#));
        format!(
            r#"(component {} (instance $handler) (export "{export}" (instance $handler)))"#,
            imports.collect::<String>()
        )
    };
    const HANDLER: &str = "evconn:tcp/handler@0.3.0";
    for (text, said) in [
        ("(module)".to_owned(), "it is a core module"),
        (
            text_of(&[HANDLER], "evconn:tcp/handler@0.4.0"),
            "exports evconn:tcp/handler@0.4.0",
        ),
        (
            text_of(&["evconn:tcp/handler@0.1.0"], HANDLER),
            "it imports evconn:tcp/handler@0.1.0 and exports",
        ),
        (text_of(&[HANDLER], "wasi:cli/run@0.3.0"), "it is a program"),
        (
            text_of(&[HANDLER, "acme:app/visits@1.0.0"], HANDLER),
            "it imports what is not provided: acme:app/visits@1.0.0",
        ),
        (text_of(&[HANDLER], HANDLER), "its handler has other types"),
    ] {
        std::fs::write(&path, text).expect("written");
        let text = refused(ECHO, &["--through", path.to_str().expect("text")]);
        assert!(text.contains(said), "{said}: {text}");
    }
}
