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

#[test]
fn the_program_is_that_of_the_guide() {
    let guide = include_str!("../guest/sdk/docs/guide.md");
    let start = README.find("use evconn_guest").expect("a program");
    let program = README[start..].split("```").next().expect("its end");
    assert!(guide.contains(program));
}
