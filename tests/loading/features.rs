//! Components that are valid, and use what this host does not support: they are told what it is.

use super::echo_with;
use super::problems::refused;
use crate::support::descriptors::unchanged;
use crate::support::host;
use evconn::{Error, Program};

fn module(inside: &str) -> String {
    echo_with(&format!(
        "(core module $more {inside}) (core instance (instantiate $more))"
    ))
}

#[test]
fn the_feature_is_named() {
    let _open = unchanged();
    for (inside, feature) in [
        ("(memory 1 1 shared)", "threads (shared memory)"),
        ("(memory 0 (pagesize 1))", "custom page sizes"),
        (
            "(func (param i64 i64) (result i64 i64)
                (i64.mul_wide_u (local.get 0) (local.get 1)))",
            "wide arithmetic",
        ),
        (
            "(tag $t) (func try throw $t catch_all end)",
            "legacy exception handling (build it with the standard one: `-mllvm -wasm-use-legacy-eh=false`)",
        ),
        (
            "(type $f (func)) (type $c (cont $f)) (func (param (ref $c)) (resume $c (local.get 0)))",
            "stack switching",
        ),
    ] {
        let problem = refused(host(), module(inside));
        assert_eq!(
            problem,
            format!("it uses what this host does not support: {feature}")
        );
    }
}

#[test]
fn all_features_are_named_at_once() {
    let _open = unchanged();
    let problem = refused(
        host(),
        module(
            "(memory 1 1 shared)
            (func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))",
        ),
    );
    assert!(
        problem.ends_with(": threads (shared memory), wide arithmetic"),
        "{problem}"
    );
}

const FOR_WASI_0_3: &str = "it was built for WASI 0.3 (async functions, streams and futures); of \
     these, this host runs components that export evconn:tcp/handler@0.3.0 or wasi:cli/run@0.3.0: export one of these, or \
     build it for WASI 0.2";

/// A component with this import, as bindings for WASI 0.3 have it.
fn importing(import: &str) -> String {
    format!("(component {import})")
}

const ASYNC_IMPORTS: [&str; 3] = [
    r#"(import "wasi:clocks/monotonic-clock@0.3.0" (instance
        (export "wait-for" (func async (param "how-long" u64)))))"#,
    r#"(import "wasi:cli/stdin@0.3.0" (instance
        (export "read-via-stream" (func (result (stream u8))))))"#,
    r#"(import "wasi:cli/stdout@0.3.0" (instance
        (export "flushed" (func (result (future))))))"#,
];

#[test]
fn wasi_0_3_is_told_as_that() {
    let _open = unchanged();
    for import in ASYNC_IMPORTS {
        assert_eq!(refused(host(), importing(import)), FOR_WASI_0_3);
    }
}

#[test]
fn a_program_is_told_the_same() {
    let _open = unchanged();
    for import in ASYNC_IMPORTS {
        let Err(Error::Load(error)) = Program::new(host(), importing(import).as_bytes()) else {
            panic!("it was loaded");
        };
        assert_eq!(error.problem().to_string(), FOR_WASI_0_3);
    }
}

#[test]
fn what_is_not_valid_is_not_called_unsupported() {
    let _open = unchanged();
    let problem = refused(host(), module("(func (result i32) (i64.const 1))"));
    assert!(
        problem.starts_with("it is not valid WebAssembly, or not all of it: "),
        "{problem}"
    );
}
