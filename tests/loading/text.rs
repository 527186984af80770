//! Components as text, and on other versions of WASI 0.2.

use super::{echo_text, echoes};
use crate::support::descriptors::unchanged;
use crate::support::host;
use crate::support::scratch::Scratch;
use evconn::{Service, guests};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_served_as_the_binary_is() {
    let _open = unchanged();
    let service = Service::new(host(), echo_text().as_bytes());
    echoes(service.expect("a service")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_file_is_does_not_depend_on_its_name() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let text = scratch.join("text.wasm");
    let binary = scratch.join("binary.wat");
    std::fs::write(&text, echo_text()).expect("written");
    std::fs::write(&binary, guests::ECHO).expect("written");
    for path in [text, binary] {
        let service = Service::from_file(host(), path);
        echoes(service.expect("a service")).await;
    }
}

/// It was built on one version; the host may have an older or a newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_patch_version_of_wasi_is_served() {
    let _open = unchanged();
    let text = echo_text();
    let imports = |version: &str| text.replace("@0.2.12\"", &format!("@{version}\""));
    assert_ne!(imports("0.2.0"), text, "it was built on another version");
    for version in ["0.2.0", "0.2.3", "0.2.9", "0.2.12", "0.2.99"] {
        let service = Service::new(host(), imports(version).as_bytes());
        echoes(service.expect(version)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_patch_version_of_the_handler_is_served() {
    let _open = unchanged();
    let text = echo_text().replace("evconn:tcp/handler@0.1.0", "evconn:tcp/handler@0.1.5");
    let service = Service::new(host(), text.as_bytes());
    echoes(service.expect("a service")).await;
}
