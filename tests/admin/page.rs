//! The status page, as text and in a browser.

use super::{PROCESSES, Server, TEST_GUEST};
use crate::support::descriptors::unchanged;
use crate::support::peer::echoing;
use crate::support::scratch::Scratch;
use crate::support::{DEADLINE, skip};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Markup that runs if a page takes it for such.
const MARKUP: &str = "<img src=x onerror=document.title='ran'>";

#[test]
fn the_page_loads_and_runs_nothing_else() {
    let _open = unchanged();
    let server = Server::start("0");
    let answer = server.admin.get("/");
    let page = answer.is(200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    for rule in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for elsewhere in ["src=", "@import", "url(", "<iframe", "<base", "<object"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    // The one of an icon.
    assert_eq!(page.matches("href=").count(), 1);
    assert!(page.contains("href=\"data:image/svg+xml,"));
    for markup in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
    ] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert_eq!(server.admin.request("HEAD", "/", "").is(200), "");
    server.end();
}

/// Its addresses are those of namespaces alone, which nothing is loaded from.
#[test]
fn the_page_names_no_other_site() {
    let _open = unchanged();
    let server = Server::start("0");
    let answer = server.admin.get("/");
    let page = answer.is(200).replace("http://www.w3.org/2000/svg", "");
    for scheme in ["http:", "https:", "ws:", "wss:", "\"//", "'//", "`//"] {
        assert!(!page.contains(scheme), "{scheme}");
    }
    server.end();
}

#[test]
fn the_page_knows_each_cause_and_each_metric_that_it_shows() {
    let _open = unchanged();
    let server = Server::start("0");
    let answer = server.admin.get("/");
    let metrics = server.admin.get("/metrics");
    let (page, metrics) = (answer.is(200), metrics.is(200));
    let causes = metrics.split("{cause=\"").skip(1);
    let causes: Vec<_> = causes.filter_map(|rest| rest.split('"').next()).collect();
    assert!(causes.len() > 10, "{metrics}");
    for cause in causes {
        assert!(page.contains(&format!("\n  {cause}: [")), "{cause}");
    }
    let names = page.split("'evconn_").skip(1);
    let names: Vec<_> = names.filter_map(|rest| rest.split('\'').next()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("\nevconn_{name}")), "{name}");
    }
    server.end();
}

/// A link to it may be anywhere, and an address may be typed; what has data is read by itself alone.
#[test]
fn the_page_may_be_linked_to() {
    let _open = unchanged();
    let server = Server::start("0");
    let from = |site: &str, path: &str| {
        let headers = format!("host: {}\r\nsec-fetch-site: {site}\r\n", server.admin.0);
        server.admin.request_with("GET", path, &headers, "").status
    };
    assert_eq!(from("cross-site", "/"), 200);
    assert_eq!(from("none", "/"), 200);
    assert_eq!(from("none", "/status"), 200);
    assert_eq!(from("cross-site", "/status"), 403);
    server.end();
}

#[test]
fn the_status_has_listeners_and_workers() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let status = server.admin.get("/status").json();
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(status["state"], "ready");
        let services = status["services"].as_array().expect("services");
        let [service] = &services[..] else {
            panic!("one service: {status}");
        };
        assert_eq!(service["name"], serde_json::Value::Null);
        assert_eq!(service["state"], "ready");
        assert_eq!(status["process"], server.evconn.id().as_raw_nonzero().get());
        assert_eq!(
            service["listeners"],
            serde_json::json!([server.address.to_string()])
        );
        let workers = service["workers"].as_array().expect("workers");
        let expected: usize = processes.parse().expect("a number");
        assert_eq!(workers.len(), expected, "{status}");
        let metrics = server.admin.get("/metrics");
        for worker in workers {
            assert_eq!(worker["state"], "accepting", "{status}");
            assert!(worker["process"].as_u64().is_some_and(|id| id > 1));
            let line = format!("open_fds{{process=\"{}\"}}", worker["member"]);
            assert!(metrics.body.contains(&line), "{line}: {metrics:?}");
        }
        server.end();
    }
}

#[test]
fn a_browser_shows_what_there_is() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let source = format!("unix:{}", scratch.join(MARKUP).display());
    let flags = ["--admin", "127.0.0.1:0", "--listen", &source];
    let server = Server::start_with(TEST_GUEST, "2", &flags);
    let peers: Vec<_> = (0..7).map(|_| echoing(server.address)).collect();
    if let Some(shown) = browse(server.admin.0) {
        assert_eq!(shown.text_of("state"), "Ready");
        assert_eq!(shown.text_of("shown"), "7");
        for peer in &peers {
            let name = peer.local_addr().expect("an address");
            assert!(shown.page.contains(&name.to_string()), "{}", shown.page);
        }
        assert!(
            shown.page.contains("connections 7, instances 7"),
            "{}",
            shown.page
        );
        let escaped = MARKUP.replace('<', "&lt;").replace('>', "&gt;");
        assert!(shown.page.contains(&escaped), "{}", shown.page);
        assert!(!shown.page.contains("<img"), "{}", shown.page);
        assert_eq!(shown.errors, "");
    }
    drop(peers);
    server.end();
}

