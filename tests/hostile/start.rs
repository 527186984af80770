//! Components that are hostile before they are called: what Rust cannot express, as text. Each instance tosses
//! a coin, so that there are polite ones among them.

use super::{Site, echoes};
use crate::loading::echo_with;
use crate::support::scratch::Scratch;
use crate::support::{DEADLINE, is_reset};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// All but one of a million runs have both kinds among them.
const CONNECTIONS: usize = 20;

const CPU: [&str; 2] = ["--cpu-timeout", "0.05"];
const HAS_COMPUTED: &str = "its service has computed for more than 50ms";

/// An echo service whose start function does this in every other instance. It may use `definitions` of the
/// component, which are imported as functions, and tables.
fn tossing(definitions: &str, imports: &str, given: &str, body: &str) -> String {
    echo_with(&format!(
        r#"
        (import "wasi:random/random@0.2.0" (instance $chance (export "get-random-u64" (func (result u64)))))
        (core func $toss (canon lower (func $chance "get-random-u64")))
        {definitions}
        (core module $hostile
            (import "" "toss" (func $toss (result i64)))
            {imports}
            (table $table 1 funcref)
            (memory 1)
            (func $start
                (if (i32.wrap_i64 (i64.and (call $toss) (i64.const 1))) (then {body})))
            (start $start))
        (core instance (instantiate $hostile
            (with "" (instance (export "toss" (func $toss)) {given}))))
        "#
    ))
}

/// Returns how many of the connections are served. The others are reset.
fn served(address: SocketAddr) -> usize {
    let peers: Vec<_> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(address))
        .collect();
    peers
        .into_iter()
        .map(is_served)
        .filter(|is_served| *is_served)
        .count()
}

/// It may have been reset before it knew that it was connected.
fn is_served(peer: io::Result<TcpStream>) -> bool {
    let asked = peer.and_then(|mut peer| {
        peer.set_read_timeout(Some(DEADLINE))?;
        peer.write_all(b"x")?;
        peer.read_exact(&mut [0])?;
        Ok(peer)
    });
    match asked {
        Ok(mut peer) => echoes(&mut peer),
        Err(error) => {
            assert!(is_reset(&error), "{error}");
            return false;
        }
    }
    true
}

/// Some instances are polite, the others end, and the log says why.
fn some_end(component: &str, flags: &[&str], why: &str) {
    let scratch = Scratch::new();
    let path = scratch.join("hostile.wat");
    std::fs::write(&path, component).expect("written");
    let site = Site::start(path.to_str().expect("text"), flags);
    let served = served(site.address);
    assert!((1..CONNECTIONS).contains(&served), "{served} are served");
    site.evconn.logged(why);
    let log = site.end();
    let failed = format!(", {} failed", CONNECTIONS - served);
    assert!(log.contains(&failed), "{failed}: {log}");
}

#[test]
fn a_start_function_that_computes() {
    let component = tossing("", "", "", "(loop (br 0))");
    some_end(&component, &CPU, HAS_COMPUTED);
}

#[test]
fn a_start_function_that_traps() {
    let component = tossing("", "", "", "(unreachable)");
    let why = "wasm `unreachable` instruction executed";
    some_end(&component, &[], why);
}

#[test]
fn a_start_function_that_grows_fills_and_copies_tables() {
    let body = "(loop
        (drop (table.grow $table (ref.null func) (i32.const 100)))
        (table.fill $table (i32.const 0) (ref.null func) (table.size $table))
        (table.copy $table $table (i32.const 0) (i32.const 0) (table.size $table))
        (br 0))";
    let component = tossing("", "", "", body);
    some_end(&component, &CPU, HAS_COMPUTED);
}

#[test]
fn a_start_function_that_fills_memory() {
    let body = "(drop (memory.grow (i32.const 100)))
        (loop
            (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
            (br 0))";
    let component = tossing("", "", "", body);
    some_end(&component, &CPU, HAS_COMPUTED);
}

/// Of a resource of its own, which the host drops for it.
#[test]
fn a_destructor_that_computes() {
    let definitions = r#"
        (core module $destructor (func (export "destroy") (param i32) (loop (br 0))))
        (core instance $destructor (instantiate $destructor))
        (type $resource (resource (rep i32) (dtor (func $destructor "destroy"))))
        (core func $new (canon resource.new $resource))
        (core func $drop (canon resource.drop $resource))
        "#;
    let imports = r#"
        (import "" "new" (func $new (param i32) (result i32)))
        (import "" "drop" (func $drop (param i32)))
        "#;
    let given = r#"(export "new" (func $new)) (export "drop" (func $drop))"#;
    let body = "(call $drop (call $new (i32.const 1)))";
    let component = tossing(definitions, imports, given, body);
    some_end(&component, &CPU, HAS_COMPUTED);
}
