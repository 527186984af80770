//! Where a command listens, and the lines that say so.

use super::tcp::TcpArgs;
use clap::Args;
use evconn::{Error, ErrorCode, Host, ListenSource, Listener, Server, ServerBuilder, SourceError};
use std::io::Write;

/// Flags of every command that listens.
#[derive(Args)]
pub struct ListenArgs {
    /// Listen on this; may be given more than once.
    ///
    /// 127.0.0.1:9876 or [::1]:9876 is an address, and [fe80::1%eth0]:9876 one of an interface; :9876 or
    /// *:9876 is any interface, with IPv6 and IPv4, and localhost:9876 is every address that the name
    /// stands for; [::]:9876 is any interface with IPv6 alone. tcp:// may be in front.
    /// unix:PATH is a Unix socket, and unix:PATH,mode=660 gives its file a mode; unix:@NAME is one
    /// without a file. fd:3 is a listening socket that is inherited as descriptor 3; systemd is all
    /// that systemd passes, and systemd:NAME those of a name.
    #[arg(long = "listen", value_name = "SOURCE", value_parser = source, help_heading = "Listening")]
    pub sources: Vec<ListenSource>,
    #[command(flatten)]
    tcp: TcpArgs,
}

impl ListenArgs {
    /// A listener for each socket of each source, or nothing if one of them cannot be had.
    pub async fn open(
        &self,
        host: &Host,
        sources: &[ListenSource],
    ) -> Result<Vec<Listener>, Error> {
        let builder = Listener::builder(host).tcp_options(self.tcp.options());
        let mut listeners = Vec::new();
        for source in sources {
            let opened = builder.listen_on(source).await;
            listeners.extend(opened.map_err(|error| match error {
                // Of several, somebody has to know which; and it says what helps.
                Error::Socket(code) if sources.len() > 1 || code == ErrorCode::AccessDenied => {
                    Error::Listen {
                        place: source.clone(),
                        code,
                    }
                }
                error => error,
            })?);
        }
        self.tcp.warn(sources);
        Ok(listeners)
    }

    /// A server that listens on each source.
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

    /// Say where they listen: whoever started this may wait for the lines.
    pub fn announce(listeners: &[Listener]) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        for listener in listeners {
            writeln!(stdout, "Listening on {}", listener.name())?;
        }
        stdout.flush()
    }
}

fn source(text: &str) -> Result<ListenSource, String> {
    text.parse().map_err(|error| match error {
        // The text is in front of it already.
        SourceError::Invalid { problem, .. } => problem,
        error => error.to_string(),
    })
}
