//! What is no service, or not one for this host: one line that says what is wrong.

use super::{echo_text, echo_with, exporting};
use crate::support::descriptors::unchanged;
use crate::support::host;
use crate::support::scratch::Scratch;
use evconn::{Error, Host, Limits, LoadProblem, Service, guests};

/// Returns why it cannot be loaded: one line.
pub(super) fn refused(host: &Host, component: impl AsRef<[u8]>) -> String {
    let Err(error) = Service::new(host, component.as_ref()) else {
        panic!("it was loaded");
    };
    assert!(matches!(error, Error::Load(_)), "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    let problem = text.strip_prefix("the component cannot be loaded: ");
    problem.expect("what it is about").to_owned()
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("app.wasm");
    let problem = |expected: &str| {
        let Err(Error::Load(error)) = Service::from_file(host(), &path) else {
            panic!("it was loaded");
        };
        assert_eq!(error.path(), Some(path.as_path()));
        assert_eq!(error.to_string(), format!("{}: {expected}", path.display()));
    };
    problem("there is no such file");
    std::fs::create_dir(&path).expect("a directory");
    problem("it is a directory, and no file");
    std::fs::remove_dir(&path).expect("removed");
    std::fs::write(&path, "").expect("written");
    problem("it is empty");
}

#[test]
fn what_is_no_component_is_said_to_be_so() {
    let _open = unchanged();
    let half = guests::ECHO.len() / 2;
    for (bytes, expected) in [
        (
            &b"hello\n"[..],
            "it is neither a component, nor the text of one",
        ),
        (
            b"\0asm\x01\0\0\0",
            "it is a core module, and no component: build it for wasm32-wasip2",
        ),
        (
            b"(module)",
            "it is a core module, and no component: build it for wasm32-wasip2",
        ),
        (
            b"(component (nonsense))",
            "its WebAssembly text is wrong: line 1, column 13: ",
        ),
        (
            &guests::ECHO[..half],
            "it is not valid WebAssembly, or not all of it: ",
        ),
        (
            &guests::ECHO[..5],
            "it is not valid WebAssembly, or not all of it: its header is cut off",
        ),
    ] {
        let problem = refused(host(), bytes);
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn a_file_of_another_kind_is_named_with_what_to_do() {
    let _open = unchanged();
    let this_program = std::fs::read("/proc/self/exe").ok();
    let this_program = this_program.as_deref().unwrap_or(b"MZ");
    for (bytes, kind, advice) in [
        (this_program, "it is an executable", "wasm32-wasip2"),
        (b"#!/bin/sh\n", "it is a script", "wasm32-wasip2"),
        (b"\x1f\x8b\x08\0", "compressed with gzip", "unpack it"),
    ] {
        let problem = refused(host(), bytes);
        assert!(problem.contains(kind), "{problem}");
        assert!(problem.contains(advice), "{problem}");
    }
}

#[test]
fn what_is_wrong_is_said_of_the_file_as_it_is() {
    let _open = unchanged();
    let component = echo_with("(core module (func (result i32) (i64.const 77)))");
    let component = wat::parse_str(component).expect("it can be parsed");
    let constant = [0x42, 77 | 0x80, 0];
    let place = component.windows(3).position(|bytes| bytes == constant);
    let end = place.expect("it is there") + constant.len();
    let problem = refused(host(), &component);
    assert!(problem.contains("expected i32, found i64"), "{problem}");
    assert!(problem.contains(&format!("at offset {end}:")), "{problem}");
}

#[test]
fn no_component_is_loaded_that_is_cut_off_anywhere() {
    let _open = unchanged();
    // It would be whole without its last section, which says what made it.
    let last = guests::ECHO.len() - 100;
    for len in (0..last).step_by(97) {
        refused(host(), &guests::ECHO[..len]);
    }
}

#[test]
fn without_the_handler_it_says_what_there_is_instead() {
    let _open = unchanged();
    let none = "it exports neither evconn:tcp/handler@0.1.0, as the world evconn:tcp/service@0.1.0 does, nor evconn:tcp/handler@0.3.0, nor wasi:cli/run of version 0.2 or 0.3, as a program does; ";
    for (component, expected) in [
        ("(component)".to_owned(), "it exports nothing"),
        (exporting("acme:mail/inbox"), "it exports acme:mail/inbox"),
        (
            exporting("wasi:cli/run@0.4.0"),
            "that is a program of another version of WASI, and this host has 0.2 and 0.3",
        ),
        (
            exporting("wasi:http/incoming-handler@0.2.0"),
            "that is an HTTP service, for `wasmtime serve`",
        ),
    ] {
        let problem = refused(host(), component);
        assert!(problem.starts_with(none), "{problem}");
        assert!(problem.ends_with(expected), "{problem}");
    }
    let problem = refused(host(), guests::LISTENER);
    assert_eq!(
        problem,
        format!(
            "{none}it exports evconn:tcp/listener@0.1.0: that is the listener; serve a program that imports it"
        )
    );
    let problem = refused(host(), guests::ASYNC_LISTENER);
    assert!(problem.contains("that is the listener; "), "{problem}");
}

#[test]
fn a_handler_of_another_version_is_not_called() {
    let _open = unchanged();
    let text = echo_text().replace("evconn:tcp/handler@0.1.0", "evconn:tcp/handler@0.2.0");
    assert_eq!(
        refused(host(), text),
        "it exports evconn:tcp/handler@0.2.0, and this host calls evconn:tcp/handler@0.1.0 and \
         evconn:tcp/handler@0.3.0: build it for one of these"
    );
}

#[test]
fn a_handler_with_another_signature_is_not_called() {
    let _open = unchanged();
    let handler = |result: &str, function: &str| {
        format!(
            r#"(component
                (core module $m (func (export "f") (result i32) i32.const 0))
                (core instance $m (instantiate $m))
                (func $f {result} (canon lift (core func $m "f")))
                (instance $i (export "{function}" (func $f)))
                (export "evconn:tcp/handler@0.1.0" (instance $i)))"#
        )
    };
    let start = "it exports evconn:tcp/handler@0.1.0, but not as this interface is defined: ";
    let problem = refused(host(), handler("(result u32)", "handle"));
    let why = problem
        .strip_prefix(start)
        .unwrap_or_else(|| panic!("{problem}"));
    assert!(why.starts_with("`handle` has another type: "), "{problem}");
    let problem = refused(host(), handler("(result u32)", "serve"));
    assert_eq!(problem, format!("{start}it has no function `handle`"));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let _open = unchanged();
    let import = |name: &str| format!(r#"(import "{name}" (instance (export "f" (func))))"#);
    let component = echo_with(&format!(
        r#"{}{}{}{}{}(import "log" (func))"#,
        import("evconn:tcp/listener@0.1.0"),
        import("wasi:http/outgoing-handler@0.2.0"),
        import("wasi:io/poll@0.3.0"),
        import("evconn:tcp/connection@0.9.0"),
        import("acme:kv/store@1.0.0"),
    ));
    assert_eq!(
        refused(host(), component),
        "it imports what is not provided: evconn:tcp/listener@0.1.0 (a service gets its connections from \
         the host's listener; a component that listens is to be composed with it); \
         wasi:http/outgoing-handler@0.2.0 (this host has TCP, and no HTTP client; a JavaScript component is \
         built without it by `jco componentize --disable http --disable fetch-event`); \
         wasi:io/poll@0.3.0 (this host has version 0.2 of it); evconn:tcp/connection@0.9.0 (this host has \
         versions 0.1.0 and 0.3.0 of evconn:tcp); acme:kv/store@1.0.0; log"
    );
}

/// It is in an interface that is there, and so the linker's to find.
#[test]
fn a_function_that_is_missing_is_named() {
    let _open = unchanged();
    let import = r#"(import "wasi:random/random@0.2.0" (instance (export "dice" (func))))"#;
    let problem = refused(host(), echo_with(import));
    assert!(
        problem.starts_with("it does not fit this host: "),
        "{problem}"
    );
    assert!(problem.contains("wasi:random/random@0.2.0"), "{problem}");
    assert!(problem.contains("dice"), "{problem}");
}

/// What is said to be provided is there: an interface is taken in which nothing is asked for.
#[test]
fn types_alone_need_nobody_to_provide_them() {
    let _open = unchanged();
    let import = r#"(import "acme:kv/types@1.0.0" (instance (type (record (field "a" u8)))))"#;
    Service::new(host(), echo_with(import).as_bytes()).expect("a service");
}

#[test]
fn what_needs_more_than_it_may_have_is_refused() {
    let _open = unchanged();
    let limits = Limits {
        max_connections: 4,
        max_memory: 8 << 20,
        max_table_elements: 1_000,
        max_memories: 2,
        max_tables: 8,
        max_core_instances: 10,
        ..Limits::default()
    };
    let host = Host::builder().limits(&limits).build().expect("a host");
    let module =
        |inside: &str| format!("(core module $more {inside}) (core instance (instantiate $more))");
    let again = |inside: &str| {
        format!("(core module $again {inside}) (core instance (instantiate $again))")
    };
    let instances = format!(
        "(core module $more) {}",
        "(core instance (instantiate $more))".repeat(10)
    );
    for (definitions, expected) in [
        (
            module("(memory 129)"),
            "begins with 8585216 bytes of memory, and 8388608 are allowed (--max-memory)",
        ),
        // Each of them is small enough.
        (
            module("(memory 64)") + &again("(memory 65)"),
            "begins with 8585216 bytes of memory, and 8388608 are allowed (--max-memory)",
        ),
        (
            module("(table 1001 funcref)"),
            "begins with 1008 table elements, and 1000 are allowed (--max-table-elements)",
        ),
        (
            module("(table 500 funcref) (table 501 funcref)"),
            "begins with 1008 table elements, and 1000 are allowed (--max-table-elements)",
        ),
        (
            instances,
            "begins with 13 core instances, and 10 are allowed (--max-core-instances)",
        ),
        (
            module("(memory 1) (memory 1)"),
            "begins with 3 memories, and 2 are allowed (--max-memories)",
        ),
        (
            module(&"(table 1 funcref)".repeat(8)),
            "begins with 10 tables, and 8 are allowed (--max-tables)",
        ),
    ] {
        let problem = refused(&host, echo_with(&definitions));
        assert_eq!(
            problem,
            format!("it needs more than it may have: an instance of it {expected}")
        );
    }
    let just = module("(memory 126) (table 900 funcref)");
    Service::new(&host, echo_with(&just).as_bytes()).expect("a service");
}

#[test]
fn a_program_that_cannot_listen_is_refused() {
    let _open = unchanged();
    for run in ["wasi:cli/run@0.2.3", "wasi:cli/run@0.3.0"] {
        assert_eq!(
            refused(host(), exporting(run)),
            "it is a program that cannot listen, since it imports neither wasi:sockets/tcp@0.2, nor \
             wasi:sockets/types@0.3, nor a version of evconn:tcp/listener: it is not a server, and runs with `evconn run`"
        );
    }
}

#[test]
fn a_program_can_tell_the_problems_apart() {
    let _open = unchanged();
    let Err(Error::Load(error)) = Service::new(host(), b"(component)") else {
        panic!("it was loaded");
    };
    assert_eq!(error.path(), None);
    assert!(matches!(error.problem(), LoadProblem::NoHandler(exports) if exports.is_empty()));
}
