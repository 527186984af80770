//! The README shows the examples as they are.

const README: &str = include_str!("../README.md");

#[test]
fn the_service_is_the_echo_example() {
    assert!(README.contains(include_str!("../guest/examples/echo/src/lib.rs")));
}

#[test]
fn the_server_is_the_serve_example() {
    let example = include_str!("../host/examples/serve.rs");
    let code = example
        .find("use evconn")
        .map(|start| &example[start..])
        .expect("code");
    assert!(README.contains(code));
}
