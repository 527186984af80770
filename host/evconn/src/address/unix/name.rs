//! The names of Unix sockets: abstract ones, which Linux has, and how a socket's own name is shown.

use super::{Opened, SourceError};
use std::ffi::OsStr;
use std::fmt;
use std::num::NonZeroU32;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// The longest name, in bytes: the size of the kernel's structure without the zero byte that ends a path
/// or begins an abstract name.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const MAX: usize = 107;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) const MAX: usize = 103;

/// Checks that a name is neither empty nor too long.
pub(super) fn check_length(name: &OsStr) -> Result<(), SourceError> {
    if name.is_empty() {
        // The kernel would choose a name.
        return Err(SourceError::Invalid {
            text: "unix:".to_owned(),
            problem: "the name is empty".to_owned(),
        });
    }
    if name.len() > MAX {
        return Err(SourceError::NameTooLong {
            name: PathBuf::from(name),
            length: name.len(),
            max: MAX,
        });
    }
    Ok(())
}

/// Creates a listening socket with an abstract name.
#[cfg(target_os = "linux")]
pub(super) fn bind(name: &str, backlog: NonZeroU32) -> Result<Opened, SourceError> {
    check_length(name.as_ref())?;
    let shown = format!("@{name}");
    let address = rustix::net::SocketAddrUnix::new_abstract_name(name.as_bytes())
        .map_err(|error| super::failed(format!("use the name {name:?}"), error))?;
    let socket = super::socket()?;
    super::bind_to(&socket, &address, &shown)?;
    super::listen(&socket, &format!("unix:{shown}"), backlog)?;
    Ok(Opened::Unix {
        file: None,
        listener: UnixListener::from(socket),
        shared: false,
    })
}

/// Fails: only Linux has abstract names.
#[cfg(not(target_os = "linux"))]
pub(super) fn bind(_name: &str, _backlog: NonZeroU32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("abstract names"))
}

/// Escapes the control characters of a name, which could begin a new line or reconfigure a terminal.
pub(super) fn one_line(name: &str) -> String {
    let mut shown = String::new();
    for character in name.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

/// Writes where a socket listens, in the syntax of a listen source.
pub(in super::super) fn write_name(
    listener: &UnixListener,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let Ok(address) = listener.local_addr() else {
        return f.write_str("unix:");
    };
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        if let Some(name) = address.as_abstract_name() {
            return write!(f, "unix:@{}", one_line(&String::from_utf8_lossy(name)));
        }
    }
    match address.as_pathname() {
        Some(path) => write!(f, "unix:{}", one_line(&path.to_string_lossy())),
        None => f.write_str("unix:"),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::address::BACKLOG;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};

    #[test]
    fn an_abstract_name_is_served_and_then_free() {
        let name = format!("evconn-test-{}-served", std::process::id());
        let opened = bind(&name, BACKLOG).expect("a socket");
        assert_eq!(opened.to_string(), format!("unix:@{name}"));
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        UnixStream::connect_addr(&address).expect("connected");

        let error = bind(&name, BACKLOG)
            .expect_err("the name is taken")
            .to_string();
        assert_eq!(error, format!("unix:@{name}: Address already in use"));

        drop(opened);
        bind(&name, BACKLOG).expect("the name is free again");
    }

    #[test]
    fn an_abstract_name_has_an_end() {
        let longest = format!("{:x<MAX$}", format!("evconn-{}", std::process::id()));
        bind(&longest, BACKLOG).expect("107 bytes");
        let error = bind(&(longest + "x"), BACKLOG)
            .expect_err("108 bytes")
            .to_string();
        assert!(
            error.contains("at most 107 bytes, and this has 108"),
            "{error}"
        );
    }
}
