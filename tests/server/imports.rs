//! Services that import an interface of their host's own.

use super::{Running, eventually};
use crate::support::descriptors::unchanged;
use crate::support::{DEADLINE, exchange, host, until_reset};
use evconn::{
    EndCause, EntryPoint, Error, InstancePolicy, InstanceState, LoadProblem, Server, Service,
    ServiceBuilder, guests,
};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test::host::visits::{self, HostTill};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wasmtime::component::{HasData, Resource, ResourceTable};

wasmtime::component::bindgen!({
    path: "../../tests/programs/imports/wit",
    world: "test:host/imports",
    imports: {
        default: trappable,
        "test:host/visits.wait": trappable | async,
    },
    with: { "test:host/visits.till": Till },
});

/// The state of an instance.
struct Visits {
    count: u32,
    _alive: Alive,
}

/// A resource of the host's.
pub struct Till(u32);

/// Counts the instances that exist.
#[derive(Clone, Default)]
struct Instances(Arc<AtomicUsize>);

struct Alive(Instances);

impl Instances {
    fn one(&self) -> Alive {
        self.0.fetch_add(1, Ordering::SeqCst);
        Alive(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The implementation, with what it uses.
struct View<'a>(&'a mut Visits, &'a mut ResourceTable);

impl HasData for Visits {
    type Data<'a> = View<'a>;
}

fn view(state: &mut InstanceState) -> View<'_> {
    let (visits, table) = state.split_mut();
    View(visits, table)
}

impl visits::Host for View<'_> {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.0.count += 1;
        Ok(self.0.count)
    }

    async fn wait(&mut self) -> wasmtime::Result<u32> {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        Ok(7)
    }

    fn panic(&mut self) -> wasmtime::Result<()> {
        panic!("a panic\nthat is part of the test")
    }

    fn fail(&mut self) -> wasmtime::Result<()> {
        wasmtime::bail!("a failure that is part of the test")
    }
}

impl HostTill for View<'_> {
    fn new(&mut self) -> wasmtime::Result<Resource<Till>> {
        Ok(self.1.push(Till(0))?)
    }

    fn add(&mut self, till: Resource<Till>, number: u32) -> wasmtime::Result<u32> {
        let Till(sum) = self.1.get_mut(&till)?;
        *sum += number;
        Ok(*sum)
    }

    fn drop(&mut self, till: Resource<Till>) -> wasmtime::Result<()> {
        self.1.delete(till)?;
        Ok(())
    }
}

fn builder(instances: &Instances) -> ServiceBuilder {
    let instances = instances.clone();
    Service::builder(host())
        .state(move || Visits {
            count: 0,
            _alive: instances.one(),
        })
        .link(|linker| visits::add_to_linker::<_, Visits>(linker, view))
}

fn service(instances: &Instances) -> Service {
    let service = builder(instances).load(evconn_artifacts::IMPORTS);
    service.expect("a service")
}

async fn start(service: &Service, connections: u32) -> Running {
    let policy = InstancePolicy {
        reuse: NonZeroU32::new(connections),
        idle_timeout: DEADLINE * 10,
        ..InstancePolicy::default()
    };
    start_with(service, policy).await
}

async fn start_with(service: &Service, policy: InstancePolicy) -> Running {
    start_hooked(service, policy).await.0
}

/// Starts a server that tells why connections end.
async fn start_hooked(
    service: &Service,
    policy: InstancePolicy,
) -> (Running, UnboundedReceiver<EndCause>) {
    let (sender, causes) = unbounded_channel();
    let builder = Server::builder(service)
        .listen("127.0.0.1:0".parse().expect("a source"))
        .instances(policy)
        .on_end(move |_, end| {
            // A test may not ask for it.
            let _ = sender.send(end.cause);
        });
    let running = Running::run(builder, |shutdown| shutdown.grace(DEADLINE));
    (running.await, causes)
}

/// What ended the connections of a server that has stopped.
async fn all(mut causes: UnboundedReceiver<EndCause>) -> Vec<EndCause> {
    let mut all = Vec::new();
    while let Some(cause) = causes.recv().await {
        all.push(cause);
    }
    all
}

