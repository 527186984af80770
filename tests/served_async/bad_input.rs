//! Components that cannot be served, each with one clear cause.

use super::{Site, gets_all_back, unchanged};
use crate::support::peer::connect;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;

/// The only line of a command that does not start.
fn refused(component: &str) -> String {
    let mut all = String::new();
    for processes in ["0", "1"] {
        let serve = ["serve", component, "--listen", "127.0.0.1:0"];
        let ended = Evconn::run(&[&serve[..], &["--processes", processes]].concat());
        let text = ended.stderr;
        assert_eq!(ended.status.code(), Some(2), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        all = text;
    }
    all
}

/// The same, of a component in text form.
fn refused_text(text: &str) -> String {
    let scratch = Scratch::new();
    let path = scratch.join("component.wat");
    std::fs::write(&path, text).expect("written");
    refused(path.to_str().expect("text"))
}

/// A component that exports the handler as an instance without functions, and imports a function of an interface.
fn importing(interface: &str) -> String {
    format!(
        r#"(component
            (import "{interface}" (instance (export "f" (func))))
            (instance $handler)
            (export "evconn:tcp/handler@0.3.0" (instance $handler))
        )"#
    )
}

#[test]
fn what_is_imported_and_not_there_is_named() {
    let _open = unchanged();
    for (interface, said) in [
        (
            "wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16",
            "no release candidate",
        ),
        ("wasi:clocks/new-clock@0.3.7", "wasi:clocks/new-clock@0.3.7"),
        ("evconn:tcp/handler@0.3.0", "with `--through`"),
        ("wasi:filesystem/links@0.3.1", "wasi:filesystem/links@0.3.1"),
    ] {
        let text = refused_text(&importing(interface));
        assert!(text.contains("it imports what is not provided"), "{text}");
        assert!(text.contains(interface) && text.contains(said), "{text}");
    }
}

#[test]
fn a_handler_of_another_type_is_refused() {
    let _open = unchanged();
    let text = refused_text(
        r#"(component
            (instance $handler)
            (export "evconn:tcp/handler@0.3.0" (instance $handler))
        )"#,
    );
    assert!(
        text.contains("evconn:tcp/handler@0.3.0, but not as"),
        "{text}"
    );
}

#[test]
fn a_candidate_of_the_contract_is_refused() {
    let _open = unchanged();
    let text = refused_text(
        r#"(component
            (instance $handler)
            (export "evconn:tcp/handler@0.3.0-rc-1" (instance $handler))
        )"#,
    );
    assert!(
        text.contains("this host calls evconn:tcp/handler@0.1.0 and"),
        "{text}"
    );
}

/// All that it imports is there, in an older version.
#[test]
fn a_newer_patch_version_is_served() {
    let _open = unchanged();
    let text = wasmprinter::print_bytes(evconn_artifacts::ASYNC_ECHO).expect("its text");
    assert!(text.contains("@0.3.0"));
    let scratch = Scratch::new();
    let path = scratch.join("newer.wat");
    std::fs::write(&path, text.replace("@0.3.0", "@0.3.7")).expect("written");
    for processes in ["0", "1"] {
        let path = path.to_str().expect("text");
        let site = Site::of(path, &["--processes", processes]);
        gets_all_back(connect(site.address), 100_000);
        assert!(site.end().contains("0 failed"));
    }
}
