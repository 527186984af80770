//! What hostile connections do.

use serde::{Deserialize, Serialize};

/// What a hostile connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    pub name: &'static str,
    pub about: &'static str,
    /// The line that begins an act of the test program `hostile`.
    pub line: &'static str,
    pub manner: Manner,
    pub front: Front,
}

/// What is in front of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Front {
    Nothing,
    Tls,
    /// A proxy that announces each peer.
    Proxy,
}

/// What the peer itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// Sends the line, and reads all that comes.
    Reads,
    /// Sends the line, and reads nothing after the answer to it.
    NeverReads,
    /// Sends nothing at all.
    Silent,
    /// Sends the line without its end, and nothing after it.
    Half,
    /// Sends a byte of the line each second.
    Slow,
    /// Sends the line, and resets the connection at once.
    Resets,
    /// Does so without a pause.
    Floods,
}

const fn guest(name: &'static str, line: &'static str, about: &'static str) -> Act {
    peer(name, line, Manner::Reads, about)
}

const fn peer(name: &'static str, line: &'static str, manner: Manner, about: &'static str) -> Act {
    Act {
        name,
        about,
        line,
        manner,
        front: Front::Nothing,
    }
}

/// A peer that begins what has to precede the service, and does not complete it.
const fn half(name: &'static str, line: &'static str, front: Front, about: &'static str) -> Act {
    Act {
        front,
        ..peer(name, line, Manner::Half, about)
    }
}

impl Act {
    pub const ALL: &[Self] = &[
        guest(
            "echo",
            "echo",
            "nothing hostile: polite connections that are idle",
        ),
        guest("spin", "spin", "an endless loop"),
        guest(
            "compute-1",
            "compute 1 1",
            "computes for 1 ms, sleeps for 1 ns, for ever",
        ),
        guest(
            "compute-9",
            "compute 9 1",
            "computes for 9 ms, sleeps for 1 ns, for ever",
        ),
        guest(
            "realloc",
            "realloc spin",
            "an endless loop while the host returns a list",
        ),
        guest(
            "post-return",
            "post-return spin",
            "an endless loop after its result was read",
        ),
        guest("fill", "fill 32", "memory.fill of 32 MiB, for ever"),
        guest(
            "copy",
            "copy 32",
            "memory.copy of 16 MiB within 32, for ever",
        ),
        guest(
            "grow",
            "grow",
            "memory.grow by a page at a time to the limit, and again in another instance",
        ),
        guest("recurse", "recurse", "recursion until the stack is full"),
        guest("trap", "trap 0", "a trap at once"),
        guest("fail", "fail 100000", "an error of 100 kB"),
        guest("sleep", "sleep", "sleeps for ever"),
        guest("hoard", "hoard timers 500", "keeps 500 timers"),
        guest("clock", "calls clock", "asks for the time, for ever"),
        guest("yield", "calls yield", "waits for what is ready, for ever"),
        guest(
            "poll",
            "calls poll",
            "polls 500 pollables, one of which is ready, for ever",
        ),
        guest(
            "random",
            "calls random-large",
            "asks for 256 KiB of random bytes, for ever",
        ),
        guest(
            "name",
            "calls lookup-long",
            "looks up a name of 1 MiB, for ever",
        ),
        guest("print", "calls print", "prints lines, for ever"),
        guest(
            "print-long",
            "calls print-long",
            "prints 4 KiB at a time, for ever",
        ),
        guest("write", "calls write", "sends as fast as its peer reads"),
        peer(
            "never-read",
            "calls write",
            Manner::NeverReads,
            "sends to a peer that reads nothing",
        ),
        peer("silent", "", Manner::Silent, "peers that send nothing"),
        peer(
            "slow",
            "echo",
            Manner::Slow,
            "peers that send a byte each second",
        ),
        peer(
            "reset",
            "spin",
            Manner::Resets,
            "peers that reset when their guest begins to spin",
        ),
        peer(
            "flood",
            "sleep",
            Manner::Floods,
            "peers that connect and reset without a pause",
        ),
        half(
            "half-tls",
            // The record and the message that it begins are longer.
            "\x16\x03\x01\0\x7f\x01\0\0\x7b\x03\x03",
            Front::Tls,
            "peers that never complete their TLS handshake",
        ),
        half(
            "half-proxy",
            "PROXY TCP4 192.0.2.7 ",
            Front::Proxy,
            "peers whose PROXY header never ends",
        ),
    ];
}
