//! The flags for what a server listens on.

use super::tcp::TcpArgs;
use clap::Args;
use evconn::sockets::TcpOptions;
use evconn::{Error, ListenSource, Listening, Server, ServerBuilder, SourceError};
use std::fmt;
use std::num::NonZeroU32;

#[derive(Args)]
pub struct ListenArgs {
    /// Listen on this address or socket
    ///
    /// May be repeated.
    ///
    /// 127.0.0.1:9876, [::1]:9876: an address. [fe80::1%eth0]:9876: an address of an interface. :9876, *:9876:
    /// every interface, with IPv6 and IPv4. [::]:9876: every interface, with IPv6 only. localhost:9876:
    /// every address of the name. A tcp:// in front is allowed.
    ///
    /// unix:PATH: a Unix socket; unix:PATH,mode=660 sets the mode of its file. unix:@NAME: one without a file.
    ///
    /// 7000=SOURCE: the connections of any of these are for the socket that a program binds to port 7000, if it listens
    /// on several.
    ///
    /// fd:3: a listening socket inherited as descriptor 3. systemd: all sockets that systemd passes;
    /// systemd:NAME: those with that name.
    #[arg(long = "listen", value_name = "SOURCE", value_parser = source, help_heading = "Listening")]
    pub sources: Vec<NamedSource>,
    #[command(flatten)]
    tcp: TcpArgs,
}

/// A listen source, and what its connections are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSource {
    /// The port of a program's socket, if its connections are for that one.
    pub port: Option<u16>,
    pub source: ListenSource,
}

/// Listening sockets of a source.
pub struct NamedListening {
    pub source: NamedSource,
    pub listening: Listening,
}

impl From<ListenSource> for NamedSource {
    fn from(source: ListenSource) -> Self {
        Self { port: None, source }
    }
}

impl fmt::Display for NamedSource {
    /// Writes it as the flag has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{port}={}", self.source),
            None => self.source.fmt(f),
        }
    }
}

impl ListenArgs {
    /// Returns how TCP sockets are set up.
    pub fn options(&self) -> TcpOptions {
        self.tcp.options()
    }

    /// Listens on each source but the `kept` ones, for other processes to accept. Blocks.
    pub fn listen(
        &self,
        backlog: NonZeroU32,
        kept: &[NamedSource],
    ) -> Result<Vec<NamedListening>, Error> {
        let options = self.tcp.options();
        let mut all = Vec::new();
        let others = self.sources.iter().filter(|source| !kept.contains(source));
        for named in others {
            let listening = named.source.listen(&options, backlog)?.into_iter();
            all.extend(listening.map(|listening| NamedListening {
                source: named.clone(),
                listening,
            }));
        }
        self.tcp.warn(&self.all());
        Ok(all)
    }

    /// Makes a server that listens on each source.
    pub async fn bind(&self, builder: ServerBuilder) -> Result<Server, Error> {
        let builder = builder.tcp_options(self.tcp.options());
        let listen = |builder: ServerBuilder, NamedSource { port, source }: &NamedSource| match port
        {
            Some(port) => builder.listen_for(*port, source.clone()),
            None => builder.listen(source.clone()),
        };
        let server = self.sources.iter().fold(builder, listen).bind().await?;
        self.tcp.warn(&self.all());
        Ok(server)
    }

    /// Returns the sources, without what their connections are for.
    pub fn all(&self) -> Vec<ListenSource> {
        let sources = self.sources.iter();
        sources.map(|named| named.source.clone()).collect()
    }

    /// Returns whether connections of a source are for one socket of a program.
    pub fn names_ports(&self) -> bool {
        self.sources.iter().any(|named| named.port.is_some())
    }
}

fn source(text: &str) -> Result<NamedSource, String> {
    let (port, text) = match text.split_once('=') {
        Some((port, text)) if is_number(port) => (Some(named_port(port)?), text),
        _ => (None, text),
    };
    let source = text.parse().map_err(|error| match error {
        // clap prints the text itself.
        SourceError::Invalid { problem, .. } => problem,
        error => error.to_string(),
    })?;
    Ok(NamedSource { port, source })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn named_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "{text} is not a port: in PORT=SOURCE it is the one that a program binds, from 1 to 65535"
        )),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_be_for_a_port() {
        let port = |text| source(text).map(|named| (named.port, named.source.to_string()));
        let address = || "127.0.0.1:80".to_owned();
        assert_eq!(port("127.0.0.1:80"), Ok((None, address())));
        assert_eq!(port("9876=127.0.0.1:80"), Ok((Some(9876), address())));
        let unix = "unix:/run/a=b,mode=660".to_owned();
        assert_eq!(port("unix:/run/a=b,mode=660"), Ok((None, unix.clone())));
        assert_eq!(port("1=unix:/run/a=b,mode=660"), Ok((Some(1), unix)));
        for wrong in ["0=127.0.0.1:80", "65536=127.0.0.1:80"] {
            assert!(port(wrong).expect_err("no port").contains("not a port"));
        }
        assert!(port("=127.0.0.1:80").is_err() && port("80=").is_err());
    }
}
