//! The rules for listening on several addresses with one port, and on machines without IPv6. They are the
//! same whether the listener component binds the addresses ([`addresses`](super::addresses)) or the library
//! does ([`native`](super::native)).
//!
//! Nothing is opened here.

use crate::{Error, ErrorCode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// How many ports, chosen by the kernel for the first address, are tried for the other addresses.
pub const PORT_ATTEMPTS: u32 = 16;

/// One attempt to listen on several addresses with one port.
pub struct OnePort<T> {
    /// What listens so far.
    pub opened: Vec<T>,
    port: Option<u16>,
    /// The error of the first address that was left out.
    left_out: Option<Error>,
}

impl<T> OnePort<T> {
    pub fn new() -> Self {
        Self {
            opened: Vec::new(),
            port: None,
            left_out: None,
        }
    }

    /// Returns the address with the port of the first that was opened.
    pub fn with_port(&self, mut address: SocketAddr) -> SocketAddr {
        address.set_port(self.port.unwrap_or(address.port()));
        address
    }

    /// Records that something listens on this address.
    pub fn opened(&mut self, address: SocketAddr, opened: T) {
        self.port.get_or_insert(address.port());
        self.opened.push(opened);
    }

    /// Leaves out an address whose family this machine does not support, and logs that.
    ///
    /// # Errors
    /// If the address cannot be listened on for any other reason.
    pub fn failed(&mut self, address: SocketAddr, code: ErrorCode) -> Result<(), Error> {
        let error = Error::Address { address, code };
        if !is_for_want_of_family(address, code) {
            return Err(error);
        }
        let family = family(address);
        tracing::info!("not listening on {address}: this machine has no {family} ({code})");
        self.left_out.get_or_insert(error);
        Ok(())
    }

    /// Checks, at the end, that not every address was left out.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.left_out.take() {
            Some(error) if self.opened.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns whether to try another port for all `addresses`: the system chose one that is free on the
    /// first address, but not on the one that failed.
    pub fn wants_another_port(
        &self,
        addresses: &[SocketAddr],
        error: &Error,
        attempt: u32,
    ) -> bool {
        let any_port = addresses.iter().all(|address| address.port() == 0);
        let code = ErrorCode::AddressInUse;
        let is_in_use = matches!(error, Error::Address { code: found, .. } if *found == code);
        any_port && is_in_use && !self.opened.is_empty() && attempt < PORT_ATTEMPTS
    }
}

/// Returns the IPv4 address that a dual-stack listener on an IPv6 address listens on: the unspecified
/// address for the unspecified one, the loopback address for the loopback one.
pub fn counterpart(address: SocketAddr) -> Option<SocketAddr> {
    let SocketAddr::V6(address) = address else {
        return None;
    };
    let ip = match *address.ip() {
        Ipv6Addr::UNSPECIFIED => Ipv4Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST => Ipv4Addr::LOCALHOST,
        _ => return None,
    };
    Some(SocketAddr::new(ip.into(), address.port()))
}

/// Returns the address to listen on instead if a dual-stack listener cannot be bound: for the unspecified
/// address, IPv4 alone is enough if the machine does not support IPv6. That is logged.
pub fn ipv4_alone(address: SocketAddr, code: ErrorCode) -> Option<SocketAddr> {
    if !may_be_for_want_of_family(code) || !address.ip().is_unspecified() {
        return None;
    }
    tracing::info!("listening on IPv4 only: this machine has no IPv6 ({code})");
    Some(SocketAddr::new(
        Ipv4Addr::UNSPECIFIED.into(),
        address.port(),
    ))
}

/// Returns whether an address cannot be bound because the machine does not support its family: not even
/// that of the loopback interface.
fn is_for_want_of_family(address: SocketAddr, code: ErrorCode) -> bool {
    let loopback: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    may_be_for_want_of_family(code) && UdpSocket::bind((loopback, 0)).is_err()
}

fn may_be_for_want_of_family(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotSupported | ErrorCode::AddressNotBindable
    )
}

fn family(address: SocketAddr) -> &'static str {
    match address {
        SocketAddr::V4(_) => "IPv4",
        SocketAddr::V6(_) => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn in_use(text: &str) -> Error {
        let (address, code) = (address(text), ErrorCode::AddressInUse);
        Error::Address { address, code }
    }

    #[test]
    fn the_other_addresses_have_the_port_of_the_first() {
        let mut one_port = OnePort::new();
        let scoped = address("[fe80::1%7]:0");
        assert_eq!(one_port.with_port(scoped), scoped);
        one_port.opened(address("127.0.0.1:40000"), ());
        assert_eq!(one_port.with_port(scoped), address("[fe80::1%7]:40000"));
        one_port.opened(address("127.0.0.2:40001"), ());
        assert_eq!(one_port.with_port(scoped).port(), 40000);
    }

    #[test]
    fn another_port_is_tried_if_the_system_chose_this_one_and_not_for_ever() {
        let any = [address("127.0.0.1:0"), address("127.0.0.2:0")];
        let error = in_use("127.0.0.2:40000");
        let mut one_port = OnePort::new();
        assert!(!one_port.wants_another_port(&any, &error, 1), "the first");
        one_port.opened(address("127.0.0.1:40000"), ());
        assert!(one_port.wants_another_port(&any, &error, 1));
        assert!(one_port.wants_another_port(&any, &error, PORT_ATTEMPTS - 1));
        assert!(!one_port.wants_another_port(&any, &error, PORT_ATTEMPTS));
        let fixed = [address("127.0.0.1:40000"), address("127.0.0.2:40000")];
        assert!(!one_port.wants_another_port(&fixed, &error, 1));
        let other = Error::Socket(ErrorCode::AddressInUse);
        assert!(!one_port.wants_another_port(&any, &other, 1));
    }

    #[test]
    fn an_address_of_a_supported_family_is_not_left_out() {
        let mut one_port = OnePort::<()>::new();
        for code in [ErrorCode::AddressNotBindable, ErrorCode::AccessDenied] {
            let error = one_port.failed(address("192.0.2.1:80"), code);
            assert!(matches!(error, Err(Error::Address { code: found, .. }) if found == code));
        }
        assert!(one_port.check().is_ok());
    }

    #[test]
    fn if_every_address_is_left_out_the_first_error_is_reported() {
        let left_out = || OnePort {
            opened: Vec::new(),
            port: None,
            left_out: Some(in_use("[::1]:80")),
        };
        let error = left_out().check().expect_err("none is left");
        assert!(matches!(error, Error::Address { .. }));
        let mut one_port = left_out();
        one_port.opened(address("127.0.0.1:80"), ());
        assert!(one_port.check().is_ok());
    }

    #[test]
    fn ipv4_is_enough_for_the_unspecified_address_alone() {
        let unspecified = address("[::]:80");
        for code in [ErrorCode::NotSupported, ErrorCode::AddressNotBindable] {
            assert_eq!(ipv4_alone(unspecified, code), Some(address("0.0.0.0:80")));
            assert_eq!(ipv4_alone(address("[::1]:80"), code), None);
        }
        assert_eq!(ipv4_alone(unspecified, ErrorCode::AddressInUse), None);
    }

    #[test]
    fn only_the_unspecified_and_the_loopback_address_have_a_counterpart() {
        assert_eq!(counterpart(address("[::]:80")), Some(address("0.0.0.0:80")));
        let loopback = counterpart(address("[::1]:80"));
        assert_eq!(loopback, Some(address("127.0.0.1:80")));
        assert_eq!(counterpart(address("[::2]:80")), None);
        assert_eq!(counterpart(address("127.0.0.1:80")), None);
    }
}
