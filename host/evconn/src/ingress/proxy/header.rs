//! Parses the header of the PROXY protocol, versions 1 and 2.
//!
//! Reading the bytes, trust and the timeout are [`ProxyProtocol`](super::ProxyProtocol)'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The longest header of version 1, in bytes, including the end of its line, as specified.
pub(super) const MAX_V1: usize = 107;

/// The shortest header of version 1, in bytes. Headers of version 2 are longer.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();

const V1: &[u8] = b"PROXY ";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The length of the fixed part of version 2: the signature, version and command, the address family, and
/// the length.
const V2_FIXED: usize = 16;

/// How much of a header has been read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// At least this many more bytes belong to it.
    Needs(usize),
    /// The header is complete and consists of exactly the given bytes.
    Complete(Source),
}

/// The peer of a connection, according to its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Announced(SocketAddr),
    /// The peer is the one that was accepted: the proxy has connected for itself (`LOCAL`), or does not
    /// know the peer's IP address (`UNKNOWN`, a Unix socket).
    AsAccepted,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("there is none")]
    Absent,
    #[error("its line has more than {MAX_V1} bytes")]
    LongLine,
    #[error("{0}")]
    Malformed(&'static str),
}

/// Parses the first bytes of a connection. None of them may be beyond the header, which holds for a
/// caller that reads as many bytes as were needed each time.
pub(super) fn parse(bytes: &[u8]) -> Result<Progress, Flaw> {
    let may_be = |signature: &[u8]| {
        let common = bytes.len().min(signature.len());
        bytes[..common] == signature[..common]
    };
    match (may_be(V1), may_be(V2)) {
        (true, true) => Ok(Progress::Needs(SHORTEST)),
        (true, false) => parse_v1(bytes),
        (false, true) => parse_v2(bytes),
        (false, false) => Err(Flaw::Absent),
    }
}

/// Parses version 1. The length of a line is not known before its end, so after the shortest possible
/// length it is read byte by byte.
fn parse_v1(bytes: &[u8]) -> Result<Progress, Flaw> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end + 1 < bytes.len().max(SHORTEST) => {
            Err(Flaw::Malformed("its line is too short"))
        }
        Some(_) => parse_line(bytes).map(Progress::Complete),
        None if bytes.len() >= MAX_V1 => Err(Flaw::LongLine),
        None => Ok(Progress::Needs(SHORTEST.saturating_sub(bytes.len()).max(1))),
    }
}

fn parse_line(line: &[u8]) -> Result<Source, Flaw> {
    let line = line
        .strip_suffix(b"\r\n")
        .ok_or(Flaw::Malformed("its line does not end with CR LF"))?;
    // Whatever follows the word has to be ignored, even if it is not ASCII.
    if line == UNKNOWN || line.starts_with(&[UNKNOWN, b" "].concat()) {
        return Ok(Source::AsAccepted);
    }
    let line = str::from_utf8(line).map_err(|_| Flaw::Malformed("its line is not ASCII"))?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [_, "TCP4", source, destination, from, to] => {
            announced([source, destination].map(ip::<Ipv4Addr>), [from, to])
        }
        [_, "TCP6", source, destination, from, to] => {
            announced([source, destination].map(ip::<Ipv6Addr>), [from, to])
        }
        [_, "TCP4" | "TCP6", ..] => Err(Flaw::Malformed("it is not two addresses and two ports")),
        _ => Err(Flaw::Malformed("it is neither TCP4, TCP6 nor UNKNOWN")),
    }
}

/// Returns the source address. The destination's is only checked.
fn announced(ips: [Option<IpAddr>; 2], ports: [&str; 2]) -> Result<Source, Flaw> {
    let [Some(ip), Some(_)] = ips else {
        return Err(Flaw::Malformed("an address in it is not of its family"));
    };
    let [Some(port), Some(_)] = ports.map(port) else {
        return Err(Flaw::Malformed(
            "a port in it is no decimal number from 0 to 65535",
        ));
    };
    Ok(Source::Announced(SocketAddr::new(ip, port)))
}

fn ip<T: FromStr + Into<IpAddr>>(text: &str) -> Option<IpAddr> {
    text.parse::<T>().ok().map(Into::into)
}

fn port(text: &str) -> Option<u16> {
    // `parse` would also accept a plus sign and leading zeros, which the specification forbids.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = digits && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, Flaw> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED>() else {
        return Ok(Progress::Needs(V2_FIXED - bytes.len()));
    };
    let [version_and_command, family, length @ ..] = last_four(fixed);
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Err(Flaw::Malformed("its command is neither LOCAL nor PROXY")),
        _ => return Err(Flaw::Malformed("its version is not 2")),
    };
    let length = usize::from(u16::from_be_bytes(length));
    match length.checked_sub(rest.len()) {
        None => Err(Flaw::Malformed("bytes were read beyond its end")),
        Some(0) if is_local => Ok(Progress::Complete(Source::AsAccepted)),
        Some(0) => addresses(family, rest).map(Progress::Complete),
        Some(missing) => Ok(Progress::Needs(missing)),
    }
}