/// Names that this server would not have: whatever one of them is, it is text.
#[test]
fn a_browser_takes_no_name_for_markup() {
    let _open = unchanged();
    let server = Server::start("0");
    let answer = |path| server.admin.get(path).is(200).to_owned();
    let mut status = server.admin.get("/status").json();
    for name in ["version", "state"] {
        status[name] = MARKUP.into();
    }
    status["services"] = serde_json::json!([{
        "name": MARKUP, "state": MARKUP, "listeners": [MARKUP], "workers": [],
    }]);
    let mut row = serde_json::json!({
        "number": 7, "age": 1.5, "received": 4096, "sent": 1_048_576, "worker": MARKUP,
    });
    for name in ["peer", "listener", "service", "state", "instance"] {
        row[name] = MARKUP.into();
    }
    let list = serde_json::json!({ "open": 1, "missing": [MARKUP], "connections": [row] });
    let metrics =
        answer("/metrics").replace("cause=\"trap\"} 0", &format!("cause=\"{MARKUP}\"}} 3"));
    assert!(metrics.contains(MARKUP), "{metrics}");
    let log =
        serde_json::json!({ "records": [{ "time": MARKUP, "level": MARKUP, "text": MARKUP }] });
    let pages = [
        ("/", answer("/")),
        ("/status", status.to_string()),
        ("/metrics", metrics),
        ("/log", log.to_string()),
        ("/connections", list.to_string()),
    ];
    server.end();
    let Some(shown) = pretending(&pages, browse) else {
        return;
    };
    let escaped = MARKUP.replace('<', "&lt;").replace('>', "&gt;");
    let times = shown.page.matches(&escaped).count();
    // State and title, version, service (three times), its state, missing worker, listener (twice), cause, peer, and
    // three more, and three of the log.
    assert!(times >= 17, "{times}: {}", shown.page);
    assert!(!shown.page.contains("<img"), "{}", shown.page);
    assert!(!shown.page.contains("<title>ran"), "{}", shown.page);
    assert!(shown.page.contains(">1 MiB<"), "{}", shown.page);
    assert_eq!(shown.errors, "");
}

/// Otherwise the tests above would not see one.
#[test]
fn a_browser_tells_errors_of_a_page() {
    let _open = unchanged();
    let page = "<!doctype html><title>x</title><script>console.error('it is seen')</script>";
    if let Some(shown) = pretending(&[("/", page.to_owned())], browse) {
        assert!(shown.errors.contains("it is seen"), "{}", shown.errors);
    }
}

/// Answers requests with these pages, as long as `with` runs.
fn pretending<T>(pages: &[(&str, String)], with: impl FnOnce(SocketAddr) -> T) -> T {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming().map(|stream| stream.expect("accepted")) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // A browser opens connections ahead, too.
                scope.spawn(move || pretend(pages, &stream));
            }
        });
        let outcome = catch_unwind(AssertUnwindSafe(|| with(address)));
        is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(address).expect("connected"));
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn pretend(pages: &[(&str, String)], mut stream: &TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else {
        return;
    };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split([' ', '?']).nth(1).unwrap_or_default();
    let found = pages.iter().find(|(name, _)| *name == path);
    let (status, body) = found.map_or((404, ""), |(_, body)| (200, body));
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    // The browser may be gone.
    let _ = stream.write_all((head + body).as_bytes());
}

/// What a browser has made of a page.
struct Shown {
    page: String,
    /// The messages on its console.
    errors: String,
}

impl Shown {
    /// The text of the element with this identifier, which has no other element in it.
    fn text_of(&self, id: &str) -> &str {
        let (_, rest) = self
            .page
            .split_once(&format!(" id=\"{id}\""))
            .unwrap_or_else(|| panic!("no {id} in {}", self.page));
        let (_, text) = rest.split_once('>').expect("a tag");
        text.split('<').next().expect("text")
    }
}

/// Opens the page for some seconds of its own time, or writes why that is not possible here.
fn browse(admin: SocketAddr) -> Option<Shown> {
    let profile = Scratch::new();
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args([
            "--virtual-time-budget=9000",
            "--timeout=50000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            profile.join("profile").display()
        ))
        .arg(format!("http://{admin}/"))
        .env("HOME", profile.join("home"))
        .stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("chromium is not installed");
            return None;
        }
        Err(error) => panic!("{command:?}: {error}"),
    };
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let errors = log.lines().filter(|line| line.contains("CONSOLE"));
    Some(Shown {
        page: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: errors.collect(),
    })
}
