//! SIGUSR2: another process takes the place of a server, with its listening sockets, and runs what is at the path of
//! the program then.

use super::{TEST_GUEST, goes_on};
use crate::support::descriptors::unchanged;
use crate::support::http::{Admin, exchange, with_headers};
use crate::support::manager::Manager;
use crate::support::peer::{ask, connect, echoing, rest};
use crate::support::pipe::{pipe, writer};
use crate::support::process::{EVCONN, Evconn};
use crate::support::scratch::{Scratch, install};
use crate::support::successor::Successor;
use crate::support::workers::{children, supervisor, wait_for_workers};
use crate::support::{DEADLINE, eventually};
use evconn::guests;
use rustix::process::Signal;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A directory with a program that can be replaced.
struct Program {
    scratch: Scratch,
    path: PathBuf,
}

impl Program {
    fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.join("evconn");
        symlink(EVCONN, &path).expect("a link");
        Self { scratch, path }
    }

    /// Starts it with these arguments, in its directory.
    fn start(&self, arguments: &[&str]) -> Evconn {
        Evconn::start_by(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("./evconn");
        command
            .args(arguments)
            .current_dir(self.path.parent().expect("its directory"))
            .stdin(Stdio::null());
        command
    }

    /// Serves the test guest on a free port with two workers.
    fn serve(&self, flags: &[&str]) -> Evconn {
        let serve = ["serve", TEST_GUEST, "--listen", "127.0.0.1:0"];
        self.start(&[&serve[..], &["--processes", "2"], flags].concat())
    }

    /// Puts another file in its place.
    fn replace(&self, text: &str) {
        let new = self.scratch.join("new");
        fs::write(&new, text).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::rename(new, &self.path).expect("in its place");
    }

    /// Puts a copy of the command in its place.
    fn replace_with_a_copy(&self) {
        let new = self.scratch.join("new");
        fs::copy(EVCONN, &new).expect("copied");
        fs::rename(new, &self.path).expect("in its place");
    }

    /// Puts a script in its place that becomes the command when [`let_go`](Self::let_go) is called.
    fn replace_with_one_that_waits(&self) -> PathBuf {
        let pipe = pipe(&self.scratch);
        self.replace(&format!(
            "#!/bin/sh\nread line <'{}'\nexec '{EVCONN}' \"$@\"\n",
            pipe.display()
        ));
        pipe
    }
}

fn let_go(pipe: &Path) {
    writer(pipe).write_all(b"go\n").expect("written");
}

/// Waits until it has ended well.
fn ends_well(evconn: &mut Evconn) {
    let family = children(evconn);
    let status = evconn.status();
    assert!(status.success(), "{status}: {}", evconn.log_so_far());
    for process in family.iter().filter(|process| process.name() != "evconn") {
        assert!(!process.exists(), "{} is left", process.command());
    }
}

/// Connects, has something echoed, and closes.
fn visit(address: SocketAddr) -> io::Result<()> {
    let mut peer = TcpStream::connect_timeout(&address, DEADLINE)?;
    peer.set_read_timeout(Some(DEADLINE))?;
    peer.write_all(b"echo\nhello\n")?;
    let mut answer = [0; 6];
    peer.read_exact(&mut answer)?;
    peer.shutdown(Shutdown::Write)?;
    match (&answer, rest(&mut peer)?.as_str()) {
        (b"hello\n", "") => Ok(()),
        (answer, rest) => Err(io::Error::other(format!("{answer:?}, then {rest:?}"))),
    }
}

#[test]
fn no_connection_fails_in_upgrades_under_load() {
    const PEERS: usize = 50;
    const UPGRADES: usize = 5;
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&[]);
    let address = evconn.address();
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let served_more = || {
        let before = served.load(Ordering::Relaxed);
        eventually("more are served", || {
            (served.load(Ordering::Relaxed) >= before + PEERS).then_some(())
        });
    };
    thread::scope(|scope| {
        for _ in 0..PEERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    visit(address).unwrap_or_else(|error| {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("a connection has failed: {error}");
                    });
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut serving: Option<Successor> = None;
        for count in 0..UPGRADES {
            served_more();
            let id = serving
                .as_ref()
                .map_or(evconn.id(), |new| new.process().id());
            let new = Successor::of(&evconn, id, count);
            if let Some(old) = serving.replace(new) {
                old.ends();
            }
        }
        served_more();
        is_over.store(true, Ordering::Relaxed);
        serving.expect("the last one").stop();
    });
    ends_well(&mut evconn);
    let log = evconn.wait().stderr;
    let clean =
        "of which 0 were refused, 0 failed, 0 lost their peer, 0 timed out and 0 were ended";
    assert_eq!(log.matches(clean).count(), UPGRADES + 1, "{log}");
}

