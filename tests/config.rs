//! Several services of a configuration file.

use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{ask, connect};
use crate::support::process::{Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::workers::{wait_for_workers, workers};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const HANDLER: &str = evconn_artifacts::HANDLER_PATH;
const GREET: &str = evconn_artifacts::GREET_PATH;

/// A directory with a configuration file.
struct Config {
    scratch: Scratch,
    file: PathBuf,
}

impl Config {
    fn new(text: &str) -> Self {
        let scratch = Scratch::new();
        let file = scratch.join("evconn.toml");
        fs::write(&file, text).expect("written");
        Self { scratch, file }
    }

    /// Two services on free ports, the second one with more settings.
    fn of_two(more: &str) -> Self {
        Self::new(&format!(
            "[defaults]
            processes = 1
            grace = 0

            [service.handler]
            component = '{HANDLER}'
            listen = '127.0.0.1:0'

            [service.greet]
            component = '{GREET}'
            listen = ['127.0.0.1:0', 'unix:greet.sock']
            {more}
            "
        ))
    }

    fn path(&self) -> &str {
        self.file.to_str().expect("UTF-8")
    }

    fn start(&self, flags: &[&str]) -> Evconn {
        Evconn::start(&[&["serve", "--config", self.path()], flags].concat())
    }

    fn check(&self) -> Ended {
        Evconn::run(&["check", self.path()])
    }

    /// Both `serve` and `check` say this, in one line, and end.
    fn is_refused(&self, expected: &str) {
        for ended in [
            self.check(),
            Evconn::run(&["serve", "--config", self.path()]),
        ] {
            let Ended { stderr, .. } = &ended;
            assert_eq!(ended.status.code(), Some(2), "{stderr}");
            assert_eq!(ended.stdout, "");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(stderr.contains(expected), "{expected}: {stderr}");
        }
    }
}

/// Returns the address in the next line, which is about this service.
fn address_for(service: &str, evconn: &Evconn) -> SocketAddr {
    let line = evconn.line();
    let rest = line.strip_prefix("Listening on ").expect("a listener");
    let (address, name) = rest.split_once(" for ").expect("a service");
    assert_eq!(name.trim_end(), service);
    address.parse().expect("an address")
}

#[test]
fn each_service_has_its_own_listeners_and_workers() {
    let _open = unchanged();
    let config = Config::of_two("max-connections = 1");
    let evconn = config.start(&[]);
    let handler = address_for("handler", &evconn);
    let greet = address_for("greet", &evconn);
    assert_eq!(
        evconn.line().trim_end(),
        "Listening on unix:greet.sock for greet"
    );
    wait_for_workers(&evconn, 2);
    ask(&mut connect(handler), "echo\nhi\n", "ok\nhi\n");
    ask(
        &mut connect(greet),
        "Ada\n",
        "What is your name?\nHello, Ada!",
    );
    // Relative to the file.
    let socket = config.scratch.join("greet.sock");
    drop(UnixStream::connect(&socket).expect("connected"));
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    for service in ["handler", "greet"] {
        let end = format!("were ended by the shutdown service=\"{service}\"");
        assert!(ended.stderr.contains(&end), "{}", ended.stderr);
    }
    assert!(!socket.exists());
}

#[test]
fn the_workers_of_each_service_are_replaced() {
    let _open = unchanged();
    let config = Config::of_two("");
    let evconn = config.start(&["--log-format", "json"]);
    let handler = address_for("handler", &evconn);
    let greet = address_for("greet", &evconn);
    for worker in wait_for_workers(&evconn, 2) {
        worker.kill();
        worker.ends();
    }
    evconn.logged("\"service\":\"greet\"");
    eventually("both have a worker again", || {
        (workers(&evconn).len() == 2).then_some(())
    });
    ask(&mut connect(handler), "echo\nhi\n", "ok\nhi\n");
    ask(
        &mut connect(greet),
        "Ada\n",
        "What is your name?\nHello, Ada!",
    );
    evconn.signal(Signal::TERM);
    evconn.wait();
}

#[test]
fn what_a_worker_logs_names_its_service() {
    let _open = unchanged();
    let config = Config::of_two("");
    let evconn = config.start(&[]);
    let handler = address_for("handler", &evconn);
    ask(&mut connect(handler), "print hello\n", "printed\n");
    let log = evconn.logged("hello");
    let line = log.lines().find(|line| line.contains("hello"));
    let line = line.expect("it is logged");
    assert!(line.ends_with("service=\"handler\""), "{line}");
    evconn.signal(Signal::TERM);
    evconn.wait();
}

#[test]
fn flags_win() {
    let _open = unchanged();
    let config = Config::of_two("");
    let evconn = config.start(&["--processes", "2"]);
    address_for("handler", &evconn);
    wait_for_workers(&evconn, 4);
    evconn.signal(Signal::TERM);
    evconn.wait();
}

#[test]
fn the_services_start_together_or_not_at_all() {
    let _open = unchanged();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken = holder.local_addr().expect("an address");
    let config = Config::of_two(&format!(
        "[service.third]\ncomponent = '{GREET}'\nlisten = '{taken}'"
    ));
    let ended = Evconn::run(&["serve", "--config", config.path()]);
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.stdout, "");
    let expected = format!("cannot listen on {taken}: Address already in use");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    assert_eq!(config.scratch.contents(), ["evconn.toml"]);
    drop(holder);
}

