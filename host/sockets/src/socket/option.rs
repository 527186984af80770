//! Socket options as defined by `wasi:sockets/tcp`: their units, ranges and rounding.
//!
//! Values outside the operating system's range are clamped to it: according to the WIT documents, only 0 is
//! an error.
//!
//! A virtual socket keeps what its guest sets ([`Kept`]) for the sockets that take its place.

use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use crate::sys::{BUFFER_OVERHEAD, INHERITS_OPTIONS};
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::Socket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Result<T> = std::result::Result<T, ErrorCode>;

/// An option.
pub struct SocketOption<T: 'static> {
    get: fn(&Socket, IpAddressFamily) -> Result<T>,
    set: fn(&Socket, IpAddressFamily, T) -> Result<()>,
    /// Returns the value as a socket has it after it was set.
    checked: fn(T) -> Result<T>,
    kept: fn(&mut Kept) -> &mut Option<T>,
    /// What a socket has by default: on Linux, unless the system was configured otherwise.
    default: T,
}

/// The options that were set on a virtual socket.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    keep_alive_enabled: Option<bool>,
    keep_alive_idle_time: Option<u64>,
    keep_alive_interval: Option<u64>,
    keep_alive_count: Option<u32>,
    hop_limit: Option<u8>,
    receive_buffer_size: Option<u64>,
    send_buffer_size: Option<u64>,
}

/// The same, shared by a virtual socket and what accepts from it.
#[derive(Clone, Debug, Default)]
pub struct SharedKept(Arc<Mutex<Kept>>);

impl SharedKept {
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the options as they are now.
    pub fn get(&self) -> Kept {
        self.lock().clone()
    }
}

pub static KEEP_ALIVE_ENABLED: SocketOption<bool> = SocketOption {
    get: |socket, _| keep_alive_enabled(socket),
    set: |socket, _, value| set_keep_alive_enabled(socket, value),
    checked: Ok,
    kept: |kept| &mut kept.keep_alive_enabled,
    default: false,
};

pub static KEEP_ALIVE_IDLE_TIME: SocketOption<u64> = SocketOption {
    get: |socket, _| keep_alive_idle_time(socket),
    set: |socket, _, value| set_keep_alive_idle_time(socket, value),
    checked: |value| keep_alive_time(value).map(nanoseconds),
    kept: |kept| &mut kept.keep_alive_idle_time,
    default: 7_200 * NANOSECONDS,
};

pub static KEEP_ALIVE_INTERVAL: SocketOption<u64> = SocketOption {
    get: |socket, _| keep_alive_interval(socket),
    set: |socket, _, value| set_keep_alive_interval(socket, value),
    checked: |value| keep_alive_time(value).map(nanoseconds),
    kept: |kept| &mut kept.keep_alive_interval,
    default: 75 * NANOSECONDS,
};

pub static KEEP_ALIVE_COUNT: SocketOption<u32> = SocketOption {
    get: |socket, _| keep_alive_count(socket),
    set: |socket, _, value| set_keep_alive_count(socket, value),
    checked: keep_alive_probes,
    kept: |kept| &mut kept.keep_alive_count,
    default: 9,
};

pub static HOP_LIMIT: SocketOption<u8> = SocketOption {
    get: hop_limit,
    set: set_hop_limit,
    checked: |value| non_zero(value.into()).map(|_| value),
    kept: |kept| &mut kept.hop_limit,
    default: 64,
};

pub static RECEIVE_BUFFER_SIZE: SocketOption<u64> = SocketOption {
    get: |socket, _| receive_buffer_size(socket),
    set: |socket, _, value| set_receive_buffer_size(socket, value),
    checked: |value| buffer_size(value).map(|size| size as u64),
    kept: |kept| &mut kept.receive_buffer_size,
    default: 64 << 10,
};

pub static SEND_BUFFER_SIZE: SocketOption<u64> = SocketOption {
    get: |socket, _| send_buffer_size(socket),
    set: |socket, _, value| set_send_buffer_size(socket, value),
    checked: |value| buffer_size(value).map(|size| size as u64),
    kept: |kept| &mut kept.send_buffer_size,
    default: 8 << 10,
};

impl<T: Copy> SocketOption<T> {
    pub fn get(&self, socket: &Socket, family: IpAddressFamily) -> Result<T> {
        (self.get)(socket, family)
    }

    pub fn set(&self, socket: &Socket, family: IpAddressFamily, value: T) -> Result<()> {
        (self.set)(socket, family, value)
    }

    /// Returns the value of a virtual socket.
    pub fn kept(&self, kept: &mut Kept) -> T {
        (self.kept)(kept).unwrap_or(self.default)
    }

    /// Sets the value of a virtual socket.
    pub fn keep(&self, kept: &mut Kept, value: T) -> Result<()> {
        *(self.kept)(kept) = Some((self.checked)(value)?);
        Ok(())
    }

