//! What a guest can ask of its connection: `evconn:tcp/types`.

use super::super::state::InstanceState;
use crate::bindings::ServedConnection;
use crate::bindings::service_v0_3::evconn::tcp::types::{
    self, ErrorCode, HostConnection, IpSocketAddress, TlsSession,
};
use wasmtime::component::{HasSelf, Linker, Resource};

/// Adds the interface to a linker.
pub(in crate::service) fn add_types_to_linker(
    linker: &mut Linker<InstanceState>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<InstanceState>>(linker, |state| state)
}

impl types::Host for InstanceState {}

impl HostConnection for InstanceState {
    fn peer_address(
        &mut self,
        connection: Resource<ServedConnection>,
    ) -> wasmtime::Result<IpSocketAddress> {
        Ok(self.table().get(&connection)?.peer_address.into())
    }

    fn local_address(
        &mut self,
        connection: Resource<ServedConnection>,
    ) -> wasmtime::Result<Result<IpSocketAddress, ErrorCode>> {
        let Some(endpoint) = self.table().get(&connection)?.endpoint.upgrade() else {
            return Ok(Err(ErrorCode::InvalidState));
        };
        let address = endpoint.local_address();
        Ok(address
            .map(IpSocketAddress::from)
            .map_err(|error| ErrorCode::from(&error)))
    }

    fn tls(
        &mut self,
        connection: Resource<ServedConnection>,
    ) -> wasmtime::Result<Option<TlsSession>> {
        let connection = self.table().get(&connection)?;
        Ok(session(connection))
    }

    fn number(&mut self, connection: Resource<ServedConnection>) -> wasmtime::Result<u64> {
        Ok(self.table().get(&connection)?.number)
    }

    fn drop(&mut self, connection: Resource<ServedConnection>) -> wasmtime::Result<()> {
        self.table().delete(connection)?;
        Ok(())
    }
}

#[cfg(feature = "tls")]
fn session(connection: &ServedConnection) -> Option<TlsSession> {
    let tls = connection.endpoint.upgrade()?.tls()?;
    let application_protocol = tls.application_protocol.as_deref();
    Some(TlsSession {
        application_protocol: application_protocol
            .map(|name| String::from_utf8_lossy(name).into_owned()),
        protocol: tls.protocol,
        server_name: tls.server_name,
        client_certificates: tls.client_certificates,
    })
}

#[cfg(not(feature = "tls"))]
fn session(_: &ServedConnection) -> Option<TlsSession> {
    None
}
