//! The socket options that WASI has.

use super::established::Connection;
use crate::base::nanoseconds;
use crate::error;
use std::io;
use std::time::Duration;

/// Socket options. Each function returns the host's error, for example `Unsupported` for a TCP option of a
/// connection from a Unix socket.
impl Connection {
    /// Returns whether the kernel sends keep-alive probes to an idle peer (`SO_KEEPALIVE`). Default: false.
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.keep_alive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_alive(&self) -> io::Result<bool> {
        self.socket().keep_alive_enabled().map_err(error::of_socket)
    }

    /// Sets [`keep_alive`](Self::keep_alive).
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_keep_alive(true)
    /// # }
    /// ```
    pub fn set_keep_alive(&self, value: bool) -> io::Result<()> {
        let set = self.socket().set_keep_alive_enabled(value);
        set.map_err(error::of_socket)
    }

    /// Returns how long a connection is idle before the first keep-alive probe (`TCP_KEEPIDLE`). Hosts round
    /// it to whole seconds.
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.keep_alive_idle_time()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_alive_idle_time(&self) -> io::Result<Duration> {
        let value = self
            .socket()
            .keep_alive_idle_time()
            .map_err(error::of_socket)?;
        Ok(Duration::from_nanos(value))
    }

    /// Sets [`keep_alive_idle_time`](Self::keep_alive_idle_time).
    ///
    /// # Errors
    /// Returns the host's error, for example `InvalidInput` for zero.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_keep_alive_idle_time(Duration::from_secs(60))
    /// # }
    /// ```
    pub fn set_keep_alive_idle_time(&self, value: Duration) -> io::Result<()> {
        let set = self.socket().set_keep_alive_idle_time(nanoseconds(value));
        set.map_err(error::of_socket)
    }

    /// Returns the time between two keep-alive probes (`TCP_KEEPINTVL`). Hosts round it to whole seconds.
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.keep_alive_interval()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_alive_interval(&self) -> io::Result<Duration> {
        let value = self
            .socket()
            .keep_alive_interval()
            .map_err(error::of_socket)?;
        Ok(Duration::from_nanos(value))
    }

    /// Sets [`keep_alive_interval`](Self::keep_alive_interval).
    ///
    /// # Errors
    /// Returns the host's error, for example `InvalidInput` for zero.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_keep_alive_interval(Duration::from_secs(10))
    /// # }
    /// ```
    pub fn set_keep_alive_interval(&self, value: Duration) -> io::Result<()> {
        let set = self.socket().set_keep_alive_interval(nanoseconds(value));
        set.map_err(error::of_socket)
    }

    /// Returns the number of unanswered keep-alive probes after which the connection fails
    /// (`TCP_KEEPCNT`).
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.keep_alive_count()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_alive_count(&self) -> io::Result<u32> {
        self.socket().keep_alive_count().map_err(error::of_socket)
    }

    /// Sets [`keep_alive_count`](Self::keep_alive_count).
    ///
    /// # Errors
    /// Returns the host's error, for example `InvalidInput` for zero.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_keep_alive_count(5)
    /// # }
    /// ```
    pub fn set_keep_alive_count(&self, value: u32) -> io::Result<()> {
        let set = self.socket().set_keep_alive_count(value);
        set.map_err(error::of_socket)
    }

    /// Returns the hop limit of outgoing packets (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.hop_limit()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hop_limit(&self) -> io::Result<u8> {
        self.socket().hop_limit().map_err(error::of_socket)
    }

    /// Sets [`hop_limit`](Self::hop_limit).
    ///
    /// # Errors
    /// Returns the host's error, for example `InvalidInput` for zero.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_hop_limit(64)
    /// # }
    /// ```
    pub fn set_hop_limit(&self, value: u8) -> io::Result<()> {
        let set = self.socket().set_hop_limit(value);
        set.map_err(error::of_socket)
    }

    /// Returns the size of the kernel's receive buffer, in bytes (`SO_RCVBUF`). It may differ from the one
    /// that was set.
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.receive_buffer_size()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_buffer_size(&self) -> io::Result<u64> {
        self.socket()
            .receive_buffer_size()
            .map_err(error::of_socket)
    }

    /// Sets [`receive_buffer_size`](Self::receive_buffer_size).
    ///
    /// # Errors
    /// Returns the host's error, for example `InvalidInput` for zero.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_receive_buffer_size(64 << 10)
    /// # }
    /// ```
    pub fn set_receive_buffer_size(&self, value: u64) -> io::Result<()> {
        let set = self.socket().set_receive_buffer_size(value);
        set.map_err(error::of_socket)
    }

    /// Returns the size of the kernel's send buffer, in bytes (`SO_SNDBUF`). It may differ from the one that
    /// was set.
    ///
    /// # Errors
    /// Returns the host's error.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// println!("{:?}", connection.send_buffer_size()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_buffer_size(&self) -> io::Result<u64> {
        self.socket().send_buffer_size().map_err(error::of_socket)
    }

    /// Sets [`send_buffer_size`](Self::send_buffer_size).
    ///
    /// # Errors
    /// Returns the host's error, for example `InvalidInput` for zero.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// connection.set_send_buffer_size(64 << 10)
    /// # }
    /// ```
    pub fn set_send_buffer_size(&self, value: u64) -> io::Result<()> {
        let set = self.socket().set_send_buffer_size(value);
        set.map_err(error::of_socket)
    }
}
