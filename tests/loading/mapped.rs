//! Compiled code that several processes map, as one copy in memory.

use super::echoes;
use crate::support::child::{Child, dismissed, is_one, say};
use crate::support::descriptors::unchanged;
use crate::support::{TEST_GUEST, host};
use evconn::{Error, Host, LoadError, LoadProblem, Service, guests};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::parent_id;

/// The files that a parent and its child share: the code of the listener and of a service.
const SHARED: [&str; 2] = ["evconn-test-listener", "evconn-test-service"];

/// Returns a sealed file in memory, with its position at the end.
fn sealed(name: &str, content: &[u8]) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create(name, flags).expect("a file in memory"));
    file.write_all(content).expect("written");
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).expect("sealed");
    file
}

/// A host that compiles for others: its pool has another size than theirs.
fn compiler() -> Host {
    let builder = Host::builder().max_connections(1);
    builder.build().expect("a host")
}

fn compiled(component: &[u8]) -> Vec<u8> {
    let service = Service::new(&compiler(), component).expect("a service");
    service.serialize().expect("its code")
}

fn mapped(host: &Host, code: File) -> Result<Service, Error> {
    // SAFETY: it is code that was compiled a moment ago, or something that is no code.
    unsafe { Service::from_mapped(host, code, None) }
}

fn refused(content: &[u8]) -> LoadError {
    match mapped(host(), sealed("evconn-test-refused", content)) {
        Err(Error::Load(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was loaded"),
    }
}

/// A host with this code of the listener.
fn with_listener(code: File) -> Result<Host, Error> {
    // SAFETY: likewise.
    unsafe { Host::builder().max_connections(10).listener_code(code) }.build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_from_a_host_with_a_pool_of_another_size_is_served() {
    let _open = unchanged();
    let code = compiled(guests::ECHO);
    let service = mapped(host(), sealed("evconn-test-code", &code)).expect("a service");
    assert!(service.serialize().expect("its code") == code);
    echoes(service).await;
}

#[test]
fn what_cannot_be_mapped_is_refused_as_elsewhere() {
    let _open = unchanged();
    let code = compiled(guests::ECHO);
    for (content, says) in [
        (&b""[..], "empty"),
        (&code[..code.len() / 2], "not all of it"),
        (guests::LISTENER, "evconn:tcp/handler"),
    ] {
        let error = refused(content);
        assert!(error.to_string().contains(says), "{error}");
    }
    let other = wasmtime::Engine::default();
    let other = other.precompile_component(guests::ECHO).expect("compiled");
    let error = refused(&other);
    let is_incompatible = matches!(error.problem(), LoadProblem::Incompatible { .. });
    assert!(is_incompatible, "{error}");
}

#[test]
fn a_listener_for_another_host_is_refused() {
    let _open = unchanged();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = wasmtime::Engine::new(&config).expect("an engine");
    let other = other.precompile_component(guests::LISTENER);
    let other = other.expect("compiled");
    let error = match with_listener(sealed("evconn-test-refused", &other)) {
        Err(error @ Error::Engine(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was built"),
    };
    assert!(error.contains("listener_code"), "{error}");
}

#[test]
fn two_processes_share_one_copy() {
    let _open = unchanged();
    let listener = compiler().listener_code().expect("its code");
    let codes = [listener, compiled(TEST_GUEST)];
    let files = [0, 1].map(|index| sealed(SHARED[index], &codes[index]));
    let [listener, service] = files
        .each_ref()
        .map(|file| file.try_clone().expect("another"));
    let own = with_listener(listener).expect("a host");
    let _service = mapped(&own, service).expect("a service");

    let mut child = Child::of_test("loading::mapped::a_child_that_maps_what_its_parent_has");
    child.hear("serves");
    for (name, code) in SHARED.iter().zip(&codes) {
        let Usage {
            resident,
            shared,
            dirty,
        } = Usage::of(name);
        let size = code.len() >> 10;
        let usage =
            format!("{name}: {size} KiB, {resident} resident, {shared} shared, {dirty} dirty");
        println!("{usage}");
        assert!(resident > 0 && shared > 0 && dirty * 10 < size, "{usage}");
    }
    for name in SHARED {
        let dirty: usize = child.hear(name).parse().expect("a number");
        assert!(dirty <= 16, "{name}: {dirty} KiB dirty in the child");
    }
    child.dismiss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two_processes_share_one_copy runs it"]
async fn a_child_that_maps_what_its_parent_has() {
    if !is_one() {
        return;
    }
    let [listener, service] = SHARED.map(of_parent);
    let host = with_listener(listener).expect("a host");
    let service = mapped(&host, service).expect("a service");
    say("serves");
    for name in SHARED {
        say(format_args!("{name} {}", Usage::of(name).dirty));
    }
    dismissed().await;
    drop(service);
}

/// Opens a file in memory that the parent has open.
fn of_parent(name: &str) -> File {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", parent_id())).expect("its files");
    let mut paths = descriptors.map(|entry| entry.expect("a descriptor").path());
    let is_it = |path: &std::path::PathBuf| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target
            .to_string_lossy()
            .starts_with(&format!("/memfd:{name} "))
    };
    let path = paths.find(is_it).expect("the parent has it");
    File::open(path).expect("opened")
}

/// How much of a file this process has mapped, in KiB.
#[derive(Default)]
struct Usage {
    resident: usize,
    /// Mapped more than once.
    shared: usize,
    /// Pages that were written to, of which the process has a copy of its own.
    dirty: usize,
}

impl Usage {
    fn of(name: &str) -> Self {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("the mappings");
        let mut usage = Self::default();
        let mut is_it = false;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            let size: usize = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
            match first {
                _ if !first.ends_with(':') => is_it = line.contains(&format!("/memfd:{name} ")),
                "Rss:" if is_it => usage.resident += size,
                "Shared_Clean:" | "Shared_Dirty:" if is_it => usage.shared += size,
                "Anonymous:" if is_it => usage.dirty += size,
                _ => {}
            }
        }
        usage
    }
}
