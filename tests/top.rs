//! `evconn top`: one snapshot, and the view on a terminal.

use crate::support::descriptors::unchanged;
use crate::support::http::name_of;
use crate::support::peer::{ask, connect, rest};
use crate::support::process::{EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::text::Text;
use crate::support::tool::Tool;
use crate::support::{DEADLINE, eventually, is_reset};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;

/// Starts the echo server. Returns it with its address, and that of its endpoint.
fn start(processes: &str, admin: &str) -> (Evconn, SocketAddr, String) {
    let flags = ["echo", "0", "--address", "127.0.0.1", "--processes"];
    let evconn = Evconn::start(&[&flags[..], &[processes, "--admin", admin]].concat());
    let admin = name_of(&evconn);
    let address = evconn.address();
    (evconn, address, admin)
}

fn end(evconn: Evconn) {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// Returns a connection that is being served.
fn peer(address: SocketAddr) -> TcpStream {
    let mut peer = connect(address);
    ask(&mut peer, "hello\n", "hello\n");
    peer
}

fn name(peer: &TcpStream) -> String {
    peer.local_addr().expect("an address").to_string()
}

/// Checks that there is one line on standard error, which has this in it.
fn fails(ended: &Ended, status: i32, why: &str) {
    let Ended { stdout, stderr, .. } = ended;
    assert_eq!(ended.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(why), "{why}: {stderr}");
    assert_eq!(
        (stderr.lines().count(), stdout.as_str()),
        (1, ""),
        "{stderr}"
    );
}

#[test]
fn a_snapshot_has_what_the_endpoint_says() {
    let _open = unchanged();
    for (processes, process) in [("0", "server"), ("1", "worker 1")] {
        let (evconn, address, admin) = start(processes, "127.0.0.1:0");
        let peer = peer(address);
        let snapshot = eventually("the connection is listed", || {
            let ended = Evconn::run(&["top", &admin, "--once"]);
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
            ended.stdout.contains(&name(&peer)).then_some(ended.stdout)
        });
        let first = format!(
            "evconn {} at {admin}: ready, up ",
            env!("CARGO_PKG_VERSION")
        );
        assert!(snapshot.starts_with(&first), "{snapshot}");
        for line in [
            "\nConnections\n",
            "\nListeners\n",
            "\nProcesses\n",
            "\nEnds\nNo connection has ended\n",
        ] {
            assert!(snapshot.contains(line), "{line}: {snapshot}");
        }
        let words = |start: &str| {
            let mut lines = snapshot.lines().filter(|line| line.starts_with(start));
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{start}: {snapshot}"));
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words("accepted "), ["accepted", "1"]);
        assert_eq!(words(&address.to_string())[1..], ["accepting", "1", "1"]);
        words(process);
        drop(peer);
        end(evconn);
    }
}

#[test]
fn the_endpoint_may_be_a_unix_socket() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let source = format!("unix:{}", scratch.join("admin.sock").display());
    let (evconn, _, _) = start("0", &source);
    let ended = Evconn::run(&["top", &source, "--once"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains(&format!(" at {source}: ready")),
        "{}",
        ended.stdout
    );
    end(evconn);
    fails(
        &Evconn::run(&["top", &source, "--once"]),
        1,
        "cannot connect",
    );
}

#[test]
fn what_cannot_be_shown_is_one_line() {
    let _open = unchanged();
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let nobody = unused.local_addr().expect("an address").to_string();
    drop(unused);
    let refused = Evconn::run(&["top", &nobody, "--once"]);
    fails(&refused, 1, &format!("evconn: {nobody}: cannot connect: "));
    assert!(
        refused
            .stderr
            .contains("is it the address of a server's --admin?"),
        "{}",
        refused.stderr
    );
    // No server is asked for it.
    let piped = Evconn::run(&["top", &nobody]);
    fails(&piped, 2, "standard output is not a terminal: use --once");
    for (arguments, why) in [
        (&["9000"][..], "expected an address such as 127.0.0.1:9000"),
        (&["https://localhost:9000"], "the admin endpoint has no TLS"),
        (&["--interval", "0"], "from 0.1 to 3600"),
    ] {
        let ended = Evconn::run(&[&["top"], arguments].concat());
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    // Where it is for everybody, the endpoint tells metrics alone.
    let (evconn, _, admin) = start("0", ":0");
    let port = admin.rsplit(':').next().expect("a port");
    fails(
        &Evconn::run(&["top", &format!(":{port}"), "--once"]),
        1,
        "is allowed here",
    );
    end(evconn);
}

/// Answers requests with this, one after the other, until `count` were answered.
fn fake(
    count: usize,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    let serving = thread::spawn(move || {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().expect("accepted");
            stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.extend(byte);
            }
            let head = String::from_utf8(head).expect("text");
            let path = head.split(' ').nth(1).expect("a path");
            stream.write_all(answer(path).as_bytes()).expect("sent");
        }
    });
    (address, serving)
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

#[test]
fn another_server_is_named_as_such() {
    let _open = unchanged();
    let not_found = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno".to_owned();
    for (answer, why) in [
        (
            not_found,
            "it answers GET /status with 404 Not Found: is this the address of --admin?",
        ),
        (
            ok("{\"state\":\"\\u001b[2J\"}"),
            "no admin endpoint of this version of evconn",
        ),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "no HTTP answer"),
        (String::new(), "no HTTP answer"),
    ] {
        let (address, serving) = fake(1, move |_| answer.clone());
        let ended = Evconn::run(&["top", &address, "--once"]);
        serving.join().expect("served");
        fails(&ended, 1, why);
        assert!(
            !ended.stderr.trim_end().contains(char::is_control),
            "{:?}",
            ended.stderr
        );
    }
}

#[test]
fn names_of_peers_are_not_obeyed() {
    let _open = unchanged();
    let (address, serving) = fake(4, |path| {
        ok(match path.split('?').next() {
            Some("/status") => {
                r#"{"version":"1","state":"ready","process":1,"age":1,"services":[]}"#
            }
            Some("/log") => {
                r#"{"records":[{"time":"\u001b[2J","level":"\u001b[2J","text":"\u001b]0;title\u0007"}]}"#
            }
            Some("/metrics") => "evconn_connections_ended_total{cause=\"\x1b[2J\"} 1\n",
            _ => {
                r#"{"open":1,"missing":[],"connections":[{"number":1,"service":null,"peer":"\u001b]0;title\u0007",
                "listener":"a","age":1,"received":1,"sent":1,"state":"handling","instance":"own","worker":null}]}"#
            }
        })
    });
    let ended = Evconn::run(&["top", &address, "--once"]);
    serving.join().expect("served");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("\u{fffd}]0;title\u{fffd}"),
        "{}",
        ended.stdout
    );
    let is_obeyed = |character: char| character.is_control() && character != '\n';
    assert!(!ended.stdout.contains(is_obeyed), "{:?}", ended.stdout);
}