#[test]
fn open_connections_finish_on_the_old_process() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&["--grace", "0"]);
    let address = evconn.address();
    let mut open: Vec<_> = (0..4).map(|_| echoing(address)).collect();
    program.replace_with_a_copy();
    let new = Successor::of(&evconn, evconn.id(), 0);
    let mut last = echoing(address);
    assert_eq!(
        fs::read_link(format!("/proc/{}/exe", new.process().id())).expect("a link"),
        program.path
    );
    assert_eq!(new.process().command(), supervisor(&evconn).command());
    open.iter_mut().for_each(goes_on);
    assert!(evconn.is_running());
    // It has nothing to accept from any more, and a reload is not its business.
    evconn.signal(Signal::HUP);
    evconn.signal(Signal::USR2);
    evconn.logged("SIGUSR2 is ignored: process");
    open.iter_mut().for_each(goes_on);
    drop(open);
    ends_well(&mut evconn);
    goes_on(&mut last);
    drop(last);
    echoing(address);
    new.stop();
    let log = evconn.wait().stderr;
    assert!(!log.contains("ERROR"), "{log}");
    assert!(
        log.contains("served 4 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

#[test]
fn a_signal_ends_the_old_process_within_the_grace_period() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&["--grace", "0"]);
    let address = evconn.address();
    let mut open = echoing(address);
    let new = Successor::of(&evconn, evconn.id(), 0);
    goes_on(&mut open);
    evconn.signal(Signal::TERM);
    rest(&mut open).expect_err("a reset");
    assert_eq!(evconn.status().code(), Some(1));
    echoing(address);
    new.stop();
}

#[test]
fn a_program_that_fails_leaves_the_old_one_serving() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&[]);
    let address = evconn.address();
    let mut open = echoing(address);
    let before = wait_for_workers(&evconn, 2);
    let fails = |why: &str| {
        evconn.signal(Signal::USR2);
        let log = evconn.logged(why);
        let line = log.lines().find(|line| line.contains(why)).expect("it");
        let expected = "ERROR upgrade failed, this process continues to serve: ";
        assert!(line.contains(expected), "{line}");
        visit(address).expect("served");
    };
    program.replace("#!/bin/sh\nexit 1\n");
    fails("the new process exited with status 1");
    program.replace("#!/bin/sh\nkill -9 $$\n");
    fails("the new process was killed by signal 9 (SIGKILL)");
    program.replace("#!/bin/sh\nexec sleep 600 <&-\n");
    fails("the new process has closed its standard input");
    program.replace("#!/bin/sh\nprintf 'HTTP/1.1 400 Bad Request' >&0\nexec sleep 600\n");
    fails("the new process has sent an invalid message");
    program.replace("neither a script nor a program");
    fails("cannot execute");
    fs::remove_file(&program.path).expect("removed");
    fails("No such file or directory");
    goes_on(&mut open);
    assert_eq!(wait_for_workers(&evconn, 2), before);
    eventually("no new process is left", || {
        (children(&evconn).len() == 2).then_some(())
    });
    // It can still be replaced.
    program.replace_with_a_copy();
    let new = Successor::of(&evconn, evconn.id(), 0);
    drop(open);
    ends_well(&mut evconn);
    visit(address).expect("served");
    new.stop();
}

/// Its reason is in the log of the old one.
#[test]
fn a_server_that_cannot_start_leaves_the_old_one_serving() {
    let _open = unchanged();
    let program = Program::new();
    let app = program.scratch.join("app.wasm");
    fs::copy(TEST_GUEST, &app).expect("copied");
    let flags = ["--listen", "127.0.0.1:0", "--listen", "unix:a.sock"];
    let evconn = program.start(&[&["serve", "app.wasm"], &flags[..]].concat());
    let address = evconn.address();
    install(b"no component", &app);
    evconn.signal(Signal::USR2);
    let log = evconn.logged("upgrade failed, this process continues to serve");
    let line = log.lines().find(|line| line.contains("upgrade failed"));
    let line = line.expect("it");
    assert!(
        line.contains("the new process has failed: app.wasm: "),
        "{line}"
    );
    visit(address).expect("served");
    let socket = program.scratch.join("a.sock");
    UnixStream::connect(&socket).expect("connected");
    super::end(evconn);
    assert!(!socket.exists());
}

#[test]
fn what_is_read_from_standard_input_cannot_be_served_again() {
    let _open = unchanged();
    let program = Program::new();
    let mut command = program.command(&["serve", "-", "--listen", "127.0.0.1:0"]);
    command.stdin(fs::File::open(TEST_GUEST).expect("opened"));
    let evconn = Evconn::start_by(&mut command);
    let address = evconn.address();
    evconn.signal(Signal::USR2);
    evconn.logged("standard input can be read only once: serve a file to upgrade");
    visit(address).expect("served");
    super::end(evconn);
}

