//! What `evconn compose` makes, and that it runs.

use super::{CASES, COMPONENTS, ECHO_COMMAND, command, evconn, read, says, with_components, write};
use crate::support::descriptors::unchanged;
use crate::support::exchange;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{connect_once_it_listens, free_port};

/// It is an echo server, and needs no listener of its runtime.
async fn echoes(directory: &Scratch, app: &str) -> Evconn {
    let address = free_port();
    let port = address.port().to_string();
    let listen = format!(":{port}");
    let evconn = evconn(directory, &["run", "--listen", &listen, app, &port]);
    let peer = connect_once_it_listens(address).await;
    assert_eq!(exchange(peer, b"hello").await, b"hello");
    evconn
}

#[tokio::test]
async fn it_says_what_it_made_and_what_is_left_to_import() {
    let _open = unchanged();
    let scratch = with_components();
    let said = says(&scratch, &["compose", "app.wasm"]);
    assert_eq!(
        said,
        "app.composed.wasm\n\
         linked: evconn:tcp/listener@0.1.0\n\
         left to import:\n\
         \x20 evconn:tcp/connection@0.1.0 (types only: no runtime has to provide it)\n\
         \x20 wasi:cli/environment@0.2.12\n\
         \x20 wasi:cli/stderr@0.2.12\n\
         \x20 wasi:cli/stdout@0.2.12\n\
         \x20 wasi:clocks/monotonic-clock@0.2.12\n\
         \x20 wasi:io/error@0.2.12\n\
         \x20 wasi:io/poll@0.2.12\n\
         \x20 wasi:io/streams@0.2.12\n\
         \x20 wasi:sockets/instance-network@0.2.12\n\
         \x20 wasi:sockets/network@0.2.12\n\
         \x20 wasi:sockets/tcp-create-socket@0.2.12\n\
         \x20 wasi:sockets/tcp@0.2.12\n"
    );
    echoes(&scratch, "app.composed.wasm").await;
}

/// From text, from another directory, into a file that was there, by a link.
#[tokio::test]
async fn it_goes_where_it_is_told_to() {
    let _open = unchanged();
    let scratch = with_components();
    let text = wasmprinter::print_bytes(ECHO_COMMAND).expect("its text");
    std::fs::create_dir(scratch.join("text")).expect("a directory");
    write(&scratch, "text/app.wat", text);
    says(&scratch, &["compose", "text/app.wat"]);
    echoes(&scratch, "app.composed.wasm").await;
    write(&scratch, "old", "old");
    std::os::unix::fs::symlink("old", scratch.join("link")).expect("a link");
    says(&scratch, &["compose", "app.wasm", "-o", "link"]);
    assert!(scratch.join("link").is_symlink());
    echoes(&scratch, "old").await;
}

/// Its messages do not get into the output.
#[test]
fn it_goes_to_standard_output() {
    let _open = unchanged();
    let scratch = with_components();
    says(&scratch, &["compose", "app.wasm"]);
    let output = command(&scratch, &["compose", "app.wasm", "-o", "-"]).output();
    let output = output.expect("it runs");
    assert!(output.status.success());
    assert!(output.stdout == read(&scratch, "app.composed.wasm"));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.starts_with("standard output\nlinked: "), "{said}");
    assert!(!scratch.contents().contains(&"-".to_owned()));
}

#[tokio::test]
async fn what_it_makes_is_the_same_each_time() {
    let _open = unchanged();
    let scratch = with_components();
    for output in ["one", "other"] {
        says(&scratch, &["compose", "app.wasm", "--output", output]);
    }
    assert!(read(&scratch, "one") == read(&scratch, "other"));
}

#[tokio::test]
async fn a_filter_goes_between_the_listener_and_the_application() {
    let _open = unchanged();
    let scratch = with_components();
    let filtered = [
        "compose",
        "app.wasm",
        "--through",
        "filter.wasm",
        "--through",
        "filter.wasm",
    ];
    let said = says(&scratch, &filtered);
    assert!(
        said.contains(
            "\nlinked: evconn:tcp/listener@0.1.0 through filter.wasm through filter.wasm\n"
        ),
        "{said}"
    );
    echoes(&scratch, "app.composed.wasm").await;
}

/// The listener is built for one patch version of WASI 0.2, and applications for others.
#[tokio::test]
async fn an_application_for_another_patch_version_is_composed() {
    let _open = unchanged();
    let text = wasmprinter::print_bytes(ECHO_COMMAND).expect("its text");
    for version in ["0.2.0", "0.2.6", "0.2.99"] {
        let scratch = Scratch::new();
        write(&scratch, "app.wat", text.replace("0.2.12", version));
        let said = says(&scratch, &["compose", "app.wat"]);
        assert!(said.contains(&format!("wasi:cli/environment@{version}\n")));
        echoes(&scratch, "app.composed.wasm").await;
        echoes(&scratch, "app.wat").await;
    }
}

#[tokio::test]
async fn nothing_else_is_left_behind() {
    let _open = unchanged();
    let scratch = with_components();
    says(&scratch, &["compose", "app.wasm", "-o", "b"]);
    write(&scratch, "cases.wasm", CASES);
    says(&scratch, &["compose", "cases.wasm", "-o", "b"]);
    let expected = [
        COMPONENTS[0],
        "b",
        "cases.wasm",
        COMPONENTS[1],
        COMPONENTS[2],
    ];
    assert_eq!(scratch.contents(), expected);
}
