//! The options of a socket that WASI has.

use super::Connection;
use crate::base::nanoseconds;
use crate::error;
use std::io;
use std::time::Duration;

/// One direction of a connection, as its owner sees it, or both.
///
/// ```no_run
/// # use evconn_guest::{BufferedConnection, Direction};
/// # fn f(connection: BufferedConnection) {
/// connection.enable(Direction::Both);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer: libevent's `EV_READ`.
    Read,
    /// To the peer: libevent's `EV_WRITE`.
    Write,
    /// Both of them.
    Both,
}

/// Options of the socket. Each fails with what the host says: with `Unsupported` for one of TCP on a
/// connection that came by a Unix socket, for example.
impl Connection {
    /// Whether the kernel asks a silent peer whether it is still there (`SO_KEEPALIVE`). Default: no.
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`keep_alive`](Self::keep_alive).
    ///
    /// # Errors
    /// What the host says.
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

    /// How long a peer may be silent before it is asked (`TCP_KEEPIDLE`). Hosts round it to whole seconds.
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`keep_alive_idle_time`](Self::keep_alive_idle_time).
    ///
    /// # Errors
    /// What the host says: `InvalidInput` for none, for example.
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

    /// How long to wait between one question and the next (`TCP_KEEPINTVL`). Hosts round it to whole seconds.
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`keep_alive_interval`](Self::keep_alive_interval).
    ///
    /// # Errors
    /// What the host says: `InvalidInput` for none, for example.
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

    /// How many questions may go unanswered before the connection is given up (`TCP_KEEPCNT`).
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`keep_alive_count`](Self::keep_alive_count).
    ///
    /// # Errors
    /// What the host says: `InvalidInput` for none, for example.
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

    /// How many routers a packet may pass (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`hop_limit`](Self::hop_limit).
    ///
    /// # Errors
    /// What the host says: `InvalidInput` for none, for example.
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

    /// How many bytes the kernel keeps for this side to read (`SO_RCVBUF`). The host may use another number.
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`receive_buffer_size`](Self::receive_buffer_size).
    ///
    /// # Errors
    /// What the host says: `InvalidInput` for none, for example.
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

    /// How many bytes the kernel keeps for the peer to read (`SO_SNDBUF`). The host may use another number.
    ///
    /// # Errors
    /// What the host says.
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

    /// Set [`send_buffer_size`](Self::send_buffer_size).
    ///
    /// # Errors
    /// What the host says: `InvalidInput` for none, for example.
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
