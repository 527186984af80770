//! Socket options as defined by `wasi:sockets/tcp`: their units, ranges and rounding.
//!
//! Values outside the operating system's range are clamped to it: according to the WIT documents, only 0 is
//! an error.

use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use crate::sys::{BUFFER_OVERHEAD, INHERITS_OPTIONS};
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::Socket;
use std::time::Duration;

type Result<T> = std::result::Result<T, ErrorCode>;

/// Range of keep-alive times, in seconds. Linux has the narrowest range.
const KEEP_ALIVE_SECONDS: (u64, u64) = (1, i16::MAX as u64);
const KEEP_ALIVE_COUNT: (u32, u32) = (1, i8::MAX as u32);
const BUFFER_SIZE: (u64, u64) = (1, i32::MAX as u64);

pub fn keep_alive_enabled(socket: &Socket) -> Result<bool> {
    socket.keepalive().map_err(ErrorCode::from)
}

pub fn set_keep_alive_enabled(socket: &Socket, value: bool) -> Result<()> {
    socket.set_keepalive(value).map_err(ErrorCode::from)
}

/// Returns the idle time in nanoseconds.
pub fn keep_alive_idle_time(socket: &Socket) -> Result<u64> {
    sockopt::tcp_keepidle(socket)
        .map(nanoseconds)
        .map_err(ErrorCode::from)
}

pub fn set_keep_alive_idle_time(socket: &Socket, value: u64) -> Result<()> {
    sockopt::set_tcp_keepidle(socket, keep_alive_time(value)?).map_err(ErrorCode::from)
}

/// Returns the interval in nanoseconds.
pub fn keep_alive_interval(socket: &Socket) -> Result<u64> {
    sockopt::tcp_keepintvl(socket)
        .map(nanoseconds)
        .map_err(ErrorCode::from)
}

pub fn set_keep_alive_interval(socket: &Socket, value: u64) -> Result<()> {
    sockopt::set_tcp_keepintvl(socket, keep_alive_time(value)?).map_err(ErrorCode::from)
}

pub fn keep_alive_count(socket: &Socket) -> Result<u32> {
    sockopt::tcp_keepcnt(socket).map_err(ErrorCode::from)
}

pub fn set_keep_alive_count(socket: &Socket, value: u32) -> Result<()> {
    let (least, most) = KEEP_ALIVE_COUNT;
    let count = non_zero(value.into())?.clamp(least.into(), most.into());
    sockopt::set_tcp_keepcnt(socket, count as u32).map_err(ErrorCode::from)
}

pub fn hop_limit(socket: &Socket, family: IpAddressFamily) -> Result<u8> {
    match family {
        IpAddressFamily::Ipv4 => {
            let limit = sockopt::ip_ttl(socket).map_err(ErrorCode::from)?;
            u8::try_from(limit).map_err(|_| ErrorCode::NotSupported)
        }
        IpAddressFamily::Ipv6 => sockopt::ipv6_unicast_hops(socket).map_err(ErrorCode::from),
    }
}

pub fn set_hop_limit(socket: &Socket, family: IpAddressFamily, value: u8) -> Result<()> {
    // Linux accepts 0 for IPv6.
    non_zero(value.into())?;
    match family {
        IpAddressFamily::Ipv4 => sockopt::set_ip_ttl(socket, value.into()),
        IpAddressFamily::Ipv6 => sockopt::set_ipv6_unicast_hops(socket, Some(value)),
    }
    .map_err(ErrorCode::from)
}

pub fn receive_buffer_size(socket: &Socket) -> Result<u64> {
    let size = sockopt::socket_recv_buffer_size(socket).map_err(ErrorCode::from)?;
    Ok((size / BUFFER_OVERHEAD) as u64)
}

pub fn set_receive_buffer_size(socket: &Socket, value: u64) -> Result<()> {
    let size = buffer_size(value)?;
    as_a_hint(sockopt::set_socket_recv_buffer_size(socket, size))
}

pub fn send_buffer_size(socket: &Socket) -> Result<u64> {
    let size = sockopt::socket_send_buffer_size(socket).map_err(ErrorCode::from)?;
    Ok((size / BUFFER_OVERHEAD) as u64)
}

pub fn set_send_buffer_size(socket: &Socket, value: u64) -> Result<()> {
    let size = buffer_size(value)?;
    as_a_hint(sockopt::set_socket_send_buffer_size(socket, size))
}

/// Copies the options that an accepted socket inherits, where the kernel does not do so.
pub fn inherit(from: &Socket, to: &Socket, family: IpAddressFamily) -> Result<()> {
    if INHERITS_OPTIONS {
        return Ok(());
    }
    set_keep_alive_enabled(to, keep_alive_enabled(from)?)?;
    set_keep_alive_idle_time(to, keep_alive_idle_time(from)?)?;
    set_keep_alive_interval(to, keep_alive_interval(from)?)?;
    set_keep_alive_count(to, keep_alive_count(from)?)?;
    set_hop_limit(to, family, hop_limit(from, family)?)?;
    set_receive_buffer_size(to, receive_buffer_size(from)?)?;
    set_send_buffer_size(to, send_buffer_size(from)?)?;
    Ok(to.set_tcp_nodelay(from.tcp_nodelay()?)?)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Rounds a time up to whole seconds, at least one.
fn keep_alive_time(nanoseconds: u64) -> Result<Duration> {
    let (least, most) = KEEP_ALIVE_SECONDS;
    let seconds = non_zero(nanoseconds)?.div_ceil(1_000_000_000);
    Ok(Duration::from_secs(seconds.clamp(least, most)))
}

fn buffer_size(value: u64) -> Result<usize> {
    let (least, most) = BUFFER_SIZE;
    Ok(non_zero(value)?.clamp(least, most) as usize)
}

/// Ignores the error of systems that reject a buffer size rather than clamp it.
fn as_a_hint(result: rustix::io::Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOBUFS) => Ok(()),
        result => result.map_err(ErrorCode::from),
    }
}

fn non_zero(value: u64) -> Result<u64> {
    match value {
        0 => Err(ErrorCode::InvalidArgument),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_to_seconds_and_kept_in_range() {
        let seconds = |value| keep_alive_time(value).map(|time| time.as_secs());
        assert_eq!(seconds(0), Err(ErrorCode::InvalidArgument));
        assert_eq!(seconds(1), Ok(1));
        assert_eq!(seconds(1_500_000_000), Ok(2));
        assert_eq!(seconds(u64::MAX), Ok(i16::MAX as u64));
    }
}