    fn apply(&self, kept: &mut Kept, socket: &Socket, family: IpAddressFamily) -> Result<()> {
        (self.kept)(kept).map_or(Ok(()), |value| self.set(socket, family, value))
    }
}

impl Kept {
    /// Sets the options that were set on a virtual socket on one of the system.
    pub fn apply(mut self, socket: &Socket, family: IpAddressFamily) -> Result<()> {
        KEEP_ALIVE_ENABLED.apply(&mut self, socket, family)?;
        KEEP_ALIVE_IDLE_TIME.apply(&mut self, socket, family)?;
        KEEP_ALIVE_INTERVAL.apply(&mut self, socket, family)?;
        KEEP_ALIVE_COUNT.apply(&mut self, socket, family)?;
        HOP_LIMIT.apply(&mut self, socket, family)?;
        RECEIVE_BUFFER_SIZE.apply(&mut self, socket, family)?;
        SEND_BUFFER_SIZE.apply(&mut self, socket, family)
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

/// Range of keep-alive times, in seconds. Linux has the narrowest range.
const KEEP_ALIVE_SECONDS: (u64, u64) = (1, i16::MAX as u64);
const KEEP_ALIVE_PROBES: (u32, u32) = (1, i8::MAX as u32);
const BUFFER_SIZE: (u64, u64) = (1, i32::MAX as u64);

fn keep_alive_enabled(socket: &Socket) -> Result<bool> {
    socket.keepalive().map_err(ErrorCode::from)
}

fn set_keep_alive_enabled(socket: &Socket, value: bool) -> Result<()> {
    socket.set_keepalive(value).map_err(ErrorCode::from)
}

/// Returns the idle time in nanoseconds.
fn keep_alive_idle_time(socket: &Socket) -> Result<u64> {
    sockopt::tcp_keepidle(socket)
        .map(nanoseconds)
        .map_err(ErrorCode::from)
}

fn set_keep_alive_idle_time(socket: &Socket, value: u64) -> Result<()> {
    sockopt::set_tcp_keepidle(socket, keep_alive_time(value)?).map_err(ErrorCode::from)
}

/// Returns the interval in nanoseconds.
fn keep_alive_interval(socket: &Socket) -> Result<u64> {
    sockopt::tcp_keepintvl(socket)
        .map(nanoseconds)
        .map_err(ErrorCode::from)
}

fn set_keep_alive_interval(socket: &Socket, value: u64) -> Result<()> {
    sockopt::set_tcp_keepintvl(socket, keep_alive_time(value)?).map_err(ErrorCode::from)
}

fn keep_alive_count(socket: &Socket) -> Result<u32> {
    sockopt::tcp_keepcnt(socket).map_err(ErrorCode::from)
}

fn set_keep_alive_count(socket: &Socket, value: u32) -> Result<()> {
    sockopt::set_tcp_keepcnt(socket, keep_alive_probes(value)?).map_err(ErrorCode::from)
}

fn hop_limit(socket: &Socket, family: IpAddressFamily) -> Result<u8> {
    match family {
        IpAddressFamily::Ipv4 => {
            let limit = sockopt::ip_ttl(socket).map_err(ErrorCode::from)?;
            u8::try_from(limit).map_err(|_| ErrorCode::NotSupported)
        }
        IpAddressFamily::Ipv6 => sockopt::ipv6_unicast_hops(socket).map_err(ErrorCode::from),
    }
}

fn set_hop_limit(socket: &Socket, family: IpAddressFamily, value: u8) -> Result<()> {
    // Linux accepts 0 for IPv6.
    non_zero(value.into())?;
    match family {
        IpAddressFamily::Ipv4 => sockopt::set_ip_ttl(socket, value.into()),
        IpAddressFamily::Ipv6 => sockopt::set_ipv6_unicast_hops(socket, Some(value)),
    }
    .map_err(ErrorCode::from)
}

fn receive_buffer_size(socket: &Socket) -> Result<u64> {
    let size = sockopt::socket_recv_buffer_size(socket).map_err(ErrorCode::from)?;
    Ok((size / BUFFER_OVERHEAD) as u64)
}

fn set_receive_buffer_size(socket: &Socket, value: u64) -> Result<()> {
    let size = buffer_size(value)?;
    as_a_hint(sockopt::set_socket_recv_buffer_size(socket, size))
}

fn send_buffer_size(socket: &Socket) -> Result<u64> {
    let size = sockopt::socket_send_buffer_size(socket).map_err(ErrorCode::from)?;
    Ok((size / BUFFER_OVERHEAD) as u64)
}

fn set_send_buffer_size(socket: &Socket, value: u64) -> Result<()> {
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
    let seconds = non_zero(nanoseconds)?.div_ceil(NANOSECONDS);
    Ok(Duration::from_secs(seconds.clamp(least, most)))
}

fn keep_alive_probes(value: u32) -> Result<u32> {
    let (least, most) = KEEP_ALIVE_PROBES;
    match value {
        0 => Err(ErrorCode::InvalidArgument),
        value => Ok(value.clamp(least, most)),
    }
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
