//! What a handler knows of its connection, whatever that comes through.

use super::{ACTS, Site, unchanged};
use crate::support::peer::{connect, rest};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

#[test]
fn a_handler_knows_both_addresses() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let mut peer = site.act("addresses");
    let own = peer.local_addr().expect("an address");
    let told = rest(&mut peer).expect("a regular end");
    assert_eq!(told, format!("{own} {}\n", site.address));
    site.end();
}

#[test]
fn connections_have_different_numbers_which_are_those_of_the_log() {
    let _open = unchanged();
    let site = Site::logging(ACTS, &["--processes", "1"], "debug");
    let numbers = [site.all_of("number"), site.all_of("number")];
    assert_ne!(numbers[0], numbers[1]);
    let log = site.end();
    for number in numbers {
        let field = format!("number={}", number.trim());
        assert!(log.contains(&field), "{field}: {log}");
    }
}

#[test]
fn a_connection_without_tls_has_no_session() {
    let _open = unchanged();
    let site = Site::start(&[]);
    assert_eq!(site.all_of("tls"), "none\n");
    site.end();
}

#[cfg(feature = "tls")]
#[test]
fn a_handler_knows_its_tls_session() {
    use crate::support::certificate::Certificate;
    use crate::support::tool::Tool;
    use std::io::Read;
    use std::process::{Command, Stdio};
    let _open = unchanged();
    let certificate = Certificate::new();
    let (cert, key) = (certificate.cert(), certificate.key());
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-alpn", "echo"];
    let site = Site::start(&tls);
    for version in ["1_2", "1_3"] {
        let mut client = Command::new("openssl");
        client
            .args(["s_client", "-quiet", "-verify_return_error"])
            .args(["-servername", "localhost", "-alpn", "echo"])
            .args(["-CAfile", &cert, "-connect", &site.address.to_string()])
            .arg(format!("-tls{version}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Some(mut client) = Tool::start(&mut client) else {
            break;
        };
        let mut stdin = client.child().stdin.take().expect("stdin");
        stdin.write_all(b"tls\n").expect("sent");
        let mut told = String::new();
        let stdout = client.child().stdout.take().expect("stdout");
        { stdout }.read_to_string(&mut told).expect("text");
        let version = version.replace('_', ".");
        let session = format!("TLSv{version} Some(\"echo\") Some(\"localhost\") 0\n");
        assert_eq!(told, session);
    }
    site.end();
}

#[test]
fn a_proxy_announces_the_peer() {
    let _open = unchanged();
    let site = Site::start(&["--proxy-protocol", "--proxy-from", "127.0.0.0/8"]);
    let mut peer = connect(site.address);
    let header = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 5678\r\n";
    peer.write_all(format!("{header}addresses\n").as_bytes())
        .expect("sent");
    let told = rest(&mut peer).expect("a regular end");
    assert!(told.starts_with("192.0.2.7:1234 "), "{told}");
    site.end();
}

#[test]
fn a_unix_socket_is_served() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("socket");
    let source = format!("unix:{}", path.display());
    let evconn = Evconn::start(&["serve", ACTS, "--listen", &source, "--processes", "1"]);
    evconn.line();
    let mut peer = UnixStream::connect(&path).expect("connected");
    peer.write_all(b"echo\nhello").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    let mut back = String::new();
    std::io::Read::read_to_string(&mut peer, &mut back).expect("a regular end");
    assert_eq!(back, "hello");
    evconn.signal(rustix::process::Signal::TERM);
    assert_eq!(evconn.wait().status.code(), Some(0));
}