#[test]
fn the_file_of_a_unix_socket_stays_and_goes_with_the_new_process() {
    let _open = unchanged();
    let program = Program::new();
    let listen = ["--listen", "unix:a.sock,mode=640"];
    let mut evconn = program.start(&[&["serve", TEST_GUEST], &listen[..]].concat());
    assert_eq!(evconn.listening_on(), "unix:a.sock");
    let path = program.scratch.join("a.sock");
    let before = fs::metadata(&path).expect("a socket").ino();
    let is_served = || {
        let mut peer = UnixStream::connect(&path).expect("connected");
        peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        peer.write_all(b"echo\nhello\n").expect("sent");
        peer.read_exact(&mut [0; 6]).expect("an answer");
    };
    is_served();
    let mut old = None;
    for count in 0..2 {
        let id = old
            .as_ref()
            .map_or(evconn.id(), |old: &Successor| old.process().id());
        let new = Successor::of(&evconn, id, count);
        match old.replace(new) {
            Some(old) => old.ends(),
            None => ends_well(&mut evconn),
        }
        let file = fs::metadata(&path).expect("the same socket");
        assert_eq!((file.ino(), file.mode() & 0o777), (before, 0o640));
        is_served();
    }
    old.expect("the last one").stop();
    assert_eq!(program.scratch.contents(), ["evconn"]);
    assert!(!evconn.wait().stderr.contains("WARN"));
}

/// What both have is handed over, the rest is bound or closed.
#[test]
fn the_new_process_serves_the_configuration_that_is_there_then() {
    let _open = unchanged();
    let program = Program::new();
    let text = |services: &[(&str, &[&str])]| {
        let tables = services.iter().map(|(name, listen)| {
            format!("[service.{name}]\ncomponent = '{TEST_GUEST}'\nlisten = {listen:?}\n")
        });
        "[defaults]\nprocesses = 1\n".to_owned() + &tables.collect::<String>()
    };
    let directory = program.scratch.join("etc");
    fs::create_dir(&directory).expect("a directory");
    let file = directory.join("evconn.toml");
    let write = |services: &[(&str, &[&str])]| install(text(services).as_bytes(), &file);
    write(&[
        ("a", &["127.0.0.1:0", "unix:moves.sock"]),
        ("b", &["unix:stays.sock", "unix:goes.sock"]),
        ("c", &["unix:ends.sock"]),
    ]);
    let mut evconn = program.start(&["serve", "--config", "etc/evconn.toml"]);
    let line = evconn.line();
    let address = line
        .strip_prefix("Listening on ")
        .and_then(|line| line.split(' ').next());
    let address = address
        .and_then(|address| address.parse().ok())
        .expect("an address");
    let mut open = echoing(address);
    write(&[
        ("a", &["127.0.0.1:0", "unix:comes.sock"]),
        ("b", &["unix:stays.sock", "unix:moves.sock"]),
    ]);
    let new = Successor::of(&evconn, evconn.id(), 0);
    visit(address).expect("served");
    goes_on(&mut open);
    drop(open);
    ends_well(&mut evconn);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .expect("its files")
        .collect::<Result<_, _>>()
        .expect("its files");
    files.sort_by_key(fs::DirEntry::file_name);
    let files: Vec<_> = files.iter().map(|file| file.file_name()).collect();
    assert_eq!(
        files,
        ["comes.sock", "evconn.toml", "moves.sock", "stays.sock"]
    );
    for name in &files[2..] {
        UnixStream::connect(directory.join(name)).expect("served");
    }
    new.stop();
    assert_eq!(fs::read_dir(&directory).expect("its files").count(), 1);
}

#[test]
fn the_admin_endpoint_is_handed_over() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&["--admin", "127.0.0.1:0"]);
    let admin = Admin::of(&evconn);
    let process = || admin.get("/status").json()["process"].as_i64();
    assert_eq!(
        process(),
        Some(i64::from(evconn.id().as_raw_nonzero().get()))
    );
    let mut open = echoing(evconn.address());
    let new = Successor::of(&evconn, evconn.id(), 0);
    let id = i64::from(new.process().id().as_raw_nonzero().get());
    eventually("the new process answers", || {
        (process() == Some(id)).then_some(())
    });
    admin.get("/readyz").is(200);
    goes_on(&mut open);
    drop(open);
    ends_well(&mut evconn);
    admin.get("/readyz").is(200);
    new.stop();
}

