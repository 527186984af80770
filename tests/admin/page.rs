//! The status page, as text and in a browser.

use super::{PROCESSES, Server, TEST_GUEST};
use crate::support::descriptors::unchanged;
use crate::support::peer::echoing;
use crate::support::scratch::Scratch;
use crate::support::skip;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

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
        assert_eq!(status["service"], serde_json::Value::Null);
        assert_eq!(status["process"], server.evconn.id().as_raw_nonzero().get());
        assert_eq!(
            status["listeners"],
            serde_json::json!([server.address.to_string()])
        );
        let workers = status["workers"].as_array().expect("workers");
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
