//! `smtp-sink`: Python's smtplib delivers to it, and others try what they should not.

use super::{cut_everywhere, exchange_by_bytes, expect, run, said, send, start};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::{Server, connect, exchange, until_reset};
use rustix::process::Signal;
use std::process::Command;

/// The component's file.
const FILE: &str = evconn_artifacts::SMTP_SINK_PATH;

const SMTP_SINK: &[u8] = evconn_artifacts::SMTP_SINK;

const GREETING: &str = "220 localhost ESMTP, where nothing is kept\r\n";

/// Up to where a message is to be sent.
const ANNOUNCED: &str =
    "EHLO test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n";

const MAX_MESSAGE: usize = 10 << 20;

/// Runs a program of Python, in which `server` is a connected `smtplib.SMTP`. Returns what it prints.
async fn python(server: &Server, program: &str) -> Option<String> {
    let port = server.address.port();
    let program = format!(
        "import smtplib\nfrom email.message import EmailMessage\n\
         with smtplib.SMTP('127.0.0.1', {port}, timeout=30) as server:\n{program}"
    );
    let mut command = Command::new("python3");
    command.args(["-c", &program]);
    Some(said(run(command, "").await?))
}

/// The replies to all that a client says, without the first one.
async fn replies(server: &Server, request: &str) -> String {
    without_greeting(exchange(server.connect().await, request.as_bytes()).await)
}

fn without_greeting(replies: Vec<u8>) -> String {
    let replies = String::from_utf8(replies).expect("text");
    let replies = replies.strip_prefix(GREETING).expect("a greeting");
    replies.replace("\r\n", "\n")
}

/// The codes of these replies.
async fn codes(server: &Server, request: &str) -> Vec<u32> {
    codes_of(&replies(server, request).await)
}

/// The same, where the connection then ends in a reset.
async fn codes_until_reset(server: &Server, request: &str) -> Vec<u32> {
    let replies = until_reset(server.address, request.as_bytes()).await;
    codes_of(&without_greeting(replies))
}

