//! What core modules do in an instance is what they would do anywhere: their memories are their own or
//! shared as they say, and the features that toolchains use are supported.

use super::{LOCALHOST, echo_with, echoes};
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{DEADLINE, Server, host, wait_for_close};
use evconn::{Limits, Service};

/// An echo service that runs these core modules first: a connection whose modules trap is not served.
async fn serves(modules: &str) {
    let service = Service::new(host(), echo_with(modules).as_bytes()).expect("a service");
    echoes(service).await;
}

/// As preview 1 adapters do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_that_two_modules_grow_gives_each_page_to_one_of_them() {
    let _open = unchanged();
    serves(
        r#"(core module $owner
            (memory (export "memory") 1)
            (global i32 (i32.const 0))
            (func (export "grow") (result i32) (memory.grow (i32.const 1))))
        (core instance $owner (instantiate $owner))
        (core module $adapter
            (import "owner" "memory" (memory 1))
            (import "owner" "grow" (func $grow (result i32)))
            (func $expect (param i32 i32)
                (if (i32.ne (local.get 0) (local.get 1)) (then (unreachable))))
            (func $main
                (call $expect (memory.size) (i32.const 1))
                (call $expect (call $grow) (i32.const 1))
                (call $expect (memory.grow (i32.const 1)) (i32.const 2))
                (call $expect (call $grow) (i32.const 3))
                (call $expect (memory.size) (i32.const 4)))
            (start $main))
        (core instance (instantiate $adapter (with "owner" (instance $owner))))"#,
    )
    .await;
}

/// An access beyond the end traps, also if the memory could grow.
#[tokio::test]
async fn a_memory_ends_where_it_ends() {
    let _open = unchanged();
    let log = Log::start();
    let modules = "(core module $beyond
        (memory 1)
        (global i32 (i32.const 0))
        (func (drop (memory.grow (i32.const 1))))
        (func $main (i32.store (i32.const 65536) (i32.const 1)))
        (start $main))
        (core instance (instantiate $beyond))";
    is_reset(modules).await;
    assert!(
        log.text().contains("out of bounds memory access"),
        "{}",
        log.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_are_thrown_and_caught() {
    let _open = unchanged();
    serves(
        "(core module $catches
            (tag $error (param i32))
            (func $main
                (block $caught (result i32)
                    (try_table (catch $error $caught) (throw $error (i32.const 7)))
                    (unreachable))
                (if (i32.ne (i32.const 7)) (then (unreachable))))
            (start $main))
        (core instance (instantiate $catches))",
    )
    .await;
}

#[tokio::test]
async fn an_exception_that_nobody_catches_resets_the_connection() {
    let _open = unchanged();
    let log = Log::start();
    let modules = "(core module $throws
        (tag $error)
        (func $main (throw $error))
        (start $main))
        (core instance (instantiate $throws))";
    is_reset(modules).await;
    assert!(
        log.text().contains("thrown Wasm exception"),
        "{}",
        log.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_collected() {
    let _open = unchanged();
    // More than the limit of memory, if it were all kept.
    serves(
        "(core module $list
            (type $bytes (array (mut i8)))
            (func $main (local $left i32)
                (local.set $left (i32.const 200000))
                (loop $more
                    (drop (array.new_default $bytes (i32.const 1024)))
                    (br_if $more
                        (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
            (start $main))
        (core instance (instantiate $list))",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_calls_take_no_stack() {
    let _open = unchanged();
    serves(
        "(core module $tail
            (func $count (param i32)
                (if (local.get 0)
                    (then (return_call $count (i32.sub (local.get 0) (i32.const 1))))))
            (func $main (call $count (i32.const 1000000)))
            (start $main))
        (core instance (instantiate $tail))",
    )
    .await;
}

async fn is_reset(modules: &str) {
    let service = Service::new(host(), echo_with(modules).as_bytes()).expect("a service");
    let server = Server::start_service(LOCALHOST, service, Limits::default(), DEADLINE).await;
    wait_for_close(&mut server.connect().await).await;
    assert_eq!(server.stop().await.failed, 1);
}
