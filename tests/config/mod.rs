//! Several services of a configuration file.

mod admin;

use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect};
use crate::support::process::{Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::workers::{wait_for_workers, workers};
use crate::support::{eventually, free_port};
use rustix::process::Signal;
use std::fs;
use std::net::{SocketAddr, TcpStream};
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
    ask(&mut connect(handler), "echo\nhi\n", "hi\n");
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
    ask(&mut connect(handler), "echo\nhi\n", "hi\n");
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
        .filter(|flag| !["admin", "config", "log-format"].contains(flag))
        .collect();
    assert!(flags.len() > 30, "{flags:?}");
    for flag in flags {
        assert!(keys.contains_key(flag), "{flag}");
    }
    assert_eq!(schema["properties"]["admin"]["type"], "string");
    assert_eq!(keys["no-sandbox"]["type"], "boolean");
    assert_eq!(keys["entry-point"]["enum"][0], "handler");
}

#[test]
fn the_example_of_its_page_is_right() {
    let page = include_str!("../../docs/configuration.md");
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

/// Writes the file anew and has it read again.
fn reload(config: &Config, evconn: &Evconn, text: &str, logged: &str) {
    fs::write(&config.file, text).expect("written");
    evconn.signal(Signal::HUP);
    evconn.logged(logged);
}

/// A service on an address, with more settings.
fn service(name: &str, component: &str, address: &str, more: &str) -> String {
    format!(
        "[service.{name}]\ncomponent = '{component}'\nlisten = '{address}'\nprocesses = 1\ngrace = 5\n{more}\n"
    )
}

#[test]
fn a_reload_changes_a_service_and_keeps_its_listener_and_its_connections() {
    let _open = unchanged();
    let address = free_port().to_string();
    let config = Config::new(&service("a", HANDLER, &address, ""));
    let evconn = config.start(&[]);
    let listening = address_for("a", &evconn);
    let mut open = connect(listening);
    ask(&mut open, "echo\nhi\n", "hi\n");
    let text = service("a", HANDLER, &address, "env = 'NEW=1'");
    reload(
        &config,
        &evconn,
        &text,
        "configuration reloaded, changed: a",
    );
    let mut new = connect(listening);
    ask(&mut new, "env\n", "NEW=1\n");
    // It is served by the old worker.
    ask(&mut open, "still\n", "still\n");
    assert_eq!(wait_for_workers(&evconn, 2).len(), 2);
    drop(open);
    wait_for_workers(&evconn, 1);
    drop(new);
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn settings_of_sockets_that_stay_require_a_restart() {
    let _open = unchanged();
    let address = free_port().to_string();
    let config = Config::new(&service("a", HANDLER, &address, ""));
    let evconn = config.start(&[]);
    address_for("a", &evconn);
    let changed = service("a", HANDLER, &address, "tcp-delay = true");
    let told = "changed: a; --backlog and TCP options of listeners that stay require a restart: a";
    reload(&config, &evconn, &changed, told);
    let other = free_port().to_string();
    let moved = service("a", HANDLER, &other, "backlog = 5");
    fs::write(&config.file, &moved).expect("written");
    evconn.signal(Signal::HUP);
    eventually("it listens elsewhere", || {
        TcpStream::connect(&other).is_ok().then_some(())
    });
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    assert_eq!(log.matches("require a restart").count(), 1, "{log}");
}

#[test]
fn a_reload_starts_and_ends_services_and_listeners() {
    let _open = unchanged();
    let [first, second, third] = [(); 3].map(|()| free_port().to_string());
    let a = |listen: &str| {
        format!("[service.a]\ncomponent = '{GREET}'\nlisten = {listen}\nprocesses = 1\ngrace = 5\n")
    };
    let config = Config::new(
        &(a(&format!("['{first}', 'unix:a.sock', 'unix:b.sock']"))
            + &service("b", GREET, &second, "")),
    );
    let evconn = config.start(&[]);
    let socket = config.scratch.join("a.sock");
    let greeted = |address: &str| {
        let address = address.parse().expect("an address");
        ask(
            &mut connect(address),
            "Ada\n",
            "What is your name?\nHello, Ada!",
        );
    };
    assert_eq!(
        evconn.line().trim_end(),
        format!("Listening on {first} for a")
    );
    greeted(&first);
    greeted(&second);
    assert!(socket.exists());
    // One of its Unix sockets is gone, and there is another service in place of `b`.
    let text = a(&format!("['{first}', 'unix:b.sock']")) + &service("c", GREET, &third, "");
    reload(
        &config,
        &evconn,
        &text,
        "configuration reloaded, started: c, changed: a, ended: b",
    );
    greeted(&first);
    greeted(&third);
    assert!(!socket.exists());
    UnixStream::connect(config.scratch.join("b.sock")).expect("the other one is served");
    eventually("nobody listens for the service that has ended", || {
        TcpStream::connect(&second).is_err().then_some(())
    });
    evconn.signal(Signal::TERM);
    assert!(evconn.wait().status.success());
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let _open = unchanged();
    let [first, second] = [(); 2].map(|()| free_port().to_string());
    let text = service("a", HANDLER, &first, "");
    let config = Config::new(&text);
    let evconn = config.start(&[]);
    let address = address_for("a", &evconn);
    let before = workers_of(&evconn);
    let stays = "configuration not reloaded, the old one stays: ";
    for (wrong, why) in [
        (text.clone() + "x = 1", "unknown key `x`"),
        (
            service("a", HANDLER, &first, "env = 'NEW=1'") + &service("b", "no.wasm", &second, ""),
            "service `b`: no.wasm: there is no such file",
        ),
        (
            service("a", HANDLER, &first, "env = 'NEW=1'")
                + &service("b", GREET, "192.0.2.1:1", ""),
            "cannot listen on 192.0.2.1:1",
        ),
    ] {
        reload(&config, &evconn, &wrong, why);
        let log = evconn.log_so_far();
        let line = log.lines().find(|line| line.contains(why)).expect("a line");
        assert!(line.contains(stays), "{line}");
        ask(&mut connect(address), "echo\nhi\n", "hi\n");
        eventually("no worker of the new configuration is left", || {
            (workers_of(&evconn) == before).then_some(())
        });
    }
    evconn.signal(Signal::TERM);
    assert!(evconn.wait().status.success());
}

/// Returns the numbers of the worker processes.
fn workers_of(evconn: &Evconn) -> Vec<i32> {
    let workers = workers(evconn);
    let mut numbers: Vec<_> = workers
        .iter()
        .map(|worker| worker.id().as_raw_nonzero().get())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_service_that_is_the_same_loads_its_component_again() {
    let _open = unchanged();
    let config = Config::of_two("");
    let evconn = config.start(&[]);
    address_for("handler", &evconn);
    wait_for_workers(&evconn, 2);
    let before = workers_of(&evconn);
    evconn.signal(Signal::HUP);
    for service in ["handler", "greet"] {
        evconn.logged(&format!(
            "component reloaded, for new connections service=\"{service}\""
        ));
    }
    eventually("all workers are new", || {
        let now = workers_of(&evconn);
        (now.len() == 2 && now.iter().all(|worker| !before.contains(worker))).then_some(())
    });
    evconn.signal(Signal::TERM);
    assert!(evconn.wait().status.success());
}
