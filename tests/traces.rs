//! `--otlp`: a trace of each connection, for a collector of OpenTelemetry.

use crate::support::descriptors::unchanged;
use crate::support::peer::{connect, echoing, reset, rest};
use crate::support::process::Evconn;
use crate::support::{DEADLINE, eventually, free_port};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

const HANDLER: &str = evconn_artifacts::HANDLER_PATH;

/// In one process, and in several.
const PROCESSES: [&str; 2] = ["0", "2"];

/// A collector: what it receives, with the path of the request.
struct Collector {
    address: SocketAddr,
    received: Receiver<(String, ExportTraceServiceRequest)>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start() -> Self {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (sender, received) = channel();
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            // One server has one connection at a time.
            while let Ok((stream, _)) = listener.accept() {
                if ends.load(Ordering::Relaxed) || collect(&stream, &sender).is_none() {
                    return;
                }
            }
        });
        Self {
            address,
            received,
            is_over,
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn next(&self) -> (String, ExportTraceServiceRequest) {
        self.received.recv_timeout(DEADLINE).expect("a request")
    }

    /// The spans of so many connections.
    fn spans(&self, connections: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.iter().filter(|span| is_own(span)).count() < connections {
            let (_, request) = self.next();
            let scopes = request
                .resource_spans
                .into_iter()
                .flat_map(|spans| spans.scope_spans);
            spans.extend(scopes.flat_map(|scope| scope.spans));
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Its thread waits for a connection: the server has ended. It may have failed, which the test shows.
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Receives the requests of a connection, as long as somebody wants them.
fn collect(
    mut stream: &TcpStream,
    sender: &Sender<(String, ExportTraceServiceRequest)>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.is_empty()) {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return Some(());
            }
            lines.push(line.trim_end().to_owned());
        }
        let length = lines.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse().expect("a length"))
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let path = lines[0].split(' ').nth(1).expect("a path").to_owned();
        let request = ExportTraceServiceRequest::decode(&body[..]).expect("a request");
        sender.send((path, request)).ok()?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

fn start(processes: &str, flags: &[&str]) -> Evconn {
    let own = [
        "serve",
        HANDLER,
        "--listen",
        "127.0.0.1:0",
        "--processes",
        processes,
    ];
    Evconn::start(&[&own, flags].concat())
}

fn is_own(span: &Span) -> bool {
    span.parent_span_id.is_empty()
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn end(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_connection_is_a_span_with_those_of_its_phases() {
    let _open = unchanged();
    for processes in PROCESSES {
        let collector = Collector::start();
        let evconn = start(processes, &["--otlp", &collector.url()]);
        let peer = echoing(evconn.address());
        let name = peer.local_addr().expect("an address");
        drop(peer);
        let (path, request) = collector.next();
        assert_eq!(path, "/v1/traces");
        let resource = request.resource_spans[0]
            .resource
            .as_ref()
            .expect("a resource");
        assert_eq!(
            text(&resource.attributes, "service.name").as_deref(),
            Some("handler")
        );
        let spans = &request.resource_spans[0].scope_spans[0].spans;
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(
            names,
            ["connection", "handshake", "instantiate", "handle", "drain"]
        );
        let own = &spans[0];
        assert!(is_own(own));
        let attribute = |key| text(&own.attributes, key).expect(key);
        assert_eq!(attribute("network.transport"), "tcp");
        assert_eq!(attribute("network.peer.address"), "127.0.0.1");
        assert_eq!(attribute("network.peer.port"), name.port().to_string());
        assert_eq!(attribute("evconn.cause"), "done");
        assert_eq!(attribute("evconn.sent_bytes"), "6");
        assert_eq!(attribute("evconn.instance"), "fresh");
        for phase in &spans[1..] {
            assert_eq!(phase.trace_id, own.trace_id);
            assert_eq!(phase.parent_span_id, own.span_id);
            assert!(phase.start_time_unix_nano >= own.start_time_unix_nano);
            assert!(phase.end_time_unix_nano >= phase.start_time_unix_nano);
            assert!(phase.end_time_unix_nano <= own.end_time_unix_nano);
        }
        end(evconn);
    }
}

#[test]
fn a_service_that_fails_is_an_error() {
    let _open = unchanged();
    let collector = Collector::start();
    let evconn = start("1", &["--otlp", &collector.url()]);
    let mut peer = connect(evconn.address());
    peer.write_all(b"trap\n").expect("sent");
    rest(&mut peer).expect_err("a reset");
    let spans = collector.spans(1);
    let own = spans.iter().find(|span| is_own(span)).expect("a span");
    let status = own.status.as_ref().expect("a status");
    assert_eq!((status.code, &*status.message), (2, "trap"));
    end(evconn);
}

#[test]
fn what_has_not_been_sent_is_sent_at_the_end() {
    let _open = unchanged();
    for processes in PROCESSES {
        let collector = Collector::start();
        let evconn = start(processes, &["--otlp", &collector.url(), "--grace", "0"]);
        let address = evconn.address();
        let peers: Vec<_> = (0..10).map(|_| echoing(address)).collect();
        evconn.signal(Signal::TERM);
        let spans = collector.spans(peers.len());
        for own in spans.iter().filter(|span| is_own(span)) {
            assert_eq!(
                text(&own.attributes, "evconn.cause").as_deref(),
                Some("shutdown")
            );
        }
        assert_eq!(evconn.wait().status.code(), Some(1));
    }
}

#[test]
fn each_nth_connection_is_traced() {
    let _open = unchanged();
    let collector = Collector::start();
    let evconn = start("2", &["--otlp", &collector.url(), "--otlp-sample", "3"]);
    let address = evconn.address();
    (0..9).for_each(|_| reset(echoing(address)));
    let spans = collector.spans(3);
    let mut numbers: Vec<_> = spans
        .iter()
        .filter_map(|span| text(&span.attributes, "evconn.connection.number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["3", "6", "9"]);
    end(evconn);
    assert!(collector.received.try_recv().is_err(), "no more");
}

#[test]
fn a_collector_that_is_away_holds_nobody_up() {
    let _open = unchanged();
    for processes in PROCESSES {
        let address = free_port();
        let url = format!("http://{address}");
        let evconn = start(processes, &["--otlp", &url]);
        let server = evconn.address();
        drop(echoing(server));
        let warning = format!("traces are lost: {url}/v1/traces does not take them");
        evconn.logged(&warning);
        drop(echoing(server));
        let collector = Collector::on(address);
        eventually("it is sent again", || {
            drop(echoing(server));
            collector.received.try_recv().ok()
        });
        let log = end(evconn);
        assert_eq!(log.matches(&warning).count(), 1, "{log}");
        assert!(
            log.contains("connections were lost") || log.contains("connection was lost"),
            "{log}"
        );
    }
}

#[test]
fn a_wrong_url_is_refused_with_one_line() {
    let _open = unchanged();
    for (url, expected) in [
        ("127.0.0.1:4318", "such as http://127.0.0.1:4318"),
        ("https://localhost", "TLS is not supported"),
    ] {
        let ended = Evconn::run(&["serve", HANDLER, "--listen", "127.0.0.1:0", "--otlp", url]);
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}
