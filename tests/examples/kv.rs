//! `kv`: Redis's own clients, and requests as no client sends them.

use super::{cut_everywhere, exchange_by_bytes, expect, run, said, send, start};
use crate::support::descriptors::unchanged;
use crate::support::{Server, exchange, wait_for_close};
use std::fmt::Write;
use std::process::Command;

const KV: &[u8] = evconn_artifacts::KV;

/// The most bytes of all arguments of a request.
const MAX_REQUEST: usize = 1 << 20;

fn client(program: &str, server: &Server) -> Command {
    let mut command = Command::new(program);
    let port = server.address.port().to_string();
    command.args(["-h", "127.0.0.1", "-p", &port]);
    command
}

/// A request, as clients send it.
fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend(bulk(word));
    }
    request
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    [format!("${length}\r\n").as_bytes(), bytes, b"\r\n"].concat()
}

/// Returns the answers to everything that a peer sends.
async fn answer(requests: &[u8]) -> String {
    let server = start(KV).await;
    let answer = exchange(server.connect().await, requests).await;
    assert_eq!(server.stop().await.failed, 0);
    answer.escape_ascii().to_string().replace(r"\r\n", "\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cli_gets_its_answers() {
    let _open = unchanged();
    let server = start(KV).await;
    let dialogue = [
        ("ping", "PONG"),
        ("ping hello", "hello"),
        ("echo \"two words\"", "two words"),
        ("set a 41", "OK"),
        ("incr a", "42"),
        ("get a", "42"),
        ("incr new", "1"),
        ("del a new gone", "2"),
        ("get a", ""),
        ("set b text", "OK"),
        ("select 0", "OK"),
        ("config get save", "save\n"),
        ("config get appendonly", "appendonly\nno"),
        ("config get dir", ""),
        ("command", ""),
        ("command docs", ""),
        ("client setname test", "OK"),
    ];
    let commands: String = dialogue
        .iter()
        .map(|(line, _)| format!("{line}\n"))
        .collect();
    let answers: String = dialogue
        .iter()
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    if let Some(output) = run(client("redis-cli", &server), commands).await {
        assert_eq!(said(output), answers);
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cli_is_told_what_is_wrong() {
    let _open = unchanged();
    let server = start(KV).await;
    let wrong_number = "ERR wrong number of arguments for";
    let not_an_integer = "ERR value is not an integer or out of range";
    let dialogue = [
        ("get", format!("{wrong_number} 'get' command")),
        ("GET a b", format!("{wrong_number} 'get' command")),
        ("set a", format!("{wrong_number} 'set' command")),
        ("del", format!("{wrong_number} 'del' command")),
        ("incr a b", format!("{wrong_number} 'incr' command")),
        ("echo", format!("{wrong_number} 'echo' command")),
        ("ping a b", format!("{wrong_number} 'ping' command")),
        ("set a b ex 10", "ERR syntax error".to_owned()),
        ("set a text", "OK".to_owned()),
        ("incr a", not_an_integer.to_owned()),
        ("set a \" 1\"", "OK".to_owned()),
        ("incr a", not_an_integer.to_owned()),
        ("set a +1", "OK".to_owned()),
        ("incr a", not_an_integer.to_owned()),
        ("set a 9223372036854775808", "OK".to_owned()),
        ("incr a", not_an_integer.to_owned()),
        ("set a 9223372036854775807", "OK".to_owned()),
        (
            "incr a",
            "ERR increment or decrement would overflow".to_owned(),
        ),
        ("get a", "9223372036854775807".to_owned()),
        ("select 1", "ERR DB index is out of range".to_owned()),
        ("lpush a b", "ERR unknown command 'lpush'".to_owned()),
        (
            "config set save x",
            "ERR CONFIG has only GET, with one parameter".to_owned(),
        ),
    ];
    let commands: String = dialogue
        .iter()
        .map(|(line, _)| format!("{line}\n"))
        .collect();
    if let Some(output) = run(client("redis-cli", &server), commands).await {
        // After an error, redis-cli puts an empty line.
        let said = said(output);
        let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
        let expected: Vec<_> = dialogue.iter().map(|(_, line)| line).collect();
        assert_eq!(said, expected);
    }
    assert_eq!(server.stop().await.failed, 0);
}

/// They want to go on in RESP3, which is not here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cli_goes_on_after_hello() {
    let _open = unchanged();
    let server = start(KV).await;
    let mut command = client("redis-cli", &server);
    command.args(["-3", "ping"]);
    if let Some(output) = run(command, "").await {
        assert!(said(output).ends_with("PONG\n"));
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cli_fills_it_by_a_pipe() {
    let _open = unchanged();
    let server = start(KV).await;
    let mut commands = Vec::new();
    for number in 0..20_000 {
        let key = format!("key:{number}");
        commands.extend(request(&[b"SET", key.as_bytes(), b"\r\nbinary\0\xff"]));
    }
    let mut command = client("redis-cli", &server);
    command.arg("--pipe");
    if let Some(output) = run(command, commands).await {
        let said = said(output);
        assert!(said.contains("errors: 0, replies: 20000"), "{said}");
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_benchmark_runs() {
    let _open = unchanged();
    let server = start(KV).await;
    let mut command = client("redis-benchmark", &server);
    command.args(["-t", "ping,set,get,incr", "-n", "2000", "-c", "10"]);
    command.args(["-P", "16", "-r", "100", "--csv"]);
    if let Some(output) = run(command, "").await {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let said = said(output);
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"] {
            assert!(said.contains(&format!("\"{test}\",")), "{test}: {said}");
        }
        let served = server.stop().await;
        assert!(served.connections >= 50, "{served:?}");
        assert_eq!(served.failed, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_values_are_any_bytes() {
    let _open = unchanged();
    let every_byte: Vec<u8> = (0..=255).collect();
    let server = start(KV).await;
    let mut stream = server.connect().await;
    for (key, value) in [
        (&every_byte[..], &every_byte[..]),
        (b"", b""),
        (b"\r\n", b"*1\r\n$4\r\nPING\r\n"),
        (b"k", &vec![b'v'; MAX_REQUEST - "SETk".len()]),
    ] {
        send(&mut stream, &request(&[b"SET", key, value])).await;
        expect(&mut stream, b"+OK\r\n").await;
        send(&mut stream, &request(&[b"get", key])).await;
        expect(&mut stream, &bulk(value)).await;
    }
    drop(stream);
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_be_a_line() {
    let _open = unchanged();
    assert_eq!(
        answer(b"PING\r\n\r\n  set  a\tb \nget a\r\n*0\r\n*-1\r\nGeT c\n").await,
        "+PONG\n+OK\n$1\nb\n$-1\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_come_in_pieces() {
    let _open = unchanged();
    let server = start(KV).await;
    let mut stream = server.connect().await;
    let probe = (&b"PING\r\n"[..], &b"+PONG\r\n"[..]);
    let set = request(&[b"SET", b"\r\n", b"\r\n$1\r\n"]);
    cut_everywhere(&mut stream, probe, (&set, b"+OK\r\n")).await;
    let get = request(&[b"GET", b"\r\n"]);
    cut_everywhere(&mut stream, probe, (&get, b"$6\r\n\r\n$1\r\n\r\n")).await;
    cut_everywhere(&mut stream, probe, (b"ECHO x\r\n", b"$1\r\nx\r\n")).await;
    drop(stream);
    let answer = exchange_by_bytes(server.connect().await, &[set, get].concat()).await;
    assert_eq!(answer, b"+OK\r\n$6\r\n\r\n$1\r\n\r\n");
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_are_answered_in_order() {
    let _open = unchanged();
    let (mut requests, mut answers) = (Vec::new(), String::new());
    for number in 1..=50_000 {
        requests.extend(request(&[b"INCR", b"n"]));
        writeln!(answers, ":{number}").expect("written");
    }
    assert!(answer(&requests).await == answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_connection_has_keys_of_its_own() {
    let _open = unchanged();
    let server = start(KV).await;
    let mut one = server.connect().await;
    let mut two = server.connect().await;
    send(&mut one, b"SET a 1\r\n").await;
    expect(&mut one, b"+OK\r\n").await;
    send(&mut two, b"GET a\r\n").await;
    expect(&mut two, b"$-1\r\n").await;
    send(&mut one, b"QUIT\r\nGET a\r\n").await;
    expect(&mut one, b"+OK\r\n").await;
    wait_for_close(&mut one).await;
    drop(two);
    assert_eq!(server.stop().await.failed, 0);
}

/// A request that is cut off is not executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_is_none() {
    let _open = unchanged();
    let whole = request(&[b"INCR", b"a"]);
    for length in 0..whole.len() {
        let requests = [b"PING\r\n", &whole[..length]].concat();
        assert_eq!(answer(&requests).await, "+PONG\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_the_last() {
    let _open = unchanged();
    let too_big = format!("*2\r\n$4\r\nECHO\r\n${}\r\n", MAX_REQUEST - 3);
    let long_count = format!("*1\r\n${}", "1".repeat(64 << 10));
    let long_line = "x".repeat(64 << 10);
    for (request, error) in [
        ("*x\r\n", "invalid multibulk length"),
        ("*+1\r\n", "invalid multibulk length"),
        ("*65537\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*1\r\n\r\n", "expected '$', got ''"),
        ("*1\r\n\0\r\n", r"expected '$', got '\\x00'"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$1048577\r\n", "invalid bulk length"),
        ("*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        ("*1\r\n$4\r\nPINGPONG\r\n", "invalid bulk length"),
        (&too_big, "invalid bulk length"),
        (&long_count, "too big bulk count string"),
        (&long_line, "too big inline request"),
    ] {
        let requests = format!("PING\r\n{request}PING\r\n");
        assert_eq!(
            answer(requests.as_bytes()).await.replace(r"\'", "'"),
            format!("+PONG\n-ERR Protocol error: {error}\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_one_line_whatever_the_name_is() {
    let _open = unchanged();
    let long = [b'x'; 1000];
    let requests = [request(&[b"a\r\n+OK"]), request(&[&long]), request(&[b""])].concat();
    let shown = "x".repeat(128);
    assert_eq!(
        answer(&requests).await.replace(r"\'", "'"),
        format!(
            "-ERR unknown command 'a\\\\r\\\\n+OK'\n-ERR unknown command '{shown}'\n\
             -ERR unknown command ''\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_memory_is_bounded() {
    let _open = unchanged();
    let server = start(KV).await;
    let mut stream = server.connect().await;
    let oom = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    let value = vec![b'v'; 1_000_000];
    for key in 0..16 {
        let key = key.to_string();
        send(&mut stream, &request(&[b"SET", key.as_bytes(), &value])).await;
        expect(&mut stream, b"+OK\r\n").await;
    }
    send(&mut stream, &request(&[b"SET", b"16", &value])).await;
    expect(&mut stream, oom).await;
    // In the place of another one there is room, and after one is gone.
    send(&mut stream, &request(&[b"SET", b"0", &value])).await;
    expect(&mut stream, b"+OK\r\n").await;
    send(&mut stream, b"DEL 0 0\r\n").await;
    expect(&mut stream, b":1\r\n").await;
    send(&mut stream, &request(&[b"SET", b"16", &value])).await;
    expect(&mut stream, b"+OK\r\n").await;
    drop(stream);

    // Very many small ones count, too.
    let mut requests = Vec::new();
    for key in 0..200_000 {
        requests.extend(format!("INCR {key}\r\n").bytes());
    }
    let answer = exchange(server.connect().await, &requests).await;
    assert!(answer.ends_with(oom));
    assert_eq!(server.stop().await.failed, 0);
}
