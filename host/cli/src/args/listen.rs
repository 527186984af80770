//! The flags for what a server listens on.

use super::tcp::TcpArgs;
use clap::Args;
use evconn::{Error, ListenSource, Listening, Server, ServerBuilder, SourceError};
use std::num::NonZeroU32;

#[derive(Args)]
pub struct ListenArgs {
    /// Listen on this address or socket; may be repeated
    ///
    /// 127.0.0.1:9876, [::1]:9876: an address. [fe80::1%eth0]:9876: an address of an interface. :9876, *:9876:
    /// every interface, with IPv6 and IPv4. [::]:9876: every interface, with IPv6 only. localhost:9876:
    /// every address of the name. A tcp:// in front is allowed.
    ///
    /// unix:PATH: a Unix socket; unix:PATH,mode=660 sets the mode of its file. unix:@NAME: one without a file.
    ///
    /// fd:3: a listening socket inherited as descriptor 3. systemd: all sockets that systemd passes;
    /// systemd:NAME: those with that name.
    #[arg(long = "listen", value_name = "SOURCE", value_parser = source, help_heading = "Listening")]
    pub sources: Vec<ListenSource>,
    #[command(flatten)]
    tcp: TcpArgs,
}

impl ListenArgs {
    /// Listens on each source, for other processes to accept. Blocks.
    pub fn listen(&self, backlog: NonZeroU32) -> Result<Vec<Listening>, Error> {
        let options = self.tcp.options();
        let mut listening = Vec::new();
        for source in &self.sources {
            listening.extend(source.listen(&options, backlog)?);
        }
        self.tcp.warn(&self.sources);
        Ok(listening)
    }

    /// Makes a server that listens on each source.
    pub async fn bind(&self, builder: ServerBuilder) -> Result<Server, Error> {
        let builder = builder.tcp_options(self.tcp.options());
        let builder = self
            .sources
            .iter()
            .fold(builder, |builder, source| builder.listen(source.clone()));
        let server = builder.bind().await?;
        self.tcp.warn(&self.sources);
        Ok(server)
    }
}

fn source(text: &str) -> Result<ListenSource, String> {
    text.parse().map_err(|error| match error {
        // clap prints the text itself.
        SourceError::Invalid { problem, .. } => problem,
        error => error.to_string(),
    })
}
