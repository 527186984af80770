//! The flags of the access log.

use super::values::count;
use clap::Args;
use evconn::ServerBuilder;
use std::num::NonZeroU32;

#[derive(Args)]
#[command(next_help_heading = "Log")]
pub struct AccessLogArgs {
    /// Log each connection when it ends
    ///
    /// The line has its number, peer and listener, the cause of its end, the bytes in both directions, its duration, the
    /// time to the first byte that was sent, the kind of its instance, and what was negotiated for TLS. Refused
    /// connections are not among them. Lines that exceed half of --log-budget are left out and counted.
    #[arg(long)]
    access_log: bool,
    /// Log each Nth connection only
    #[arg(long, value_name = "N", default_value = "1", value_parser = count, requires = "access_log", allow_negative_numbers = true)]
    access_log_sample: NonZeroU32,
}

impl AccessLogArgs {
    pub fn apply(&self, builder: ServerBuilder) -> ServerBuilder {
        match self.access_log {
            true => builder.access_log(self.access_log_sample),
            false => builder,
        }
    }
}
