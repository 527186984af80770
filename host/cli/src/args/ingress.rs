//! The flags for what comes before the service: TLS and the PROXY protocol.

#[cfg(unix)]
use crate::control::Pem;
use clap::Args;
use evconn::{Ingress, ProxyProtocol, TrustedProxies};
#[cfg(feature = "tls")]
use tls::TlsArgs;

#[derive(Args, Debug)]
pub struct IngressArgs {
    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: TlsArgs,
    /// Require a PROXY protocol header, version 1 or 2, at the start of each connection
    ///
    /// The header states the peer's address, and has to arrive within 5 seconds. Connections without one are
    /// refused.
    #[arg(long, requires = "proxy_from", help_heading = "Behind a proxy")]
    proxy_protocol: bool,
    /// Trust PROXY protocol headers from this address, network such as 10.0.0.0/8, or `unix`
    ///
    /// `unix` is every peer of a Unix socket. Connections from elsewhere are refused. May be repeated.
    #[arg(long, requires = "proxy_protocol", value_name = "CIDR", value_parser = proxy_from, help_heading = "Behind a proxy")]
    proxy_from: Vec<ProxyFrom>,
}

impl IngressArgs {
    /// Reads and checks the certificate and its key.
    pub fn ingress(&self) -> anyhow::Result<Ingress> {
        #[cfg(feature = "tls")]
        if let Some(config) = self.tls.config()? {
            return self.with_proxies(Ingress::new().tls(config));
        }
        self.with_proxies(Ingress::new())
    }

    /// Returns the same with a certificate that another process has read.
    #[cfg(unix)]
    pub fn ingress_with(&self, certificate: Option<Pem>) -> anyhow::Result<Ingress> {
        #[cfg(feature = "tls")]
        if let Some(pem) = certificate {
            return self.with_proxies(Ingress::new().tls(self.tls.config_with(&pem)?));
        }
        #[cfg(not(feature = "tls"))]
        let _none = certificate;
        self.with_proxies(Ingress::new())
    }

    /// Whether clients get session tickets.
    #[cfg(all(unix, feature = "tls"))]
    pub fn has_tickets(&self) -> bool {
        self.tls.has_tickets()
    }

    fn with_proxies(&self, ingress: Ingress) -> anyhow::Result<Ingress> {
        Ok(match self.trusted_proxies()? {
            Some(trusted) => ingress.proxy_protocol(ProxyProtocol::new(trusted)),
            None => ingress,
        })
    }

    fn trusted_proxies(&self) -> anyhow::Result<Option<TrustedProxies>> {
        if !self.proxy_protocol {
            return Ok(None);
        }
        let mut trusted = TrustedProxies::none();
        for from in &self.proxy_from {
            trusted = match from {
                ProxyFrom::Network(network) => trusted.network(network)?,
                ProxyFrom::Unix => trusted.unix_sockets(true),
            };
        }
        Ok(Some(trusted))
    }
}

#[derive(Clone, Debug)]
enum ProxyFrom {
    /// A valid network.
    Network(String),
    Unix,
}

fn proxy_from(text: &str) -> Result<ProxyFrom, String> {
    if text == "unix" {
        return Ok(ProxyFrom::Unix);
    }
    match TrustedProxies::none().network(text) {
        Ok(_) => Ok(ProxyFrom::Network(text.to_owned())),
        Err(error) => Err(format!("{error}, or `unix` for Unix sockets")),
    }
}

#[cfg(feature = "tls")]
mod tls {
    use crate::args::values::some_seconds;
    #[cfg(unix)]
    use crate::control::Pem;
    use clap::Args;
    use evconn::TlsConfig;
    use std::path::PathBuf;
    use std::time::Duration;

