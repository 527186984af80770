//! Programs that cannot be served, each with one clear cause, and those of later versions that can be.

use crate::support::descriptors::unchanged;
use crate::support::host;
use evconn::{EntryPoint, Service, WasiVersion};

/// A program with these imports.
fn program(run: &str, imports: &str) -> String {
    format!(
        r#"(component
            (import "wasi:sockets/types@0.3.0" (instance))
            {imports}
            (core module $m
                (func (export "run") (result i32) unreachable)
                (func (export "next") (param i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $run async (result (result))
                (canon lift (core func $i "run") async (callback (func $i "next"))))
            (instance $run (export "run" (func $run)))
            (export "{run}" (instance $run)))"#
    )
}

fn refused(text: &str) -> String {
    let error = Service::new(host(), text.as_bytes()).err();
    error.expect("it is refused").to_string()
}

#[test]
fn one_of_a_later_version_is_served_if_what_it_imports_is_there() {
    let _open = unchanged();
    let clock = r#"(import "wasi:clocks/monotonic-clock@0.3.4" (instance (export "now" (func (result u64)))))"#;
    for run in ["wasi:cli/run@0.3.0", "wasi:cli/run@0.3.4"] {
        let service = Service::new(host(), program(run, clock).as_bytes());
        let service = service.unwrap_or_else(|error| panic!("{run}: {error}"));
        assert_eq!(service.entry_points(), [EntryPoint::Run]);
        assert_eq!(service.wasi(), WasiVersion::V0_3);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let _open = unchanged();
    for (import, said) in [
        (
            r#"(import "wasi:clocks/alarm@0.3.4" (instance (export "ring" (func))))"#,
            "wasi:clocks/alarm@0.3.4",
        ),
        (
            r#"(import "wasi:clocks/monotonic-clock@0.3.4" (instance (export "ring" (func))))"#,
            "ring",
        ),
        (
            r#"(import "wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16" (instance (export "now" (func (result u64)))))"#,
            "no release candidate",
        ),
    ] {
        let text = refused(&program("wasi:cli/run@0.3.4", import));
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_candidate_is_refused() {
    let _open = unchanged();
    let text = refused(&program("wasi:cli/run@0.3.0-rc-2025-09-16", ""));
    assert!(text.contains("it was built for WASI 0.3"), "{text}");
}
