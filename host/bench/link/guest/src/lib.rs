//! A service whose behavior is chosen by a connection's first byte: `e` echoes, `d` answers each byte with 16
//! writes of 8 bytes, `s` computes for ever, `n` computes for 9 ms, sleeps for a nanosecond, and begins again.

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "evconn:tcp/service",
    generate_all,
    with: {
        "wasi:io/error@0.2.12": ::wasi::io::error,
        "wasi:io/poll@0.2.12": ::wasi::io::poll,
        "wasi:io/streams@0.2.12": ::wasi::io::streams,
        "wasi:clocks/monotonic-clock@0.2.12": ::wasi::clocks::monotonic_clock,
    },
});

use ::wasi::clocks::monotonic_clock;
use ::wasi::io::streams::{InputStream, OutputStream, StreamError};
use evconn::tcp::connection::Connection;

struct Service;

impl exports::evconn::tcp::handler::Guest for Service {
    fn handle(Connection { input, output, .. }: Connection) -> Result<(), String> {
        let result = match input.blocking_read(1) {
            Ok(first) if first == b"e" => echo(&input, &output),
            Ok(first) if first == b"d" => dribble(&input, &output),
            Ok(first) if first == b"s" => spin(),
            Ok(first) if first == b"n" => nap(),
            Ok(first) => return Err(format!("there is no {first:?}")),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) | Err(StreamError::Closed) => Ok(()),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

fn echo(input: &InputStream, output: &OutputStream) -> Result<(), StreamError> {
    loop {
        let bytes = input.blocking_read(4096)?;
        output.blocking_write_and_flush(&bytes)?;
    }
}

fn dribble(input: &InputStream, output: &OutputStream) -> Result<(), StreamError> {
    loop {
        for _ in input.blocking_read(4096)? {
            for _ in 0..16 {
                while output.check_write()? == 0 {
                    output.subscribe().block();
                }
                output.write(b"12345678")?;
            }
        }
    }
}

fn spin() -> Result<(), StreamError> {
    loop {
        compute();
    }
}

fn nap() -> Result<(), StreamError> {
    loop {
        let start = monotonic_clock::now();
        while monotonic_clock::now() - start < 9_000_000 {
            compute();
        }
        monotonic_clock::subscribe_duration(1).block();
    }
}

/// About 20 microseconds.
fn compute() {
    for i in 0..40_000 {
        std::hint::black_box(i);
    }
}

export!(Service);