fn last_four(fixed: &[u8; V2_FIXED]) -> [u8; 4] {
    let [.., a, b, c, d] = *fixed;
    [a, b, c, d]
}

/// Parses the addresses. The fields after them are skipped.
fn addresses(family: u8, bytes: &[u8]) -> Result<Source, Flaw> {
    const SHORT: Flaw = Flaw::Malformed("it is too short for its addresses");
    const UNIX_ADDRESSES: usize = 216;
    match family {
        0x00 => Ok(Source::AsAccepted),
        0x11 => {
            let (addresses, _) = bytes.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            let port = u16::from_be_bytes([high, low]);
            Ok(Source::Announced(([a, b, c, d], port).into()))
        }
        0x21 => {
            let (ip, rest) = bytes.split_first_chunk::<16>().ok_or(SHORT)?;
            let (rest, _) = rest.split_first_chunk::<20>().ok_or(SHORT)?;
            let port = u16::from_be_bytes([rest[16], rest[17]]);
            Ok(Source::Announced((*ip, port).into()))
        }
        0x31 if bytes.len() >= UNIX_ADDRESSES => Ok(Source::AsAccepted),
        0x31 => Err(SHORT),
        0x12 | 0x22 | 0x32 => Err(Flaw::Malformed("it announces datagrams")),
        _ => Err(Flaw::Malformed("its address family is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("a length").to_be_bytes();
        [V2, &[version_and_command, family], &length, body].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x1f, 0x90, 0, 80];

    fn ipv6() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        let destination: Ipv6Addr = "2001:db8::2".parse().expect("an address");
        let ports = [0x1f, 0x90, 0, 80];
        [&source.octets()[..], &destination.octets(), &ports].concat()
    }

    /// Reads from `input` at most `chunk` bytes at a time, as from a connection. Returns the outcome and
    /// the number of bytes read.
    fn read(input: &[u8], chunk: usize) -> (Result<Progress, Flaw>, usize) {
        let mut end = 0;
        loop {
            match parse(&input[..end]) {
                Ok(Progress::Needs(count)) if end < input.len() => {
                    end = input.len().min(end + count.min(chunk));
                }
                outcome => return (outcome, end),
            }
        }
    }

    /// Checks that the header is parsed as `source` in whatever pieces it arrives, and that nothing
    /// beyond it is read.
    fn says(header: &[u8], source: Source) {
        let input = [header, b"what follows\r\n"].concat();
        for chunk in [1, 2, 3, 7, usize::MAX] {
            let (outcome, count) = read(&input, chunk);
            assert_eq!(outcome, Ok(Progress::Complete(source)), "{chunk}");
            assert_eq!(count, header.len(), "{chunk}");
        }
    }

    fn announced(text: &str) -> Source {
        Source::Announced(text.parse().expect("an address"))
    }

    fn flaw(input: &[u8]) -> Flaw {
        let (outcome, _) = read(input, usize::MAX);
        let (slowly, _) = read(input, 1);
        assert_eq!(outcome, slowly);
        outcome.expect_err("a flaw")
    }

    #[test]
    fn version_1_announces_an_address() {
        says(
            b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n",
            announced("192.0.2.1:8080"),
        );
        says(
            b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n",
            announced("[2001:db8::1]:65535"),
        );
        let longest = b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
            ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        says(
            longest,
            announced("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        );
    }

    #[test]
    fn version_1_may_not_know() {
        says(b"PROXY UNKNOWN\r\n", Source::AsAccepted);
        let long = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
            ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        assert_eq!(long.len(), MAX_V1);
        says(long, Source::AsAccepted);
    }

    #[test]
    fn what_follows_unknown_is_ignored_whatever_its_bytes() {
        says(
            b"PROXY UNKNOWN \xff\xfe\0\r caf\xe9\r\n",
            Source::AsAccepted,
        );
        says(b"PROXY UNKNOWN \r\n", Source::AsAccepted);
        assert!(matches!(flaw(b"PROXY UNKNOWN\xff\r\n"), Flaw::Malformed(_)));
        assert!(matches!(flaw(b"PROXY TCP4 \xff\r\n"), Flaw::Malformed(_)));
    }

    #[test]
    fn version_1_is_read_strictly() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 8080\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 8080 80 1\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 8080 80\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.256 8080 80\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 8080 80\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +8080 80\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 8080 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 08080 80\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 8080 00\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 8080 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 8080 80\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 8080 80\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY\tUNKNOWN\r\n",
            "PROXY \r\n",
            "PROXY UNKNOWN\n\n",
            "proxy UNKNOWN\r\n",
        ] {
            let flaw = flaw(line.as_bytes());
            assert!(
                matches!(flaw, Flaw::Malformed(_) | Flaw::Absent),
                "{line:?}: {flaw:?}"
            );
        }
    }

    #[test]
    fn a_line_has_at_most_107_bytes() {
        let line = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
        assert_eq!(flaw(&line), Flaw::LongLine);
        let (_, count) = read(&line, usize::MAX);
        assert_eq!(count, MAX_V1);
    }

    #[test]
    fn version_2_announces_an_address() {
        says(&v2(0x21, 0x11, &IPV4), announced("192.0.2.1:8080"));
        says(&v2(0x21, 0x21, &ipv6()), announced("[2001:db8::1]:8080"));
    }

    #[test]
    fn fields_of_version_2_are_skipped() {
        let fields = [&IPV4[..], &[0x02, 0, 3], b"abc"].concat();
        says(&v2(0x21, 0x11, &fields), announced("192.0.2.1:8080"));
        // The most bytes that the 16-bit length allows.
        let many = [&ipv6()[..], &[0; 65_535 - 36]].concat();
        says(&v2(0x21, 0x21, &many), announced("[2001:db8::1]:8080"));
    }

    #[test]
    fn version_2_may_be_local_or_of_no_ip_family() {
        says(&v2(0x20, 0x00, b""), Source::AsAccepted);
        // The addresses after LOCAL have to be ignored.
        says(&v2(0x20, 0x11, &IPV4), Source::AsAccepted);
        says(&v2(0x20, 0xff, b"??"), Source::AsAccepted);
        says(&v2(0x21, 0x00, b"ignored"), Source::AsAccepted);
        says(&v2(0x21, 0x31, &[0; 216]), Source::AsAccepted);
    }

    #[test]
    fn version_2_is_read_strictly() {
        for header in [
            v2(0x21, 0x11, &IPV4[..11]),
            v2(0x21, 0x21, &ipv6()[..35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x12, &IPV4),
            v2(0x21, 0x41, &IPV4),
            v2(0x22, 0x11, &IPV4),
            v2(0x31, 0x11, &IPV4),
        ] {
            assert!(matches!(flaw(&header), Flaw::Malformed(_)), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_told_at_its_first_byte_that_differs() {
        assert_eq!(flaw(b"GET / HTTP/1.1\r\n\r\n"), Flaw::Absent);
        assert_eq!(read(b"PROXYTCP4", 1).1, 6);
        assert_eq!(read(b"x", 1), (Err(Flaw::Absent), 1));
    }

    #[test]
    fn a_part_of_a_header_needs_more() {
        for header in [&v2(0x21, 0x11, &IPV4)[..], b"PROXY UNKNOWN\r\n"] {
            for end in 0..header.len() {
                let (outcome, _) = read(&header[..end], usize::MAX);
                assert!(matches!(outcome, Ok(Progress::Needs(1..))), "{outcome:?}");
            }
        }
    }

    /// Generates bytes that begin like a header.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        let words = "PROXY (TCP4|TCP6|UNKNOWN)[ 0-9a-f.:]{0,110}(\r\n)?[a-z]{0,9}";
        prop_oneof![
            bytes(),
            bytes().prop_map(|bytes| [V2, &bytes].concat()),
            (any::<bool>(), 0..4_u8, bytes()).prop_map(|(local, family, body)| v2(
                0x21 - u8::from(local),
                family << 4 | 1,
                &body
            )),
            words.prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_beyond_the_header_is_read(
            header in nearly(),
            chunk in 1..400_usize,
        ) {
            let input = [&header[..], &[b'x'; 500]].concat();
            let (outcome, count) = read(&input, chunk);
            prop_assert!(count <= V2_FIXED + usize::from(u16::MAX));
            let (again, same) = read(&input, 1);
            prop_assert_eq!(&outcome, &again);
            if let Ok(Progress::Complete(_)) = outcome {
                prop_assert_eq!(count, same);
                // The header's own length has to agree.
                let end = match header.starts_with(b"P") {
                    true => input.windows(2).position(|two| two == b"\r\n").expect("an end") + 2,
                    false => 16 + usize::from(u16::from_be_bytes([input[14], input[15]])),
                };
                prop_assert_eq!(count, end);
            }
        }

        #[test]
        fn whatever_bytes_are_given_at_once_nothing_panics(bytes in nearly()) {
            let _ = parse(&bytes);
        }
    }
}