#[test]
fn a_configuration_is_checked_without_binding() {
    let _open = unchanged();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address");
    let config = Config::new(&format!(
        "[service.a]\ncomponent = '{GREET}'\nlisten = ['{address}', 'unix:a.sock']"
    ));
    let ended = config.check();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stdout, format!("{}: OK: a\n", config.path()));
    assert_eq!(config.scratch.contents(), ["evconn.toml"]);
}

#[test]
fn mistakes_are_told_in_a_line_with_their_position() {
    let _open = unchanged();
    for (more, expected) in [
        (
            "max-conections = 1",
            "evconn.toml:12:13: unknown key `max-conections`: did you mean `max-connections`?",
        ),
        (
            "max-connections = 0",
            "evconn.toml:12:31: invalid value `0` for `max-connections`: 0 is not in 1..",
        ),
        (
            "max-memory = '1X'",
            "evconn.toml:12:26: invalid value `1X` for `max-memory`: expected a number of bytes",
        ),
        (
            "max-memory = [1]",
            "evconn.toml:12:26: `max-memory` should be a string or a number, not array",
        ),
        (
            "processes = 0",
            "evconn.toml:12:25: each service of a configuration has processes of its own",
        ),
        (
            "no-sandbox = 1",
            "evconn.toml:12:26: `no-sandbox` should be true or false, not integer",
        ),
        ("tls-cert = 'a.pem'", "lacks `tls-key`"),
        (
            "[services.x]",
            "evconn.toml:12:14: unknown key `services`: did you mean `service`?",
        ),
        (
            "[service.x]\nlisten = ':0'",
            "evconn.toml:12:22: service `x` lacks `component`",
        ),
        (
            "[service.x]\ncomponent = 'x.wasm'",
            "service `x` lacks `listen`",
        ),
        (
            "[service.x]\ncomponent = '-'\nlisten = ':0'",
            "is a file, not standard input",
        ),
        (
            "[service.x]\ncomponent = 'no.wasm'\nlisten = ':0'",
            "service `x`: no.wasm: there is no such file",
        ),
        (
            "[service.x]\ncomponent = 'a'\nlisten = 'unix:greet.sock'",
            "services `greet` and `x` have the same listener `unix:greet.sock`",
        ),
        ("[service.greet]\n", "evconn.toml:12:22: duplicate key"),
        ("a = = 1", "evconn.toml:12:17: "),
    ] {
        Config::of_two(more).is_refused(expected);
    }
    Config::new("").is_refused("evconn.toml:1:1: there is no service: a table `[service.NAME]`");
}

#[test]
fn files_that_are_none_are_refused() {
    let _open = unchanged();
    let config = Config::new("");
    let other = |name: &str| Config {
        scratch: Scratch::new(),
        file: config.scratch.join(name),
    };
    other("none.toml").is_refused("No such file or directory");
    std::os::unix::fs::symlink("loop.toml", config.scratch.join("loop.toml")).expect("a link");
    other("loop.toml").is_refused("Too many levels of symbolic links");
    fs::write(config.scratch.join("latin1.toml"), b"# \xe4").expect("written");
    other("latin1.toml").is_refused("not text in UTF-8");
    let large = fs::File::create(config.scratch.join("large.toml")).expect("created");
    large.set_len(2 << 20).expect("extended");
    other("large.toml").is_refused("a configuration has 1048576 at most");
    let component = Config {
        scratch: Scratch::new(),
        file: GREET.into(),
    };
    component.is_refused("not text in UTF-8");
}

#[test]
fn a_component_beside_a_configuration_is_a_mistake_of_usage() {
    let config = Config::new("");
    let ended = Evconn::run(&["serve", "--config", config.path(), GREET]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.stderr.contains("cannot be used with"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_schema_has_each_flag() {
    let ended = Evconn::run(&["config-schema"]);
    assert!(ended.status.success());
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let service = &schema["properties"]["service"]["additionalProperties"];
    assert_eq!(service["required"][0], "component");
    let keys = service["properties"].as_object().expect("properties");
    let help = Evconn::run(&["serve", "--help"]).stdout;
    let flags = help
        .lines()
        .filter_map(|line| line.strip_prefix("      --"));
    let flags = flags.map(|flag| flag.split([' ', '=']).next().unwrap_or(flag));
    let flags: Vec<_> = flags
        .filter(|flag| !["config", "log-format"].contains(flag))
        .collect();
    assert!(flags.len() > 30, "{flags:?}");
    for flag in flags {
        assert!(keys.contains_key(flag), "{flag}");
    }
    assert_eq!(keys["no-sandbox"]["type"], "boolean");
    assert_eq!(keys["entry-point"]["enum"][0], "handler");
}

#[test]
fn the_example_of_its_page_is_right() {
    let page = include_str!("../docs/configuration.md");
    let (_, example) = page.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let config = Config::new(example);
    for (name, component) in [
        ("echo.wasm", GREET),
        ("chat.wasm", evconn_artifacts::ASYNC_CHAT_PATH),
    ] {
        fs::copy(component, config.scratch.join(name)).expect("copied");
    }
    let ended = config.check();
    // Its certificate is not there.
    assert!(
        ended.stderr.contains("service `chat`: "),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("chat.pem"), "{}", ended.stderr);
    let without: Vec<_> = example
        .lines()
        .filter(|line| !line.starts_with("tls-"))
        .collect();
    fs::write(&config.file, without.join("\n")).expect("written");
    let ended = config.check();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(
        ended.stdout.ends_with(": OK: echo, chat\n"),
        "{}",
        ended.stdout
    );
}
