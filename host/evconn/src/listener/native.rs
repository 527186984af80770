//! Listening without the listener component, and without an event loop: for a process that opens sockets and
//! has other processes accept from them.
//!
//! Where it ends: connections are accepted by a [`Listener`](super::Listener), to which the sockets are
//! given.

use super::rules::{self, OnePort, PORT_ATTEMPTS};
use crate::address::{self, SourceError};
use crate::sockets::{self, TcpOptions};
use crate::{Error, ErrorCode, ListenSource, Opened};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;

/// What [`ListenSource::listen`] returns: one or two listening sockets.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listening {
    /// Where it listens, in the syntax of [`ListenSource`]: what [`Listener::name`](crate::Listener::name)
    /// returns for the same source.
    pub name: String,
    /// The listening sockets: one, or one for IPv6 and then one for IPv4 with the same port.
    pub sockets: Vec<Opened>,
}

impl Listening {
    /// Returns the listening sockets of a source that another process has opened: their name there, and one
    /// socket or two.
    pub fn new(name: String, sockets: Vec<Opened>) -> Self {
        Self { name, sockets }
    }
}

impl ListenSource {
    /// Listens, without the listener component and without an event loop. A host name gives an element for
    /// each of its addresses, and systemd one for each socket that it has passed.
    ///
    /// This is for a process whose sockets are served by others, to which it passes each
    /// [`Opened::socket`]. They wrap it with [`Opened::from_fd`], and listen with
    /// [`ListenerBuilder::listen`](crate::ListenerBuilder::listen). Any number of processes may accept from
    /// one socket.
    ///
    /// The result is the same as that of [`ListenerBuilder::listen_on`](crate::ListenerBuilder::listen_on)
    /// with these options and this length of the accept queue, which the kernel may lower: the same
    /// addresses, names and errors, and the same messages in the log. An inherited socket keeps its accept
    /// queue. A Unix socket's file is removed when its [`Opened`] is dropped here, not when others close
    /// the socket.
    ///
    /// This call blocks as [`open`](Self::open) does, also while a host name is looked up.
    ///
    /// ```
    /// use evconn::ListenSource;
    /// use evconn::sockets::TcpOptions;
    /// use std::num::NonZeroU32;
    ///
    /// let source: ListenSource = "127.0.0.1:0".parse()?;
    /// let backlog = NonZeroU32::new(4096).expect("not 0");
    /// for listening in source.listen(&TcpOptions::default(), backlog)? {
    ///     println!("Listening on {}", listening.name);
    /// }
    /// # Ok::<(), evconn::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Source`] or [`Error::Listen`], which names the address if it is one of several. Nothing is
    /// left open then.
    pub fn listen(
        &self,
        options: &TcpOptions,
        backlog: NonZeroU32,
    ) -> Result<Vec<Listening>, Error> {
        let native = Native { options, backlog };
        native.listen_on(self).map_err(|error| error.at(self))
    }
}

/// How sockets are opened.
struct Native<'a> {
    options: &'a TcpOptions,
    backlog: NonZeroU32,
}

impl Native<'_> {
    fn listen_on(&self, source: &ListenSource) -> Result<Vec<Listening>, Error> {
        if let ListenSource::Name { host, port } = source {
            return self.all(&address::resolve(host, *port)?);
        }
        let opened = source.open_with_backlog(self.backlog)?;
        opened.into_iter().map(|one| self.listen(one)).collect()
    }

    fn listen(&self, opened: Opened) -> Result<Listening, Error> {
        match opened {
            Opened::Address {
                address,
                dual_stack: false,
            } => self.one(address),
            Opened::Address { address, .. } => self.both(address),
            adopted => self.adopt(adopted),
        }
    }

    /// Listens on each address, with one port.
    fn all(&self, addresses: &[SocketAddr]) -> Result<Vec<Listening>, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut one_port = OnePort::new();
            match self.each(addresses, &mut one_port) {
                Ok(()) => return Ok(one_port.opened),
                Err(error) if one_port.wants_another_port(addresses, &error, attempt) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn each(
        &self,
        addresses: &[SocketAddr],
        one_port: &mut OnePort<Listening>,
    ) -> Result<(), Error> {
        for address in addresses {
            let address = one_port.with_port(*address);
            match self.bind(address) {
                Ok((bound, listener)) => {
                    one_port.opened(bound, listening(bound, vec![listener]));
                }
                Err(code) => one_port.failed(address, code)?,
            }
        }
        one_port.check()
    }

    fn one(&self, address: SocketAddr) -> Result<Listening, Error> {
        let (bound, listener) = self.bind(address)?;
        Ok(listening(bound, vec![listener]))
    }

    /// Listens with IPv6 and IPv4, or with IPv4 alone where that is enough.
    fn both(&self, address: SocketAddr) -> Result<Listening, Error> {
        match self.pair(address) {
            Ok((bound, pair)) => Ok(listening(bound, pair)),
            Err(code) => self.one(rules::ipv4_alone(address, code).ok_or(code)?),
        }
    }

    /// Opens both sockets of a dual-stack listener. Another port is tried if the system has chosen one for
    /// IPv6 that is in use for IPv4.
    fn pair(&self, address: SocketAddr) -> Result<(SocketAddr, Vec<TcpListener>), ErrorCode> {
        let mut ipv4 = rules::counterpart(address).ok_or(ErrorCode::InvalidArgument)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (bound, first) = self.bind(address)?;
            ipv4.set_port(bound.port());
            match self.bind(ipv4) {
                Ok((_, second)) => return Ok((bound, vec![first, second])),
                Err(ErrorCode::AddressInUse) if address.port() == 0 && attempt < PORT_ATTEMPTS => {}
                Err(code) => return Err(code),
            }
        }
    }

    fn bind(&self, address: SocketAddr) -> Result<(SocketAddr, TcpListener), ErrorCode> {
        let listener = sockets::listen(address, self.options, self.backlog)?;
        let bound = listener.local_addr().map_err(sockets::ErrorCode::from)?;
        Ok((bound, listener))
    }

    /// Sets the options of a socket that listens already.
    fn adopt(&self, opened: Opened) -> Result<Listening, Error> {
        if let Opened::Tcp { listener, .. } = &opened {
            let applied = self.options.apply_to_listener(listener);
            applied.map_err(SourceError::not_accepted_from)?;
        }
        Ok(Listening {
            name: opened.to_string(),
            sockets: vec![opened],
        })
    }
}

fn listening(address: SocketAddr, listeners: Vec<TcpListener>) -> Listening {
    let opened = |listener| Opened::Tcp {
        listener,
        shared: false,
    };
    Listening {
        name: address.to_string(),
        sockets: listeners.into_iter().map(opened).collect(),
    }
}