/// `evconn top` on a terminal of its own.
struct Terminal {
    script: Tool,
    keys: ChildStdin,
    screen: Text,
}

impl Terminal {
    /// Starts it, or writes why that is not possible here.
    fn start(admin: &str, rows: u16, columns: u16) -> Option<Self> {
        let shell = format!(
            "stty rows {rows} cols {columns}; sh -c 'echo \"pid $$ \"; exec {EVCONN} top {admin}'; \
             echo \"status $? \"; stty -a"
        );
        let mut command = Command::new("script");
        command
            .args(["-qfec", &shell, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut script = Tool::start(&mut command)?;
        let keys = script.child().stdin.take().expect("stdin");
        let screen = Text::read(script.child().stdout.take().expect("stdout"));
        Some(Self {
            script,
            keys,
            screen,
        })
    }

    /// Waits until this is on the screen. Words are drawn apart from each other.
    fn shows(&self, word: &str) {
        self.screen.wait_for(word);
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("pressed");
    }

    fn signal(&self, signal: Signal) {
        let screen = self.screen.wait_for("pid ");
        let id = screen
            .split("pid ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let id = id.and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        kill_process(id.expect("an ID"), signal).expect("signalled");
    }

    /// Waits until it has ended well, and the terminal is as it was.
    fn ends_well(mut self) {
        let text = self.screen.wait_for_end();
        let (view, after) = text.split_once("status ").expect("a status");
        assert!(after.starts_with("0 "), "{after}");
        let (_, view) = view
            .split_once("\x1b[?1049h")
            .expect("the alternate screen");
        assert!(
            view.contains("\x1b[?1049l") && view.contains("\x1b[?25h"),
            "{view:?}"
        );
        let settings: Vec<_> = after.split_whitespace().collect();
        for setting in ["icanon", "echo", "isig", "opost"] {
            assert!(settings.contains(&setting), "{setting}: {after}");
        }
        let status = self.script.child().wait().expect("a status");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn a_connection_is_reset_by_keys() {
    let _open = unchanged();
    let (evconn, address, admin) = start("1", "127.0.0.1:0");
    let (mut first, mut second) = (peer(address), peer(address));
    let Some(mut terminal) = Terminal::start(&admin, 24, 80) else {
        return;
    };
    terminal.shows(&name(&first));
    // The one that is filtered, whatever the order.
    let port = second.local_addr().expect("an address").port();
    terminal.press(&format!("/:{port}\r"));
    terminal.press("r");
    terminal.shows("Reset");
    terminal.press("y");
    let error = rest(&mut second).expect_err("a reset");
    assert!(is_reset(&error), "{error}");
    ask(&mut first, "still here\n", "still here\n");
    // It quits in every mode.
    terminal.press("\x03");
    terminal.ends_well();
    drop(first);
    end(evconn);
}

#[test]
fn q_and_signals_restore_the_terminal() {
    let _open = unchanged();
    let (evconn, _, admin) = start("0", "127.0.0.1:0");
    for signal in [None, Some(Signal::TERM), Some(Signal::INT)] {
        let Some(mut terminal) = Terminal::start(&admin, 50, 160) else {
            return;
        };
        terminal.shows("Processes");
        match signal {
            None => terminal.press("?xq"),
            Some(signal) => terminal.signal(signal),
        }
        terminal.ends_well();
    }
    end(evconn);
}

#[test]
fn a_server_that_ends_is_waited_for() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let source = format!("unix:{}", scratch.join("admin.sock").display());
    let (evconn, _, _) = start("0", &source);
    let Some(mut terminal) = Terminal::start(&source, 24, 120) else {
        return;
    };
    terminal.shows("Processes");
    // It drains, and has ended then.
    terminal.press("dy");
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    terminal.press("\x1b");
    terminal.shows("Trying");
    // Another one takes its place.
    let (evconn, address, _) = start("0", &source);
    let peer = peer(address);
    terminal.shows(&name(&peer));
    terminal.press("q");
    terminal.ends_well();
    drop(peer);
    end(evconn);
}

#[test]
fn a_small_terminal_says_so() {
    let _open = unchanged();
    let (evconn, _, admin) = start("0", "127.0.0.1:0");
    let Some(mut terminal) = Terminal::start(&admin, 5, 20) else {
        return;
    };
    terminal.shows("small:");
    terminal.press("q");
    terminal.ends_well();
    end(evconn);
}
