//! Servers of Python's standard library, and of a framework: one component has them all, since CPython takes long to
//! compile.

use super::echo::{CLIENTS, is_an_echo_server};
use super::{LONG, end};
use crate::languages::page::{HERE, TEMPORARY, shell};
use crate::support::peer::{connect, rest};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{skip, tool};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SOURCES: [(&str, &str); 4] = [
    ("app.py", include_str!("../programs/python/app.py")),
    (
        "asyncio_echo.py",
        include_str!("../programs/python/asyncio_echo.py"),
    ),
    (
        "bottle_hello.py",
        include_str!("../programs/python/bottle_hello.py"),
    ),
    (
        "socketserver_echo.py",
        include_str!("../programs/python/socketserver_echo.py"),
    ),
];

/// The compiled component, built once; or nothing if that is not possible here.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let bottle = bottle()?;
    let scratch = Scratch::new();
    for directory in [HERE, TEMPORARY] {
        std::fs::create_dir(scratch.join(directory)).expect("a directory");
    }
    for (name, source) in SOURCES {
        std::fs::write(scratch.join(HERE).join(name), source).expect("written");
    }
    std::fs::copy(bottle, scratch.join(HERE).join("bottle.py")).expect("copied");
    let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python.cwasm");
    let commands = format!(
        "evconn wit -o wit
componentize-py -d wit -w wasi:cli/command componentize app -o app.wasm
evconn compile app.wasm -o '{}'",
        compiled.display()
    );
    let output = shell(&commands, &scratch).output().expect("the shell runs");
    assert!(output.status.success(), "{output:?}");
    Some(compiled)
}

/// The module, as installed for the Python of componentize-py. It is one file.
fn bottle() -> Option<PathBuf> {
    tool::run(Command::new("componentize-py").arg("--version"), b"")?;
    let path = "import os, shutil, sys; print(os.path.dirname(os.path.realpath(shutil.which('componentize-py'))))";
    let output = tool::run(Command::new("python3").args(["-c", path]), b"")?;
    let python = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("python");
    let mut find = Command::new(python);
    find.args(["-c", "import bottle; print(bottle.__file__)"]);
    let found = tool::run(&mut find, b"").filter(|output| output.status.success());
    if found.is_none() {
        skip("bottle is not installed: `pip install bottle` installs it beside componentize-py");
    }
    let found = found?.stdout;
    Some(String::from_utf8_lossy(&found).trim().into())
}

/// Serves the one of this name.
fn serve(name: &str, flags: &[&str]) -> Option<Evconn> {
    let program = program()?.to_str().expect("text");
    let serve = [
        "serve",
        program,
        "--allow-precompiled",
        "--listen",
        "127.0.0.1:0",
    ];
    let arguments = ["--arg", "program", "--arg", name];
    Some(Evconn::start(&[&serve[..], &arguments, flags].concat()))
}

fn curl(address: SocketAddr, path: &str) -> Option<String> {
    let url = format!("http://{address}{path}");
    let output = tool::run(
        Command::new("curl").args(["-sSf", "--max-time", "60", &url]),
        b"",
    )?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// It waits up to half a second for each connection, and is over although its peer stays.
#[test]
fn one_of_socketserver() {
    let Some(evconn) = serve("socketserver", &LONG) else {
        return;
    };
    let address = evconn.address();
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| connect(address)).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        let line = format!("hello {number}\n");
        peer.write_all(line.repeat(100).as_bytes()).expect("sent");
        peer.shutdown(std::net::Shutdown::Write).expect("ended");
        assert_eq!(rest(peer).expect("a regular end"), line.repeat(100));
    }
    let log = end(evconn);
    let said = format!("served {CLIENTS} connections, of which 0 were refused, 0 failed");
    assert!(log.contains(&said), "{log}");
}

#[test]
fn one_of_asyncio() {
    if let Some(evconn) = serve("asyncio", &LONG) {
        is_an_echo_server(evconn);
    }
}

/// Of the files that it is granted.
#[test]
fn the_one_of_the_module_http() {
    let files = Scratch::new();
    let directory = files.join("files");
    std::fs::create_dir(&directory).expect("a directory");
    std::fs::write(directory.join("town.txt"), "Lund\n").expect("written");
    let grant = format!("{}::/:ro", directory.display());
    let Some(evconn) = serve("http", &[&["--dir", &grant][..], &LONG].concat()) else {
        return;
    };
    let address = evconn.address();
    let Some(listing) = curl(address, "/") else {
        return;
    };
    assert!(
        listing.contains("<a href=\"town.txt\">town.txt</a>"),
        "{listing}"
    );
    assert_eq!(curl(address, "/town.txt").as_deref(), Some("Lund\n"));
    let log = end(evconn);
    assert!(log.contains("GET /town.txt HTTP/1.1"), "{log}");
    assert!(
        log.contains("served 2 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

#[test]
fn one_of_bottle() {
    let Some(evconn) = serve("bottle", &LONG) else {
        return;
    };
    let Some(page) = curl(evconn.address(), "/hello/Lund") else {
        return;
    };
    assert_eq!(page, "<b>Hello Lund</b>!");
    end(evconn);
}

/// WebAssembly has none yet; what it prints says so.
#[test]
fn one_with_threads_has_none() {
    let Some(evconn) = serve("threads", &LONG) else {
        return;
    };
    assert_eq!(
        rest(&mut connect(evconn.address())).expect("a regular end"),
        ""
    );
    let log = end(evconn);
    assert!(log.contains("can't start new thread"), "{log}");
}