async fn answer(server: &Running, command: &str) -> String {
    let answer = exchange(server.connect().await, command.as_bytes()).await;
    let handle = server.handle.clone();
    eventually("the connection is done", async || handle.open() == 0).await;
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_fresh_instance_has_a_state_of_its_own() {
    let _open = unchanged();
    for entry_point in [EntryPoint::Handler, EntryPoint::Run] {
        let instances = Instances::default();
        let service = service(&instances)
            .with_entry_point(entry_point)
            .expect("it has both");
        let server = start(&service, 1).await;
        for (command, expected) in [
            ("count\n", "1\n"),
            ("count\n", "1\n"),
            ("wait\n", "7\n"),
            ("till\n", "63\n"),
        ] {
            assert_eq!(answer(&server, command).await, expected, "{entry_point:?}");
        }
        assert_eq!(instances.count(), 0, "the state goes with its instance");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_state_of_a_reused_instance_stays() {
    let _open = unchanged();
    let instances = Instances::default();
    let server = start(&service(&instances), 3).await;
    for expected in ["1\n", "2\n", "3\n", "1\n"] {
        assert_eq!(answer(&server, "count\n").await, expected);
    }
    assert_eq!(instances.count(), 1);
    server.stop().await;
    eventually("the idle one ends", async || instances.count() == 0).await;
}

/// Those that share an instance share its state, and its end.
#[tokio::test]
async fn connections_of_one_instance_have_one_state() {
    let _open = unchanged();
    let instances = Instances::default();
    let service = service(&instances).with_entry_point(EntryPoint::Run);
    let policy = InstancePolicy {
        reuse: None,
        concurrency: NonZeroU32::new(10).expect("some"),
        max_instances: NonZeroUsize::new(1),
        ..InstancePolicy::default()
    };
    let (server, causes) = start_hooked(&service.expect("it has both"), policy).await;
    for expected in ["1\n", "2\n", "3\n"] {
        assert_eq!(answer(&server, "count\n").await, expected);
    }
    assert_eq!(instances.count(), 1);
    until_reset(server.address, b"panic\n").await;
    assert_eq!(answer(&server, "count\n").await, "1\n");
    let served = server.stop().await;
    assert_eq!((served.connections, served.failed), (5, 1));
    assert_eq!(instances.count(), 0);
    let done = EndCause::Done;
    let expected = [done, done, done, EndCause::HostPanic, done];
    assert_eq!(all(causes).await, expected);
}

#[tokio::test]
async fn a_failure_or_a_panic_of_the_host_ends_one_connection() {
    let _open = unchanged();
    for entry_point in [EntryPoint::Handler, EntryPoint::Run] {
        let instances = Instances::default();
        let service = service(&instances)
            .with_entry_point(entry_point)
            .expect("it has both");
        let (server, causes) = start_hooked(&service, InstancePolicy::FRESH).await;
        for command in ["fail\n", "panic\n"] {
            until_reset(server.address, command.as_bytes()).await;
        }
        assert_eq!(answer(&server, "count\n").await, "1\n");
        assert_eq!(instances.count(), 0);
        let served = server.stop().await;
        assert_eq!((served.connections, served.failed), (3, 2));
        let expected = [EndCause::Trap, EndCause::HostPanic, EndCause::Done];
        assert_eq!(all(causes).await, expected, "{entry_point:?}");
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_made_ends_its_connection() {
    let _open = unchanged();
    for (entry_point, concurrency) in [
        (EntryPoint::Handler, 1),
        (EntryPoint::Run, 1),
        (EntryPoint::Run, 2),
    ] {
        let service = Service::builder(host())
            .state(|| -> Visits { panic!("no state, which is part of the test") })
            .link(|linker| visits::add_to_linker::<_, Visits>(linker, view))
            .load(evconn_artifacts::IMPORTS)
            .and_then(|service| service.with_entry_point(entry_point));
        let policy = InstancePolicy {
            reuse: None,
            concurrency: NonZeroU32::new(concurrency).expect("some"),
            ..InstancePolicy::default()
        };
        let (server, causes) = start_hooked(&service.expect("a service"), policy).await;
        until_reset(server.address, b"count\n").await;
        assert_eq!(server.stop().await.failed, 1);
        assert_eq!(all(causes).await, [EndCause::HostPanic]);
    }
}

#[tokio::test]
async fn a_state_of_another_type_ends_its_connection() {
    let _open = unchanged();
    let service = Service::builder(host())
        .link(|linker| visits::add_to_linker::<_, Visits>(linker, view))
        .load(evconn_artifacts::IMPORTS)
        .expect("a service");
    let (server, causes) = start_hooked(&service, InstancePolicy::FRESH).await;
    until_reset(server.address, b"count\n").await;
    assert_eq!(server.stop().await.failed, 1);
    assert_eq!(all(causes).await, [EndCause::HostPanic]);
}

#[test]
#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
fn compiled_code_has_imports_too() {
    let _open = unchanged();
    let instances = Instances::default();
    let code = service(&instances).serialize().expect("memory");
    // SAFETY: it is the output of `serialize`.
    let loaded = unsafe { builder(&instances).load_precompiled(&code) };
    loaded.expect("a service");
    // SAFETY: likewise.
    let missing = unsafe { Service::from_precompiled(host(), &code) };
    let Err(Error::Load(error)) = missing else {
        panic!("it imports what nobody provides");
    };
    assert!(
        matches!(error.problem(), LoadProblem::Imports(_)),
        "{error}"
    );
}

/// Returns the only line that says why it cannot be loaded.
fn refused(service: Result<Service, Error>) -> String {
    let Err(error) = service else {
        panic!("it cannot be loaded");
    };
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn what_nobody_provides_is_named() {
    let _open = unchanged();
    let text = refused(Service::new(host(), evconn_artifacts::IMPORTS));
    assert!(text.contains("test:host/visits@1.0.0"), "{text}");
    let other = |linker: &mut wasmtime::component::Linker<InstanceState>| {
        linker
            .instance("test:host/other")?
            .func_wrap("nothing", |_, ()| Ok(()))
    };
    let text = refused(
        Service::builder(host())
            .link(other)
            .load(evconn_artifacts::IMPORTS),
    );
    assert!(text.contains("test:host/visits@1.0.0"), "{text}");
    // A function that fails, or that is there already.
    let failing = Service::builder(host()).link(|_| wasmtime::bail!("no database\nat all"));
    let text = refused(failing.load(guests::ECHO));
    assert!(text.contains("no database"), "{text}");
    let twice = builder(&Instances::default())
        .link(|linker| visits::add_to_linker::<_, Visits>(linker, view));
    let text = refused(twice.load(evconn_artifacts::IMPORTS));
    assert!(text.contains("defined twice"), "{text}");
}
