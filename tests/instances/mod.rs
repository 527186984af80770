//! The policy of instances: how many connections they serve, in turn and at a time, how many there are, and which are
//! made ahead.

mod ends;
mod handler;
mod shared;
mod warm;

use crate::server::Running;
use crate::support::peer::connect;
use crate::support::wasip2::program;
use crate::support::{DEADLINE, host, within};
use evconn::{Grants, InstancePolicy, Limits, Server, Service};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(1 << 20);

/// Returns a program of `tests/programs` with these arguments. Nothing, if it cannot be built here.
fn service(name: &str, arguments: &[&str]) -> Option<Service> {
    let binary = std::fs::read(program(name)?).expect("a program");
    let arguments = [&["program"], arguments].concat().into_iter();
    let grants = arguments.fold(Grants::builder(), |grants, argument| grants.arg(argument));
    let service = Service::new(host(), &binary).expect("a service");
    Some(service.with_grants(grants.build().expect("grants")))
}

/// Returns the policy of instances that have this many connections: at a time; 0 is no limit of the instances.
fn policy(concurrency: u32, instances: usize) -> InstancePolicy {
    InstancePolicy {
        reuse: None,
        concurrency: NonZeroU32::new(concurrency).expect("not 0"),
        max_instances: NonZeroUsize::new(instances),
        idle_timeout: LONG,
        ..InstancePolicy::FRESH
    }
}

/// Serves on a free port, with this policy.
async fn serve(service: &Service, policy: InstancePolicy) -> Running {
    serve_within(service, policy, Limits::default()).await
}

async fn serve_within(service: &Service, policy: InstancePolicy, limits: Limits) -> Running {
    let builder = Server::builder(service)
        .listen("127.0.0.1:0".parse().expect("a source"))
        .limits(limits)
        .instances(policy);
    Running::run(builder, |shutdown| shutdown.grace(DEADLINE)).await
}

/// Serves the room.
async fn room(policy: InstancePolicy) -> Option<Running> {
    Some(serve(&service("room", &[])?, policy).await)
}

/// A client that talks in lines. It blocks: its server has threads of its own.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: &Running) -> Self {
        Self::of(server.address)
    }

    /// Comes into the room.
    fn arrive(server: &Running) -> Self {
        let mut client = Self::connect(server);
        client.count();
        client
    }

    fn of(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        let sent = self.0.get_mut().write_all(line.as_bytes());
        sent.expect("sent");
    }

    /// Returns the next line.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Returns whether there is a next line, rather than an end or a reset.
    fn hears_something(&mut self) -> bool {
        self.0
            .read_line(&mut String::new())
            .is_ok_and(|length| length > 0)
    }

    /// Asks the room who is there.
    fn count(&mut self) -> String {
        self.ask("count")
    }

    /// Waits for a regular end.
    fn ends(mut self) {
        assert_eq!(self.hear(), "");
    }

    /// Leaves the room, and waits until that has noticed it.
    fn leave(mut self) {
        self.say("bye");
        self.ends();
    }

    /// Waits for a reset.
    fn expect_reset(mut self) {
        let error = self.0.read_line(&mut String::new());
        let error = error.expect_err("a reset").kind();
        assert_eq!(error, ErrorKind::ConnectionReset);
    }
}

/// Waits until this many connections are open.
async fn open(server: &Running, count: usize) {
    let handle = server.handle.clone();
    let is_so = async || handle.open() == count;
    crate::server::eventually("so many connections are open", is_so).await;
}

/// Stops a server whose connections end in time.
async fn stop(server: Running) -> evconn::Served {
    within("the server ends", server.stop()).await
}