#[test]
fn the_file_of_the_admin_endpoint_stays_too() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&["--admin", "unix:admin.sock"]);
    evconn.address();
    let path = program.scratch.join("admin.sock");
    let new = Successor::of(&evconn, evconn.id(), 0);
    ends_well(&mut evconn);
    let request = with_headers("GET", "/readyz", "host: localhost\r\n", "");
    let peer = UnixStream::connect(&path).expect("connected");
    assert_eq!(exchange(peer, &request).status, 200);
    new.stop();
    assert_eq!(program.scratch.contents(), ["evconn"]);
}

/// systemd goes on with the new process.
#[test]
fn the_manager_is_told_which_process_serves() {
    let _open = unchanged();
    let manager = Manager::new();
    let mut evconn = manager.start(TEST_GUEST, &[]);
    assert_eq!(manager.hear(), ["READY=1"]);
    let open = echoing(evconn.address());
    let new = Successor::of(&evconn, evconn.id(), 0);
    assert_eq!(manager.hear(), [format!("MAINPID={}", new.process().id())]);
    assert_eq!(manager.hear(), ["READY=1"]);
    evconn.signal(Signal::TERM);
    drop(open);
    ends_well(&mut evconn);
    // The end of the old one is none of the service.
    new.process().signal(Signal::TERM);
    assert_eq!(manager.hear(), ["STOPPING=1"]);
    new.ends();
}

#[test]
fn a_signal_to_stop_ends_both_while_the_new_process_starts() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&[]);
    evconn.address();
    program.replace_with_one_that_waits();
    evconn.signal(Signal::USR2);
    let new = Successor::starting(&evconn);
    evconn.signal(Signal::USR2);
    evconn.logged("is taking over already");
    evconn.signal(Signal::TERM);
    ends_well(&mut evconn);
    assert!(new.is_over());
}

#[test]
fn a_hangup_while_the_new_process_starts_reaches_it() {
    let _open = unchanged();
    let program = Program::new();
    let app = program.scratch.join("served.wasm");
    fs::copy(TEST_GUEST, &app).expect("copied");
    let mut evconn = program.start(&["serve", "served.wasm", "--listen", "127.0.0.1:0"]);
    let address = evconn.address();
    let pipe = program.replace_with_one_that_waits();
    evconn.signal(Signal::USR2);
    let starting = Successor::starting(&evconn);
    install(guests::ECHO, &app);
    evconn.signal(Signal::HUP);
    let_go(&pipe);
    let new = Successor::after(&evconn, 0);
    evconn.logged("component reloaded");
    // The example echoes the first line as well.
    ask(&mut connect(address), "echo\n", "echo\n");
    ends_well(&mut evconn);
    assert_eq!(new.process(), starting.process());
    new.stop();
}

#[test]
fn a_hangup_while_the_new_process_fails_is_not_lost() {
    let _open = unchanged();
    let program = Program::new();
    let config = program.scratch.join("evconn.toml");
    let text = format!("[service.a]\ncomponent = '{TEST_GUEST}'\nlisten = '127.0.0.1:0'\n");
    fs::write(&config, &text).expect("written");
    let evconn = program.start(&["serve", "--config", "evconn.toml"]);
    evconn.line();
    let pipe = pipe(&program.scratch);
    program.replace(&format!(
        "#!/bin/sh\nread line <'{}'\nexit 3\n",
        pipe.display()
    ));
    evconn.signal(Signal::USR2);
    evconn.logged(" is starting");
    install((text + "grace = 1\n").as_bytes(), &config);
    evconn.signal(Signal::HUP);
    let_go(&pipe);
    let log = evconn.logged("configuration reloaded, changed: a");
    assert!(
        log.contains("the new process exited with status 3"),
        "{log}"
    );
    super::end(evconn);
}

#[test]
fn a_new_process_ends_if_the_old_one_dies() {
    let _open = unchanged();
    let program = Program::new();
    let evconn = program.serve(&[]);
    evconn.address();
    let pipe = program.replace_with_one_that_waits();
    evconn.signal(Signal::USR2);
    let new = Successor::starting(&evconn);
    evconn.signal(Signal::KILL);
    let_go(&pipe);
    new.ends();
    let log = evconn.wait().stderr;
    assert!(!log.contains("listening on"), "{log}");
}

#[test]
fn the_old_process_says_that_the_new_one_has_died() {
    let _open = unchanged();
    let program = Program::new();
    let mut evconn = program.serve(&[]);
    let mut open = echoing(evconn.address());
    let new = Successor::of(&evconn, evconn.id(), 0);
    new.process().signal(Signal::KILL);
    evconn.logged("which has replaced this one, was killed by signal 9 (SIGKILL)");
    goes_on(&mut open);
    drop(open);
    ends_well(&mut evconn);
}