fn codes_of(replies: &str) -> Vec<u32> {
    let last_lines = replies.lines().filter(|line| line.as_bytes()[3] == b' ');
    last_lines
        .map(|line| line[..3].parse().expect("a code"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtplib_delivers() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    let printed = python(
        &server,
        r#"
    message = EmailMessage()
    message['From'] = 'sender@example.com'
    message['To'] = 'one@example.com, two@example.com'
    message['Subject'] = 'dots'
    message.set_content('a line\n.\n..\n.dot\nthe end\n')
    for _ in range(2):
        print(server.send_message(message))
    server.rset()
    print(server.noop())
    print(server.verify('someone')[0])
    body = 'Subject: plain\r\n\r\n.\r\n..x\r\n'
    server.mail('', ['BODY=8BITMIME'])
    server.rcpt('three@example.com')
    print(server.data(body), len(body))
    print(server.has_extn('size'), server.has_extn('pipelining'), server.has_extn('8bitmime'))
"#,
    )
    .await;
    if let Some(printed) = printed {
        assert_eq!(
            printed,
            "{}\n{}\n(250, b'OK')\n252\n(250, b'got 26 bytes') 26\nTrue True True\n"
        );
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtplib_is_told_that_a_message_is_too_big() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    let printed = python(
        &server,
        r#"
    line = 'x' * 98 + '\r\n'
    size = int(server.ehlo() and server.esmtp_features['size'])
    fits = line * (size // len(line))
    print(server.sendmail('a@example.com', 'b@example.com', fits))
    try:
        server.sendmail('a@example.com', 'b@example.com', fits + line)
    except smtplib.SMTPSenderRefused as error:
        print(error.smtp_code)
    # One that does not say its size before it comes.
    del server.esmtp_features['size']
    try:
        server.sendmail('a@example.com', 'b@example.com', fits + line)
    except smtplib.SMTPDataError as error:
        print(error.smtp_code)
    print(server.sendmail('a@example.com', 'b@example.com', 'small'))
"#,
    )
    .await;
    if let Some(printed) = printed {
        assert_eq!(printed, "{}\n552\n552\n{}\n");
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_be_sent_at_once() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    let session =
        format!("{ANNOUNCED}hello\r\n..\r\n.\r\nMAIL FROM:<> SIZE=5 BODY=7BIT\r\nQUIT\r\nNOOP\r\n");
    let expected = format!(
        "250-localhost\n250-SIZE {MAX_MESSAGE}\n250-8BITMIME\n250 PIPELINING\n250 OK\n250 OK\n\
         354 go on; a line with a dot ends it\n250 got 10 bytes\n250 OK\n221 goodbye\n"
    );
    assert_eq!(replies(&server, &session).await, expected);
    let session = session.strip_suffix("NOOP\r\n").expect("the last command");
    let by_bytes = exchange_by_bytes(server.connect().await, session.as_bytes()).await;
    let by_bytes = String::from_utf8(by_bytes)
        .expect("text")
        .replace("\r\n", "\n");
    assert_eq!(by_bytes, GREETING.replace("\r\n", "\n") + &expected);
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_may_come_in_pieces() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    let mut stream = server.connect().await;
    expect(&mut stream, GREETING.as_bytes()).await;
    send(&mut stream, b"HELO test\r\n").await;
    expect(&mut stream, b"250 localhost\r\n").await;
    let announce = ANNOUNCED.strip_prefix("EHLO test\r\n").expect("EHLO");
    let announced = b"250 OK\r\n250 OK\r\n354 go on; a line with a dot ends it\r\n";
    cut_everywhere(
        &mut stream,
        (announce.as_bytes(), announced),
        (b"a\r\n.\nb\r\n..c\r\n.\r\n", b"250 got 11 bytes\r\n"),
    )
    .await;
    drop(stream);
    assert_eq!(server.stop().await.failed, 0);
}

/// Otherwise one message could pass for two, with a second sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_dot_on_a_line_of_its_own_ends_a_message() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    for not_the_end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "x.\r\n",
        "\r\n. \r\n",
    ] {
        let session = format!("{ANNOUNCED}hello{not_the_end}MAIL FROM:<evil@example.com>\r\n.\r\n");
        let codes = codes(&server, &session).await;
        assert_eq!(codes, [250, 250, 250, 354, 250], "{not_the_end:?}");
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_out_of_order_change_nothing() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    for (session, expected) in [
        (
            "MAIL FROM:<a@b>\nRCPT TO:<a@b>\nDATA\n",
            &[503, 503, 503][..],
        ),
        ("EHLO x\nRCPT TO:<a@b>\nDATA\n", &[250, 503, 503]),
        (
            "EHLO x\nMAIL FROM:<a@b>\nDATA\nMAIL FROM:<a@b>\n",
            &[250, 250, 503, 503],
        ),
        (
            "EHLO x\nMAIL FROM:<a@b>\nRSET\nRCPT TO:<a@b>\n",
            &[250, 250, 250, 503],
        ),
        (
            "EHLO x\nMAIL FROM:<a@b>\nEHLO x\nRCPT TO:<a@b>\n",
            &[250, 250, 250, 503],
        ),
        (
            "EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA x\nNOOP\nDATA\n\r\n.\r\nDATA\n",
            &[250, 250, 250, 501, 250, 354, 250, 503],
        ),
        ("RSET\nNOOP x\nVRFY a\nQUIT\nNOOP\n", &[250, 250, 252, 221]),
    ] {
        assert_eq!(codes(&server, session).await, expected, "{session}");
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_are_not_right_are_refused() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    for (command, code) in [
        ("", 500),
        ("SEND", 500),
        ("käse", 500),
        ("EXPN list", 502),
        ("HELP", 502),
        ("EHLO", 501),
        ("VRFY", 501),
        ("QUIT now", 501),
        ("MAIL", 501),
        ("MAIL FROM:a@b", 501),
        ("MAIL FROM:<a@b", 501),
        ("MAIL TO:<a@b>", 501),
        ("MAIL FRÖM:<a@b>", 501),
        ("MAIL FROM:<a@b> SIZE=x", 501),
        ("MAIL FROM:<a@b> SIZE=10485761", 552),
        ("MAIL FROM:<a@b> SMTPUTF8", 555),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", 555),
        ("mail from: <a@b> size=10485760", 250),
    ] {
        assert_eq!(
            codes(&server, &format!("EHLO x\n{command}\n")).await,
            [250, code],
            "{command}"
        );
    }
    for (command, code) in [
        ("RCPT", 501),
        ("RCPT TO:<>", 501),
        ("RCPT FROM:<a@b>", 501),
        ("RCPT TO:<a@b> NOTIFY=NEVER", 555),
        ("rcpt to:<a@b>", 250),
    ] {
        let session = format!("EHLO x\nMAIL FROM:<>\n{command}\n");
        assert_eq!(
            codes(&server, &session).await,
            [250, 250, code],
            "{command}"
        );
    }
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipients_are_limited() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    let recipients = "RCPT TO:<a@b>\n".repeat(101);
    let session = format!("EHLO x\nMAIL FROM:<>\n{recipients}DATA\nx\r\n.\r\n");
    let codes = codes(&server, &session).await;
    assert_eq!(codes[101..], [250, 452, 354, 250]);
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_too_long_is_the_last() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    let longest = "x".repeat(998);
    let session = format!("{ANNOUNCED}.{longest}\r\n.\r\nNOOP {longest}\r\nNOOP\r\n");
    let all = replies(&server, &session).await;
    assert!(
        all.ends_with("250 got 1000 bytes\n500 the line is too long\n"),
        "{all}"
    );
    let session = format!("{ANNOUNCED}xx{longest}\r\n.\r\nNOOP\r\n");
    let all = replies(&server, &session).await;
    assert!(
        all.ends_with("ends it\n500 the line is too long\n"),
        "{all}"
    );
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_within_a_message_has_failed() {
    let _open = unchanged();
    let server = start(SMTP_SINK).await;
    assert_eq!(
        codes(&server, "EHLO x\r\nMAIL FROM:<a@b>\r\nRC").await,
        [250, 250]
    );
    let session = format!("{ANNOUNCED}hello\r\n");
    let codes = codes_until_reset(&server, &session).await;
    assert_eq!(codes, [250, 250, 250, 354]);
    let served = server.stop().await;
    assert_eq!((served.connections, served.failed), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_printed_of_each_message() {
    let _open = unchanged();
    let evconn = Evconn::start(&["serve", FILE, "--listen", "127.0.0.1:0", "--inherit-stderr"]);
    let session = format!("{ANNOUNCED}hello\r\n.\r\nQUIT\r\n");
    exchange(connect(evconn.address()).await, session.as_bytes()).await;
    evconn.signal(Signal::TERM);
    let printed = evconn.wait().stderr;
    let line = "[1] 7 bytes from \"a@example.com\" to [\"b@example.com\"]\n";
    assert!(printed.contains(line), "{printed}");
}
