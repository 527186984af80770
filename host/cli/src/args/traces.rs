//! The flags of traces.

use super::values::count;
use crate::traces::{Collector, Endpoint};
use clap::Args;
use evconn::ServerBuilder;
use std::num::NonZeroU32;

#[derive(Args)]
#[command(next_help_heading = "Log")]
pub struct TraceArgs {
    /// Send a trace of each connection to this collector of OpenTelemetry
    ///
    /// A base URL, such as http://127.0.0.1:4318, or one with a path: OTLP over HTTP. A trace is sent when the connection
    /// ends, as a span with those of its phases: handshake, instantiate, handle, relay and drain. A collector that is away
    /// holds nobody up. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS have effect.
    #[arg(long = "otlp", value_name = "URL")]
    pub endpoint: Option<Endpoint>,
    /// Trace each Nth connection only
    #[arg(long, value_name = "N", default_value = "1", value_parser = count, requires = "endpoint", allow_negative_numbers = true)]
    otlp_sample: NonZeroU32,
}

impl TraceArgs {
    /// Has a server collect traces, if there is somebody to send them to.
    pub fn collect(&self, builder: ServerBuilder) -> (Option<Collector>, ServerBuilder) {
        match self.endpoint {
            Some(_) => {
                let (collector, builder) = Collector::new(builder, self.otlp_sample);
                (Some(collector), builder)
            }
            None => (None, builder),
        }
    }
}
