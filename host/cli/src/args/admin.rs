//! The flag for the admin endpoint.

use clap::Args;
use evconn::{ListenSource, SourceError, UnixSource};

#[derive(Args)]
pub struct AdminArgs {
    /// Answer HTTP requests for metrics, probes and control on this address
    ///
    /// 127.0.0.1:9000, localhost:9000, :9000: an address. unix:PATH: a Unix socket, whose file has mode 600.
    ///
    /// On a loopback address or a Unix socket, everything is allowed: whoever can connect can list and reset
    /// connections, reload, and end the server. On any other address, GET /metrics, /healthz and /readyz alone.
    #[arg(long = "admin", value_name = "SOURCE", value_parser = source, help_heading = "Admin endpoint")]
    pub source: Option<ListenSource>,
}

impl AdminArgs {
    /// Parses a value of the flag.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_source(text: &str) -> Result<ListenSource, String> {
        source(text)
    }
}

fn source(text: &str) -> Result<ListenSource, String> {
    let source = text.parse().map_err(|error| match error {
        // clap prints the text itself.
        SourceError::Invalid { problem, .. } => problem,
        error => error.to_string(),
    })?;
    match source {
        ListenSource::Unix(_) => unix(text),
        ListenSource::Address(_) | ListenSource::AnyInterface(_) | ListenSource::Name { .. } => {
            Ok(source)
        }
        _ => Err("expected an address or unix:PATH, such as 127.0.0.1:9000".to_owned()),
    }
}

/// A Unix socket is for its owner alone.
fn unix(text: &str) -> Result<ListenSource, String> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    if path.starts_with('@') {
        return Err(
            "anybody can connect to a socket without a file: use unix:PATH, whose file has mode 600"
                .to_owned(),
        );
    }
    if path.contains(",mode=") {
        return Err("the file of this socket always has mode 600: leave out ,mode=".to_owned());
    }
    Ok(ListenSource::Unix(UnixSource::path(path).mode(0o600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_address_or_a_socket_for_its_owner() {
        let text = |text| source(text).map(|source| source.to_string());
        let is = |text: &str| Ok(text.to_owned());
        assert_eq!(text("127.0.0.1:0"), is("127.0.0.1:0"));
        assert_eq!(text("localhost:9000"), is("localhost:9000"));
        assert_eq!(text("unix:/run/a"), is("unix:/run/a,mode=600"));
        for (wrong, why) in [
            ("unix:@a", "mode 600"),
            ("unix:/run/a,mode=666", "leave out"),
            ("fd:3", "unix:PATH"),
            ("systemd", "unix:PATH"),
            ("9000", ""),
        ] {
            let error = source(wrong).expect_err(wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
