//! The status page: one file, which reads the other routes.

use super::response::{Response, html};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const PAGE: &str = include_str!("page.html");

/// The page's own script and style, by their digests, and requests to this endpoint: nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let script = digest(element(PAGE, "<script>", "</script>"));
    let style = digest(element(PAGE, "<style>", "</style>"));
    let policy = format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("ASCII")
});

pub fn response() -> Response {
    html(PAGE, &POLICY)
}

/// Returns the text of the only element of its kind.
fn element<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let after = page.split_once(begin).expect("the page has it").1;
    after.split_once(end).expect("it ends").0
}

fn digest(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style() {
        for name in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{name}")).count(), 1, "{name}");
            assert_eq!(PAGE.matches(&format!("</{name}>")).count(), 1, "{name}");
        }
        assert!(!element(PAGE, "<style>", "</style>").is_empty());
    }

    /// The example of the specification of subresource integrity.
    #[test]
    fn a_digest_is_what_browsers_compute() {
        assert_eq!(
            digest("alert('Hello, world.');"),
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
        );
    }
}
