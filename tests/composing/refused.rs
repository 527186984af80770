//! What can be neither composed nor run: one line for each, and no file.

use super::{
    COMPONENTS, ECHO_COMMAND, FILTER, LISTENER, bad_input, evconn, read, says, with_components,
    write,
};
use crate::support::descriptors::unchanged;
use crate::support::scratch::Scratch;
use evconn::guests;

/// The bytes with the listener's name in another version, which is as long.
fn of_another_version(component: &[u8]) -> Vec<u8> {
    let other = LISTENER.replace("0.1.0", "0.2.0");
    let mut changed = component.to_vec();
    let mut count = 0;
    for start in 0..component.len() - LISTENER.len() {
        if component[start..].starts_with(LISTENER.as_bytes()) {
            changed[start..][..other.len()].copy_from_slice(other.as_bytes());
            count += 1;
        }
    }
    assert_ne!(count, 0, "it has the listener's name");
    changed
}

/// A component for this test, next to the others.
fn with(name: &str, content: impl AsRef<[u8]>) -> Scratch {
    let scratch = with_components();
    write(&scratch, name, content);
    scratch
}

fn compose(directory: &Scratch, arguments: &[&str]) -> String {
    bad_input(evconn(directory, &[&["compose"], arguments].concat()))
}

fn run(directory: &Scratch, arguments: &[&str]) -> String {
    bad_input(evconn(directory, &[&["run"], arguments].concat()))
}

#[test]
fn what_is_no_component_is_neither_composed_nor_run() {
    let _open = unchanged();
    let half = &ECHO_COMMAND[..ECHO_COMMAND.len() / 2];
    let scratch = with_components();
    write(&scratch, "core.wat", "(module)");
    write(&scratch, "empty", "");
    write(&scratch, "half", half);
    write(&scratch, "text", "hello\n");
    says(&scratch, &["compile", "echo.wasm", "-o", "compiled"]);
    let before = scratch.contents();
    for (app, problem) in [
        (".", "it is a directory, and no file"),
        ("..", "it is a directory, and no file"),
        ("app.wasm/x", "it cannot be read: Not a directory"),
        ("compiled", "it is compiled code: name the component"),
        ("core.wat", "it is a core module, and no component"),
        ("empty", "it is empty"),
        ("half", "it is not valid WebAssembly, or not all of it"),
        ("none.wasm", "there is no such file"),
        ("text", "it is neither a component, nor the text of one"),
    ] {
        let expected = format!("{app}: {problem}");
        for said in [
            compose(&scratch, &[app]),
            compose(&scratch, &["app.wasm", "--through", app]),
            run(&scratch, &[app]),
        ] {
            assert!(said.starts_with(&expected), "{said}");
        }
    }
    assert_eq!(scratch.contents(), before);
}

#[test]
fn another_version_of_the_listener_is_named() {
    let _open = unchanged();
    let problem = "its listener is evconn:tcp/listener@0.2.0, and this host composes \
                   evconn:tcp/listener@0.1.0 and evconn:tcp/listener@0.3.0: build it for one of these versions";
    let scratch = with("other.wasm", of_another_version(ECHO_COMMAND));
    let expected = format!("other.wasm: {problem}");
    assert_eq!(compose(&scratch, &["other.wasm"]), expected);
    assert_eq!(run(&scratch, &["other.wasm"]), expected);
    let scratch = with("other.wasm", of_another_version(FILTER));
    let through = ["app.wasm", "--through", "other.wasm"];
    assert_eq!(compose(&scratch, &through), expected);
}