    #[derive(Args, Debug)]
    #[command(next_help_heading = "TLS")]
    pub struct TlsArgs {
        /// Serve TLS with this certificate (PEM)
        ///
        /// The file has the certificate chain: the server's certificate first, then those of its issuers. SIGHUP reads it and the key again, for new connections.
        #[arg(long, requires = "tls_key", value_name = "FILE")]
        tls_cert: Option<PathBuf>,
        /// Private key of the certificate (PEM)
        ///
        /// A warning is logged if all users can read it.
        #[arg(long, requires = "tls_cert", value_name = "FILE")]
        tls_key: Option<PathBuf>,
        /// Protocol for ALPN; may be repeated, the preferred one first
        ///
        /// Clients that offer only other protocols are refused.
        #[arg(long, requires = "tls_cert", value_name = "PROTO", value_parser = protocol)]
        tls_alpn: Vec<String>,
        /// Maximum duration of a TLS handshake [default: 10]
        #[arg(long, requires = "tls_cert", value_name = "SECONDS", value_parser = some_seconds, allow_negative_numbers = true)]
        tls_handshake_timeout: Option<Duration>,
        /// Do not resume sessions: each connection has a full handshake
        ///
        /// Without this, clients get session tickets, with which they resume their sessions at little cost. The
        /// keys of the tickets are kept in memory and replaced every 6 hours. With TLS 1.2, resumed sessions have
        /// no forward secrecy against whoever learns those keys.
        #[arg(long, requires = "tls_cert")]
        tls_no_tickets: bool,
    }

    impl TlsArgs {
        pub fn config(&self) -> anyhow::Result<Option<TlsConfig>> {
            let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
                return Ok(None);
            };
            let config = TlsConfig::from_files(certificate, key)?;
            Ok(Some(self.configure(config)))
        }

        #[cfg(unix)]
        pub fn config_with(&self, pem: &Pem) -> anyhow::Result<TlsConfig> {
            let config = TlsConfig::from_pem(&pem.certificate, &pem.key)?;
            Ok(self.configure(config))
        }

        #[cfg(unix)]
        pub fn has_tickets(&self) -> bool {
            self.tls_cert.is_some() && !self.tls_no_tickets
        }

        fn configure(&self, config: TlsConfig) -> TlsConfig {
            let timeout = self.tls_handshake_timeout;
            let config = match self.tls_no_tickets {
                true => config.without_tickets(),
                false => config,
            };
            config
                .alpn(self.tls_alpn.iter().map(String::as_str))
                .handshake_timeout(timeout.unwrap_or(TlsConfig::DEFAULT_HANDSHAKE_TIMEOUT))
        }
    }

    /// The protocol stores the length of a name in one byte.
    fn protocol(text: &str) -> Result<String, String> {
        match text.len() {
            1..=255 => Ok(text.to_owned()),
            _ => Err("expected a name of 1 to 255 bytes, such as h2".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct IngressCommand {
        #[command(flatten)]
        ingress: IngressArgs,
    }

    fn parse(flags: &str) -> Result<IngressArgs, clap::Error> {
        let words = std::iter::once("evconn").chain(flags.split_whitespace());
        IngressCommand::try_parse_from(words).map(|command| command.ingress)
    }

    #[test]
    fn flags_that_require_another_name_it() {
        let of_proxies = [
            ("--proxy-protocol", "--proxy-from"),
            ("--proxy-from 10.0.0.0/8", "--proxy-protocol"),
        ];
        #[cfg(feature = "tls")]
        let of_tls = [
            ("--tls-cert c.pem", "--tls-key"),
            ("--tls-key k.pem", "--tls-cert"),
            ("--tls-alpn h2", "--tls-cert"),
            ("--tls-handshake-timeout 1", "--tls-cert"),
            ("--tls-no-tickets", "--tls-cert"),
        ];
        #[cfg(not(feature = "tls"))]
        let of_tls = [];
        for (flags, missing) in of_proxies.into_iter().chain(of_tls) {
            let error = parse(flags).expect_err("something is missing");
            let kind = error.kind();
            assert_eq!(kind, clap::error::ErrorKind::MissingRequiredArgument);
            assert!(error.to_string().contains(missing), "{error}");
        }
    }

    #[test]
    fn proxies_are_networks_or_unix_sockets() {
        let ingress =
            parse("--proxy-protocol --proxy-from 10.0.0.0/8 --proxy-from ::1 --proxy-from unix")
                .expect("right");
        let expected = TrustedProxies::none()
            .network("10.0.0.0/8")
            .and_then(|trusted| trusted.network("::1"))
            .expect("networks")
            .unix_sockets(true);
        assert_eq!(ingress.trusted_proxies().expect("networks"), Some(expected));
        let error = parse("--proxy-protocol --proxy-from localhost").expect_err("no network");
        assert!(error.to_string().contains("10.0.0.0/8"), "{error}");
        assert!(error.to_string().contains("unix"), "{error}");
    }

    #[test]
    fn without_flags_there_is_no_proxy() {
        let ingress = parse("").expect("right");
        assert_eq!(ingress.trusted_proxies().expect("none"), None);
    }
}
