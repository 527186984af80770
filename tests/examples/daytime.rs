//! `daytime`: the date and the time, and the end.

use super::start;
use crate::support::descriptors::unchanged;
use crate::support::exchange;
use std::time::SystemTime;

#[path = "../../guest/examples/daytime/src/date.rs"]
mod date;

const DAYTIME: &[u8] = evconn_artifacts::DAYTIME;

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    date::iso_8601(since.expect("a time after 1970").as_secs())
}

/// Whatever the peer sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_the_time_and_closes() {
    let _open = unchanged();
    let server = start(DAYTIME).await;
    for request in [&b""[..], b"what time is it?\r\n", &[b'x'; 100_000]] {
        let before = now();
        let answer = String::from_utf8(exchange(server.connect().await, request).await);
        let answer = answer.expect("text");
        let time = answer.strip_suffix("\r\n").expect("one line");
        assert_eq!(time.len(), before.len(), "{time}");
        assert!(*before <= *time && *time <= *now(), "{time}");
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.failed), (3, 0));
}

#[test]
fn known_times() {
    for (seconds, time) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_234_567_890, "2009-02-13T23:31:30Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (u64::MAX, "584554051223-11-09T07:00:15Z"),
    ] {
        assert_eq!(date::iso_8601(seconds), time);
    }
}

#[test]
fn every_day_of_eight_centuries_follows_the_one_before() {
    let mut day = 0;
    for year in 1970..2770 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in lengths.into_iter().enumerate() {
            for number in 1..=length {
                let expected = format!("{year}-{:02}-{number:02}T23:59:59Z", month + 1);
                assert_eq!(date::iso_8601(day * 86_400 + 86_399), expected);
                day += 1;
            }
        }
    }
}