#[test]
fn a_listener_with_other_functions_is_told_apart() {
    let _open = unchanged();
    let component = format!(r#"(component (import "{LISTENER}" (instance (export "f" (func)))))"#);
    let scratch = with("odd.wat", component);
    let expected = "odd.wat: it has evconn:tcp/listener@0.1.0, but not as this interface is defined: build \
                    it with what `evconn wit` prints";
    assert_eq!(compose(&scratch, &["odd.wat"]), expected);
    assert_eq!(run(&scratch, &["odd.wat"]), expected);
}

#[test]
fn what_exports_a_listener_is_no_application() {
    let _open = unchanged();
    let scratch = with("listener.wasm", guests::LISTENER);
    for app in ["filter.wasm", "listener.wasm"] {
        let said = compose(&scratch, &[app]);
        let expected = format!("{app}: it exports a listener: to be composed with one");
        assert!(said.starts_with(&expected), "{said}");
    }
    let said = run(&scratch, &["filter.wasm"]);
    assert!(
        said.starts_with("filter.wasm: it exports a listener"),
        "{said}"
    );
    let said = run(&scratch, &["listener.wasm"]);
    assert!(
        said.starts_with("listener.wasm: it exports no wasi:cli/run of WASI 0.2 or 0.3"),
        "{said}"
    );
}

#[test]
fn a_service_is_for_serve() {
    let _open = unchanged();
    let scratch = with_components();
    for said in [
        compose(&scratch, &["echo.wasm"]),
        run(&scratch, &["echo.wasm"]),
    ] {
        assert!(said.starts_with("echo.wasm: it "), "{said}");
        assert!(said.contains("service"), "{said}");
        assert!(said.contains("`evconn serve`"), "{said}");
    }
}

#[test]
fn what_was_composed_is_not_composed_again() {
    let _open = unchanged();
    let scratch = with_components();
    says(&scratch, &["compose", "app.wasm"]);
    let composed = "app.composed.wasm";
    assert_eq!(
        compose(&scratch, &[composed]),
        format!("{composed}: it has been composed already: the listener is in it")
    );
    assert_eq!(
        scratch.contents(),
        [&[composed], &COMPONENTS[..]].concat(),
        "and nothing else"
    );
}

#[test]
fn what_is_no_filter_is_not_put_between() {
    let _open = unchanged();
    let scratch = with("listener.wasm", guests::LISTENER);
    let through = |filter: &str| compose(&scratch, &["app.wasm", "--through", filter]);
    for filter in ["app.wasm", "echo.wasm"] {
        let said = through(filter);
        let expected = format!("{filter}: it exports no listener: a component between");
        assert!(said.starts_with(&expected), "{said}");
    }
    let said = through("listener.wasm");
    assert!(
        said.starts_with("listener.wasm: it imports neither evconn:tcp/listener@0.1.0 nor"),
        "{said}"
    );
}

#[test]
fn an_output_that_cannot_be_written_is_named_and_nothing_is_left() {
    let _open = unchanged();
    let scratch = with_components();
    std::os::unix::fs::symlink("app.wasm", scratch.join("link")).expect("a link");
    let before = scratch.contents();
    for (output, problem) in [
        (".", ".: a directory: name a file"),
        ("/dev/null", "/dev/null: not a regular file"),
        ("none/out", "cannot write none/out: No such file"),
        ("app.wasm/out", "cannot write app.wasm/out: Not a dir"),
        ("app.wasm", "app.wasm: the output would replace an input"),
        (
            "./app.wasm",
            "./app.wasm: the output would replace an input",
        ),
        ("link", "link: the output would replace an input"),
        (
            "filter.wasm",
            "filter.wasm: the output would replace an input",
        ),
    ] {
        let through = ["app.wasm", "--through", "filter.wasm", "-o", output];
        let said = compose(&scratch, &through);
        assert!(said.starts_with(problem), "{said}");
    }
    assert_eq!(scratch.contents(), before);
    assert!(read(&scratch, "app.wasm") == ECHO_COMMAND, "it was changed");
    assert!(read(&scratch, "filter.wasm") == FILTER, "it was changed");
}

/// An existing file stays if composing fails.
#[test]
fn a_component_that_cannot_be_composed_leaves_the_old_file() {
    let _open = unchanged();
    let scratch = with("out", "old");
    compose(&scratch, &["echo.wasm", "-o", "out"]);
    assert_eq!(read(&scratch, "out"), b"old");
}
