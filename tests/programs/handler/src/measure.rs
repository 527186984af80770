//! How long a call to the host takes that passes as much as is allowed, by the guest's clock.

use crate::evconn::tcp::connection::Connection;
use crate::wasi::cli::{environment, stdout};
use crate::wasi::clocks::monotonic_clock::{now, subscribe_duration};
use crate::wasi::io::poll::poll;
use crate::wasi::random::{insecure, random};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::{granted, say};

/// `CALL ARGUMENT`: make the call some times, and say how many microseconds it took at most, and in the middle.
pub fn measure(connection: &Connection, argument: &str) -> Result<(), String> {
    let (call, argument) = argument.split_once(' ').unwrap_or((argument, "0"));
    let count: usize = argument.parse().unwrap_or(0);
    let bytes = vec![b'x'; count];
    let text = "x".repeat(count);
    let times = match call {
        "random" => times(|| drop(random::get_random_bytes(count as u64))),
        "insecure" => times(|| drop(insecure::get_insecure_random_bytes(count as u64))),
        "poll" => {
            let one = subscribe_duration(0);
            let all = vec![&one; count];
            times(|| drop(poll(&all)))
        }
        "poll-different" => {
            let all: Vec<_> = (0..count).map(|_| subscribe_duration(0)).collect();
            let all: Vec<_> = all.iter().collect();
            times(|| drop(poll(&all)))
        }
        "name" => times(|| drop(resolve_addresses(&instance_network(), &text))),
        "print" => {
            let output = stdout::get_stdout();
            let lines = vec![b'\n'; count];
            times(|| drop(output.blocking_write_and_flush(&lines)))
        }
        "write" => times(|| {
            let permit = connection.output.check_write().unwrap_or(0) as usize;
            let _ = connection.output.write(&bytes[..permit.min(count)]);
        }),
        "environment" => times(|| drop(environment::get_environment())),
        "list" => times(|| drop(granted::list(argument))),
        _ => return Err(format!("there is no such call: {call:?}")),
    };
    let (most, middle) = (times[times.len() - 1], times[times.len() / 2]);
    say(&connection.output, &format!("\n{most} {middle}\n"));
    Ok(())
}

/// In microseconds, the shortest first.
fn times(mut call: impl FnMut()) -> Vec<u64> {
    let mut times = Vec::new();
    for _ in 0..50 {
        let begin = now();
        call();
        times.push((now() - begin) / 1_000);
    }
    times.sort_unstable();
    times
}
