//! Values that several flags have.

use evconn::CpuShare;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// A number of seconds, whole or not.
pub fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds, such as 10 or 0.5".to_owned())
}

/// A share of a core in percent.
pub fn cpu_share(text: &str) -> Result<CpuShare, String> {
    let percent = text.parse().ok();
    percent
        .and_then(CpuShare::percent)
        .ok_or_else(|| "expected a percentage from 1.5 to 50, such as 5".to_owned())
}

/// A number of seconds, whole or not, but not 0.
pub fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(Duration::ZERO) => Err("expected more than 0 seconds".to_owned()),
        result => result,
    }
}

/// A number from 1 on.
pub fn count(text: &str) -> Result<NonZeroU32, String> {
    let count = text.parse::<u32>().ok().and_then(NonZeroU32::new);
    count.ok_or_else(|| format!("expected a number from 1 to {}", u32::MAX))
}

/// A time limit, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

/// A number of seconds, or `none`.
pub fn time_limit(text: &str) -> Result<TimeLimit, String> {
    if text == "none" {
        return Ok(TimeLimit(None));
    }
    match some_seconds(text) {
        Ok(limit) => Ok(TimeLimit(Some(limit))),
        Err(error) => Err(format!("{error}, or none")),
    }
}

/// A number of bytes per second, or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteLimit(pub Option<NonZeroU32>);

/// A number of bytes from 1 on, or `none`.
pub fn byte_limit(text: &str) -> Result<ByteLimit, String> {
    if text == "none" {
        return Ok(ByteLimit(None));
    }
    let count = bytes(text).ok().and_then(|count| u32::try_from(count).ok());
    match count.and_then(NonZeroU32::new) {
        Some(count) => Ok(ByteLimit(Some(count))),
        None => Err(
            "expected a number of bytes from 1 to 4294967295, such as 65536 or 64K, or none"
                .to_owned(),
        ),
    }
}

/// A number of bytes per second from 1 on.
pub fn byte_rate(text: &str) -> Result<NonZeroU64, String> {
    let count = bytes(text).ok().and_then(|count| u64::try_from(count).ok());
    count.and_then(NonZeroU64::new).ok_or_else(|| {
        "expected a number of bytes per second from 1 on, such as 65536, 512K or 10M".to_owned()
    })
}

/// A limit of a number; `usize::MAX` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimit(pub usize);

/// A number from 1 on, or `none`.
pub fn count_limit(text: &str) -> Result<CountLimit, String> {
    if text == "none" {
        return Ok(CountLimit(usize::MAX));
    }
    match count(text) {
        Ok(limit) => Ok(CountLimit(limit.get() as usize)),
        Err(error) => Err(format!("{error}, or none")),
    }
}

/// A number of bytes, or of K, M or G (1024, 1024² and 1024³ bytes).
pub fn bytes(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits
        .parse::<usize>()
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|count| count.checked_mul(1 << shift))
        .ok_or_else(|| "expected a number of bytes, such as 65536, 512K or 64M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "-1", "1e99", "NaN", "10s"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_time_limit_may_be_none() {
        assert_eq!(time_limit("none"), Ok(TimeLimit(None)));
        let second = TimeLimit(Some(Duration::from_secs(1)));
        assert_eq!(time_limit("1"), Ok(second));
        assert!(time_limit("never").is_err());
    }

    #[test]
    fn a_limit_of_no_time_is_none() {
        for text in ["0", "0.0", "1e-10"] {
            let error = some_seconds(text).expect_err("0 seconds");
            assert!(error.contains("more than 0"), "{error}");
            assert!(time_limit(text).is_err());
        }
        assert_eq!(some_seconds("0.001"), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn a_count_is_at_least_1() {
        assert_eq!(count("1").map(NonZeroU32::get), Ok(1));
        for text in ["0", "-1", "", "4294967296", "x"] {
            let error = count(text).expect_err("no count");
            assert!(error.contains("from 1 to"), "{error}");
        }
    }

    #[test]
    fn a_limit_of_bytes_may_be_none() {
        assert_eq!(byte_limit("none"), Ok(ByteLimit(None)));
        assert_eq!(byte_limit("64K"), Ok(ByteLimit(NonZeroU32::new(64 << 10))));
        for text in ["0", "4G", "-1", "", "never"] {
            let error = byte_limit(text).expect_err("no limit");
            assert!(error.contains("or none"), "{error}");
        }
    }

    #[test]
    fn a_rate_of_bytes_is_at_least_1() {
        assert_eq!(byte_rate("1").map(NonZeroU64::get), Ok(1));
        assert_eq!(byte_rate("10M").map(NonZeroU64::get), Ok(10 << 20));
        for text in ["0", "0K", "-1", "", "K", "1.5M", "10M/s", "17179869184G"] {
            let error = byte_rate(text).expect_err("no rate");
            assert!(error.contains("from 1 on, such as"), "{text:?}: {error}");
        }
    }

    #[test]
    fn bytes_may_be_counted_in_powers_of_1024() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("512K"), Ok(512 << 10));
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("4G"), Ok(4 << 30));
        for text in [
            "",
            "M",
            "-1",
            "+1",
            "1.5M",
            "64MB",
            "18446744073709551615K",
            "é",
        ] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }
}
