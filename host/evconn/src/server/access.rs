//! The access log: a line about each connection, or about each Nth, when it ends.

use super::ConnectionEnd;
use crate::log::LogBudget;
use crate::sockets::{Endpoint, Peer};
use std::num::NonZeroU32;
use std::time::Duration;
use tracing::info;

/// What a line costs besides its peer, its listener and what was negotiated for TLS: names and numbers.
const FIELDS: usize = 240;

/// Which connections are logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessLog {
    every: NonZeroU32,
}

impl AccessLog {
    pub fn new(every: NonZeroU32) -> Self {
        Self { every }
    }

    /// Logs the end of a connection, if it is one of those that are logged and the log budget allows it.
    pub fn log(
        self,
        (number, listener): (u64, &str),
        endpoint: &Endpoint,
        end: &ConnectionEnd,
        budget: &LogBudget,
    ) {
        if !number.is_multiple_of(self.every.get().into()) {
            return;
        }
        let (peer, tls) = (Peer::of(endpoint), Tls::of(endpoint));
        if !budget.take_spare(&peer, FIELDS + listener.len() + tls.len()) {
            return;
        }
        info!(
            target: "evconn::access",
            number,
            %peer,
            listener,
            cause = end.cause.name(),
            received = end.received,
            sent = end.sent,
            duration_us = microseconds(end.duration),
            first_byte_us = end.first_byte.map(microseconds),
            cpu_time_us = microseconds(end.cpu_time),
            instance = end.instance.map(|instance| instance.name()),
            tls_version = tls.version,
            tls_alpn = tls.application_protocol,
            tls_server_name = tls.server_name,
            "connection ended"
        );
    }
}

/// What was negotiated for TLS, as far as there is any. The format of the log escapes it.
#[derive(Default)]
struct Tls {
    version: Option<String>,
    application_protocol: Option<String>,
    server_name: Option<String>,
}

impl Tls {
    #[cfg(feature = "tls")]
    fn of(endpoint: &Endpoint) -> Self {
        let Some(info) = endpoint.tls() else {
            return Self::default();
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            version: Some(info.protocol),
            application_protocol: info.application_protocol.map(text),
            server_name: info.server_name,
        }
    }

    #[cfg(not(feature = "tls"))]
    fn of(_endpoint: &Endpoint) -> Self {
        Self::default()
    }

    fn len(&self) -> usize {
        let texts = [&self.version, &self.application_protocol, &self.server_name];
        texts.into_iter().flatten().map(String::len).sum()
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
