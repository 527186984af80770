//! Certificates and keys that can be used, and those that cannot.

use super::client::{TestDirectory, error, load, make_certificate, make_certificate_with, meet};
use super::client::{client, trusting};
use crate::ingress::tls::TlsConfig;
use rustls::ClientConfig;
use std::io::Write;

#[test]
fn what_cannot_be_read_is_named() {
    let directory = TestDirectory::new();
    make_certificate(&directory);
    let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
    let missing = directory.path("missing.pem");
    for text in [error(&missing, &key), error(&cert, &missing)] {
        let expected = format!("cannot read {missing:?}: No such file or directory (os error 2)");
        assert_eq!(text, expected);
    }
}

#[test]
fn a_file_without_the_right_thing_says_what_it_takes() {
    let directory = TestDirectory::new();
    make_certificate(&directory);
    let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
    assert!(error(&key, &key).starts_with(&format!("no certificate in {key:?}: ")));
    assert!(error(&cert, &cert).starts_with(&format!("no private key in {cert:?}: ")));
    let empty = directory.write("empty.pem", "");
    assert!(error(&empty, &key).starts_with("no certificate"));
    let encrypted = directory.write(
        "encrypted.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert!(error(&cert, &encrypted).contains("is encrypted"));
    let broken = directory.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
    );
    assert!(error(&broken, &key).starts_with(&format!("{broken:?} is not PEM: ")));
    let nonsense = directory.write(
        "nonsense.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    assert!(error(&nonsense, &key).contains("cannot be used"));
}

#[test]
fn a_certificate_out_of_its_time_says_its_date() {
    let directory = TestDirectory::new();
    let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
    make_certificate_with(&directory, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 2, 29);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    });
    assert_eq!(
        error(&cert, &key),
        format!("the certificate in {cert:?} expired on 2020-02-29T00:00:00Z")
    );
    make_certificate_with(&directory, |params| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
        params.not_after = rcgen::date_time_ymd(4001, 1, 1);
    });
    assert_eq!(
        error(&cert, &key),
        format!("the certificate in {cert:?} is not valid before 4000-01-01T00:00:00Z")
    );
}

#[test]
fn the_key_has_to_belong_to_the_certificate() {
    let directory = TestDirectory::new();
    let other = TestDirectory::new();
    make_certificate(&directory);
    make_certificate(&other);
    let (cert, key) = (directory.path("cert.pem"), other.path("key.pem"));
    assert_eq!(
        error(&cert, &key),
        format!("the private key in {key:?} does not belong to the certificate in {cert:?}")
    );
}

#[test]
fn both_may_be_in_one_file() {
    let directory = TestDirectory::new();
    make_certificate(&directory);
    let read = |name| std::fs::read_to_string(directory.path(name)).expect("read");
    let both = directory.write("both.pem", &(read("key.pem") + &read("cert.pem")));
    TlsConfig::from_files(&both, &both).expect("usable");
}

/// Returns whether a client with this configuration can connect.
async fn gets_through(server: &TlsConfig, config: ClientConfig) -> bool {
    let (session, peer) = meet(server, |stream| client(config, stream).write_all(b"x")).await;
    let sent = peer.await.expect("no panic");
    session.is_ok() && sent.is_ok()
}

#[tokio::test]
async fn reloading_changes_the_certificate_of_new_connections() {
    let directory = TestDirectory::new();
    let old = trusting(make_certificate(&directory));
    let server = load(&directory);
    assert!(gets_through(&server, old.clone()).await);

    let new = trusting(make_certificate(&directory));
    assert!(!gets_through(&server, new.clone()).await);
    server.clone().reload().expect("usable");
    assert!(gets_through(&server, new).await);
    // A new session, not a resumed one.
    assert!(!gets_through(&server, old_without_sessions(old)).await);
}

fn old_without_sessions(mut config: ClientConfig) -> ClientConfig {
    config.resumption = rustls::client::Resumption::disabled();
    config
}

#[tokio::test]
async fn reloading_something_bad_leaves_the_old_certificate() {
    let directory = TestDirectory::new();
    let trusted = trusting(make_certificate(&directory));
    let server = load(&directory);
    directory.write("cert.pem", "");
    let refused = server.reload().expect_err("not usable");
    assert!(refused.to_string().starts_with("no certificate in"));
    assert!(gets_through(&server, trusted).await);
}

/// Returns the text of a certificate and of its key, in files of these names.
fn text(directory: &TestDirectory) -> [Vec<u8>; 2] {
    ["cert.pem", "key.pem"].map(|name| std::fs::read(directory.path(name)).expect("read"))
}

#[tokio::test]
async fn a_certificate_is_passed_on_as_text() {
    let directory = TestDirectory::new();
    let old = trusting(make_certificate(&directory));
    let reader = load(&directory);
    assert_eq!(reader.pem(), text(&directory));
    let [certificate, key] = reader.pem();
    let server = TlsConfig::from_pem(&certificate, &key).expect("usable");
    assert!(gets_through(&server, old.clone()).await);

    let new = trusting(make_certificate(&directory));
    // It is what is in use, not what is in the files.
    assert_eq!(reader.pem(), [certificate, key]);
    reader.reload().expect("usable");
    let [certificate, key] = reader.pem();
    let same = server.clone();
    same.replace(&certificate, &key).expect("usable");
    assert!(gets_through(&server, new).await);
    assert!(!gets_through(&server, old_without_sessions(old)).await);
    assert_eq!(server.pem(), text(&directory));
}

#[tokio::test]
async fn a_text_that_is_bad_leaves_the_old_certificate() {
    let directory = TestDirectory::new();
    let trusted = trusting(make_certificate(&directory));
    let [certificate, key] = text(&directory);
    let server = TlsConfig::from_pem(&certificate, &key).expect("usable");
    let refused = server.reload().expect_err("there are no files");
    assert!(matches!(refused, crate::TlsError::NotFromFiles));
    assert!(refused.to_string().contains("given as text"));
    server.replace(&certificate, b"").expect_err("not usable");
    assert_eq!(server.pem(), [certificate, key]);
    assert!(gets_through(&server, trusted).await);
}

#[test]
fn what_is_wrong_with_a_text_names_it() {
    let (directory, other) = (TestDirectory::new(), TestDirectory::new());
    make_certificate(&directory);
    make_certificate(&other);
    let ([certificate, key], [_, other]) = (text(&directory), text(&other));
    let broken = b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
    for (certificate, key, says) in [
        (
            &key[..],
            &key[..],
            "no certificate in the text of the certificate: ",
        ),
        (
            &certificate,
            &certificate,
            "no private key in the text of the key: ",
        ),
        (broken, &key, "the text of the certificate is not PEM: "),
        (
            &certificate,
            &other,
            "the private key in the text of the key does not belong to the certificate in the text of the \
             certificate",
        ),
    ] {
        let error = TlsConfig::from_pem(certificate, key).expect_err("not usable");
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[test]
fn the_key_is_not_shown() {
    let directory = TestDirectory::new();
    make_certificate(&directory);
    let [certificate, key] = text(&directory);
    let config = TlsConfig::from_pem(&certificate, &key).expect("usable");
    let key = String::from_utf8(key).expect("text");
    let line = key.lines().nth(1).expect("base64");
    for config in [config, load(&directory)] {
        let shown = format!("{config:?}");
        let bytes = format!("{:?}", &line.as_bytes()[..8]);
        let has_key = shown.contains(line) || shown.contains(bytes.trim_matches(['[', ']']));
        assert!(!has_key, "{shown}");
    }
}
