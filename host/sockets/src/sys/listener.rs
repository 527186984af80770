//! Calls on a socket that listens.

use socket2::Socket;
use std::io;
use std::net::SocketAddr;

/// Accepts a connection, whose socket never blocks and is closed by exec.
#[cfg(target_os = "linux")]
pub fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (accepted, peer) = rustix::net::acceptfrom_with(socket, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((accepted.into(), peer))
}

#[cfg(not(target_os = "linux"))]
pub fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (accepted, peer) = socket.accept()?;
    accepted.set_nonblocking(true)?;
    Ok((accepted, peer.as_socket()))
}

/// Lets no more peers connect. What is in the accept queue stays there. Elsewhere than on Linux, peers can
/// connect until the socket is closed.
pub fn refuse_new(socket: &Socket, is_unix: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return match is_unix {
        true => socket.shutdown(std::net::Shutdown::Read),
        false => {
            // Connections that the kernel holds back until their first byte are to be accepted, too.
            super::linux::set_defer_accept(socket, std::time::Duration::ZERO)?;
            super::linux::drop_first_packets(socket)
        }
    };
    #[cfg(not(target_os = "linux"))]
    {
        let _nothing_to_do = (socket, is_unix);
        Ok(())
    }
}

/// Whether a handshake is under way for a TCP socket that listens on this port. False where the system does
/// not say.
pub fn has_handshakes(port: u16) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    return super::linux::has_handshakes(port);
    #[cfg(not(target_os = "linux"))]
    {
        let _nobody_can_tell = port;
        Ok(false)
    }
}
