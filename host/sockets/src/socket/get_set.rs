//! Reading and setting the options of a socket, whatever its state.

use super::option::{SharedKept, SocketOption};
use super::tcp::{Result, SocketState, TcpSocket};
use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use socket2::SockRef;

impl TcpSocket {
    pub(crate) fn get<T: Copy>(&self, option: &SocketOption<T>) -> Result<T> {
        match self.kept()? {
            Some(kept) => Ok(option.kept(&mut kept.lock())),
            None => option.get(&*self.options()?, self.family_of_options()),
        }
    }

    pub(crate) fn set<T: Copy>(&self, option: &SocketOption<T>, value: T) -> Result<()> {
        match self.kept()? {
            Some(kept) => option.keep(&mut kept.lock(), value),
            None => option.set(&*self.options()?, self.family_of_options(), value),
        }
    }

    /// Returns the options of a virtual socket, or the failure that closed the socket.
    fn kept(&self) -> Result<Option<&SharedKept>> {
        match &self.state {
            SocketState::ConnectFailed(code) | SocketState::Closed(code) => Err(*code),
            _ => Ok(self.kept.as_ref()),
        }
    }

    /// A connection from the host may be of another family than the guest is told.
    fn family_of_options(&self) -> IpAddressFamily {
        self.endpoint()
            .map_or(self.family, |endpoint| endpoint.family())
    }

    /// Returns the socket for its options, or the failure that closed it.
    fn options(&self) -> Result<SockRef<'_>> {
        Ok(match &self.state {
            SocketState::Unbound(socket)
            | SocketState::BindInProgress(socket)
            | SocketState::Bound(socket) => {
                SockRef::from(socket.system().ok_or(ErrorCode::NotSupported)?)
            }
            SocketState::ConnectChecked(socket, ..) => SockRef::from(socket),
            SocketState::ListenInProgress(listener) | SocketState::Listening(listener) => {
                let listener = listener.system().ok_or(ErrorCode::NotSupported)?;
                listener.listening().options()
            }
            SocketState::ConnectInProgress(stream, _) => stream.options(),
            SocketState::Connected(endpoint) => endpoint.options(),
            SocketState::ConnectFailed(code) | SocketState::Closed(code) => return Err(*code),
        })
    }
}
