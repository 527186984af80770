//! Sockets and addresses, as C has them.

use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use std::io;
use std::mem::{ManuallyDrop, offset_of, size_of, zeroed};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What is the same for all calls.
pub struct Run {
    /// A loopback address.
    pub ip: IpAddr,
    /// It listens, and its backlog is never full.
    live: Socket,
}

impl Run {
    pub fn new(ip: IpAddr) -> Self {
        let live = Socket::new(ip);
        live.bind(SocketAddr::new(ip, 0)).expect("bound");
        live.listen().expect("it listens");
        Self { ip, live }
    }

    pub fn socket(&self) -> Socket {
        Socket::new(self.ip)
    }

    pub fn bound(&self) -> Socket {
        let socket = self.socket();
        socket.bind(self.any_port()).expect("bound");
        socket
    }

    pub fn any_port(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 0)
    }

    /// Where somebody listens.
    pub fn live(&self) -> SocketAddr {
        self.live.local_address().expect("it is bound")
    }

    /// Where nobody listens any more.
    pub fn deserted(&self) -> SocketAddr {
        let socket = self.bound();
        socket.listen().expect("it listens");
        socket.local_address().expect("it is bound")
    }

    /// The next who has connected to where somebody listens.
    pub fn accept(&self) -> Socket {
        self.live.accept().expect("accepted")
    }
}

pub struct Socket(OwnedFd);

impl Socket {
    fn new(ip: IpAddr) -> Self {
        let domain = match ip {
            IpAddr::V4(_) => libc::AF_INET,
            IpAddr::V6(_) => libc::AF_INET6,
        };
        // SAFETY: it takes no pointers.
        let fd = unsafe { libc::socket(domain, libc::SOCK_STREAM, 0) };
        let fd = checked(fd).expect("a socket");
        // SAFETY: it is open, and nobody else's.
        Self(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    pub fn fd(&self) -> c_int {
        self.0.as_raw_fd()
    }

    pub fn bind(&self, to: SocketAddr) -> io::Result<()> {
        // SAFETY: the address is as long as it says.
        let bound = with_address(to, |address, len| unsafe {
            libc::bind(self.fd(), address, len)
        });
        checked(bound).map(drop)
    }

    pub fn listen(&self) -> io::Result<()> {
        // SAFETY: it takes no pointers.
        checked(unsafe { libc::listen(self.fd(), 16) }).map(drop)
    }

    pub fn connect(&self, to: SocketAddr) -> io::Result<()> {
        // SAFETY: the address is as long as it says.
        let connected = with_address(to, |address, len| unsafe {
            libc::connect(self.fd(), address, len)
        });
        checked(connected).map(drop)
    }

    /// With the peer's address, which wasi-libc asks for.
    pub fn accept(&self) -> io::Result<Self> {
        let (accepted, _) = address_of(|address, len| {
            // SAFETY: there is room for as much as the length says.
            unsafe { libc::accept(self.fd(), address, len) }
        })?;
        // SAFETY: it is open, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(accepted) }))
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let (_, address) = address_of(|address, len| {
            // SAFETY: there is room for as much as the length says.
            unsafe { libc::getsockname(self.fd(), address, len) }
        })?;
        Ok(address)
    }

    pub fn remote_address(&self) -> io::Result<SocketAddr> {
        let (_, address) = address_of(|address, len| {
            // SAFETY: there is room for as much as the length says.
            unsafe { libc::getpeername(self.fd(), address, len) }
        })?;
        Ok(address)
    }

    pub fn option(&self, level: c_int, name: c_int) -> io::Result<c_int> {
        let mut value: c_int = 0;
        let mut len = size_of::<c_int>() as socklen_t;
        let to = (&raw mut value).cast();
        // SAFETY: there is room for as much as the length says.
        checked(unsafe { libc::getsockopt(self.fd(), level, name, to, &mut len) })?;
        Ok(value)
    }

    pub fn set_option(&self, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
        let len = size_of::<c_int>() as socklen_t;
        let from = (&raw const value).cast();
        // SAFETY: the value is as long as the length says.
        checked(unsafe { libc::setsockopt(self.fd(), level, name, from, len) }).map(drop)
    }

    /// Wait until it is ready to be written to, or has failed.
    pub fn wait(&self) {
        let mut asked = libc::pollfd {
            fd: self.fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: there is one.
        let ready = checked(unsafe { libc::poll(&mut asked, 1, -1) });
        assert_eq!(ready.expect("it can be waited for"), 1);
    }

    /// The same socket, as Rust's standard library has it.
    pub fn stream(&self) -> ManuallyDrop<TcpStream> {
        // SAFETY: it is open for as long as this, and not closed by it.
        ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(self.fd()) })
    }

    pub fn set_nonblocking(&self) {
        let on: c_int = 1;
        // SAFETY: it reads a number.
        checked(unsafe { libc::ioctl(self.fd(), libc::FIONBIO, &raw const on) }).expect("set");
    }
}

fn checked(result: c_int) -> io::Result<c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn with_address<T>(to: SocketAddr, call: impl FnOnce(*const sockaddr, socklen_t) -> T) -> T {
    // SAFETY: all of it may be 0.
    let (mut v4, mut v6): (sockaddr_in, sockaddr_in6) = unsafe { zeroed() };
    match to {
        SocketAddr::V4(to) => {
            v4.sin_family = libc::AF_INET as _;
            v4.sin_port = to.port().to_be();
            v4.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            call((&raw const v4).cast(), size_of::<sockaddr_in>() as _)
        }
        SocketAddr::V6(to) => {
            v6.sin6_family = libc::AF_INET6 as _;
            v6.sin6_port = to.port().to_be();
            v6.sin6_addr.s6_addr = to.ip().octets();
            call((&raw const v6).cast(), size_of::<sockaddr_in6>() as _)
        }
    }
}

fn address_of(
    call: impl FnOnce(*mut sockaddr, *mut socklen_t) -> c_int,
) -> io::Result<(c_int, SocketAddr)> {
    const _: () =
        assert!(offset_of!(sockaddr_in, sin_family) == offset_of!(sockaddr_in6, sin6_family));
    // SAFETY: all of it may be 0.
    let mut v6: sockaddr_in6 = unsafe { zeroed() };
    let mut len = size_of::<sockaddr_in6>() as socklen_t;
    let result = checked(call((&raw mut v6).cast(), &mut len))?;
    let address = if v6.sin6_family == libc::AF_INET6 as _ {
        SocketAddr::new(v6.sin6_addr.s6_addr.into(), u16::from_be(v6.sin6_port))
    } else {
        // SAFETY: it is shorter, and as much aligned.
        let v4 = unsafe { &*(&raw const v6).cast::<sockaddr_in>() };
        let ip = v4.sin_addr.s_addr.to_ne_bytes();
        SocketAddr::new(ip.into(), u16::from_be(v4.sin_port))
    };
    Ok((result, address))
}
